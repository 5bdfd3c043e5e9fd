"""What the scripts of the page read: all rows of the tables, and molecules as SDF text."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.chem.elements import formula_of
from deepchem_ead.viz.view3d import model_text

if TYPE_CHECKING:
    import pandas as pd

    from deepchem_ead.chem.molecules import MoleculeBatch


def packed(value: Any) -> str:
    """Plain values as JSON, compressed and in characters that can stand in a page anywhere."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def columns_of(frames: Mapping[str, pd.DataFrame]) -> dict[str, list[Any]]:
    """Columns of the tables of all sets, one below the other; ``set`` is the number of the set."""
    import pandas as pd

    frame = pd.concat(list(frames.values()), ignore_index=True)
    sizes = [len(each) for each in frames.values()]
    found = {"set": np.repeat(np.arange(len(sizes)), sizes).tolist()}
    for name in frame.columns:
        found[str(name)] = [_plain(value) for value in frame[name].astype(object)]
    return found


def models_of(batch: MoleculeBatch, rows: Sequence[int]) -> dict[int, list[str]]:
    """By row: text and format for the viewer, and SMILES, or the formula where there is none."""
    found = {}
    known = zip(rows, batch.to_rdkit(), batch.smiles, strict=True)
    for i, (row, mol, smiles) in enumerate(known):
        numbers, positions = batch.atoms(i)
        model = model_text(mol, numbers, positions)
        if model is not None:
            found[int(row)] = [*model, smiles or formula_of(numbers)]
    return found


def _plain(value: Any) -> Any:
    import pandas as pd

    if value is None or value is pd.NA:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value

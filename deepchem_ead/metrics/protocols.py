"""The protocols by name, and how molecules are run through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
from rdkit import rdBase
from tqdm import tqdm

from deepchem_ead.chem.bond_tables import VOCABULARIES
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import bond_vocabulary
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import corrected, edm, strict

#: name -> module with ``score`` and ``whole_smiles``.
PROTOCOLS: dict[str, ModuleType] = {"edm": edm, "strict": strict, "corrected": corrected}

_SECONDS_BEFORE_BAR = 3.0


def check_names(protocol: str, vocabulary: str) -> None:
    """Raise ValueError, naming the choices, if a protocol or vocabulary is unknown."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; choose {', '.join(PROTOCOLS)}")
    if vocabulary not in VOCABULARIES:
        raise ValueError(f"unknown vocabulary {vocabulary!r}; choose {' or '.join(VOCABULARIES)}")


def vocabulary_of(numbers: np.ndarray) -> str:
    """The smallest vocabulary with all these elements; "geom" if there is none."""
    return bond_vocabulary(numbers) or "geom"


def run(
    judge: Callable, batch: MoleculeBatch, vocabulary: str, label: str, progress: bool
) -> Iterator:
    """Call ``judge(numbers, positions, charge, vocabulary, graph)`` on every molecule, in order.

    A progress bar appears once this has taken three seconds. RDKit's messages about molecules it
    refuses are silenced: refusals are the result here.

    Raises
    ------
    MoleculeError
        As the judge raises it, with the molecule's index and id added.
    """
    rows = zip(batch.numbers, batch.positions, batch.charges.tolist(), strict=True)
    bar = tqdm(
        rows, label, len(batch), unit="mol", delay=_SECONDS_BEFORE_BAR, disable=not progress,
        leave=False,
    )  # fmt: skip
    with rdBase.BlockLogs():
        for index, (numbers, positions, charge) in enumerate(bar):
            try:
                yield judge(numbers, positions, charge, vocabulary, batch.graph(index))
            except MoleculeError as error:
                name = f" ({batch.ids[index]})" if batch.ids is not None else ""
                raise MoleculeError(f"molecule {index}{name}: {error}") from None

"""From a MoleculeBatch to a DeepChem dataset, with everything refused that would spoil training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem import ragged
from deepchem_ead.chem.batch import Molecules
from deepchem_ead.chem.formal_charges import KEPT, warn_of_charges
from deepchem_ead.chem.overlap import find_overlaps
from deepchem_ead.errors import MoleculeError

if TYPE_CHECKING:
    import deepchem


def numpy_dataset(
    batch: Molecules,
    max_atoms: int | None = None,
    tasks: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    bonds: bool = False,
) -> deepchem.data.NumpyDataset:
    """DeepChem dataset of a batch; see :meth:`MoleculeBatch.to_dataset`."""
    from deepchem.data import NumpyDataset

    if len(batch) == 0:
        raise ValueError("an empty batch makes no dataset: give at least one molecule")
    empty = np.flatnonzero(batch.counts == 0)
    if empty.size:
        raise MoleculeError(f"molecules without atoms: {_listing(empty)}; leave them out")
    broken = ragged.non_finite(batch.coordinates, batch.offsets)
    if broken.size:
        raise MoleculeError(
            f"molecules with coordinates that are not finite: {_listing(broken)}; leave them out"
        )
    overlaps = find_overlaps(batch.atomic_numbers, batch.coordinates, batch.offsets)
    if overlaps:
        raise MoleculeError(
            f"molecules with atoms on top of each other: "
            f"{_listing(np.array([o.molecule for o in overlaps]))}; leave them out (molecule "
            f"{overlaps[0].molecule} {overlaps[0].reason})"
        )
    charged = bool(batch.charges.any())
    X = batch.to_padded(max_atoms, with_formal_charges=charged, with_bonds=bonds)
    y = np.zeros((len(batch), 1), np.float32) if tasks is None else _labels(batch, tasks)
    if ids is None:
        ids = [text or "" for text in batch.smiles]
    if charged and not bonds:
        names = batch.ids or [text or f"molecule {i}" for i, text in enumerate(batch.smiles)]
        warn_of_charges(batch.charges, names, KEPT)
    names = np.array(ragged.as_ids(ids, len(batch)), dtype=object)
    return NumpyDataset(X, y, np.ones_like(y), names)


def _labels(batch: Molecules, tasks: Sequence[str]) -> np.ndarray:
    tasks = [tasks] if isinstance(tasks, str) else list(tasks)
    if not tasks or any(task not in batch.properties for task in tasks):
        raise ValueError(f"tasks={tasks}: choose from the properties {sorted(batch.properties)}")
    y = np.empty((len(batch), len(tasks)), dtype=np.float32)
    for column, task in enumerate(tasks):
        values = batch.properties[task]
        if values.dtype.kind not in "iufb":
            raise ValueError(f"property {task!r} is text, not numbers: it cannot be a task")
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise ValueError(
                f"property {task!r} is not finite for molecules {_listing(bad)}; leave them out"
            )
        y[:, column] = values
    return y


def _listing(indices: np.ndarray, limit: int = 20) -> str:
    shown = ", ".join(str(i) for i in indices[:limit])
    return shown + (f" and {indices.size - limit} more" if indices.size > limit else "")

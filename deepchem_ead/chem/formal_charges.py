"""Formal charges in the dense dataset layout: its fifth column."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deepchem_ead.chem.batch import Molecules

_NAMED = 3


def formal_charges(batch: Molecules) -> np.ndarray:
    """Formal charge of each atom, int8, shape (A,); see :meth:`MoleculeBatch.formal_charges`."""
    charges = np.zeros(len(batch.atomic_numbers), np.int8)
    for i, total in enumerate(batch.charges.tolist()):
        own = slice(int(batch.offsets[i]), int(batch.offsets[i + 1]))
        charges[own] = _of_molecule(batch, i, total)
    return charges


def _of_molecule(batch: Molecules, i: int, total: int) -> np.ndarray | list[int]:
    graph = batch.graph(i)
    given = graph is not None and (graph.bonds is not None or graph.formal_charges.any())
    if given and graph.formal_charges.sum() == total:
        return graph.formal_charges
    numbers, _ = batch.atoms(i)
    mol = batch[i].to_rdkit()[0]
    if mol is not None:
        charges = [atom.GetFormalCharge() for atom in mol.GetAtoms()]
        if sum(charges) == total:
            return charges
    charges = np.zeros(len(numbers), np.int8)
    if len(numbers):
        charges[int(np.argmax(numbers > 1))] = total
    return charges


def add_formal_charges(X: np.ndarray, batch: Molecules) -> np.ndarray:
    """X (N, max_atoms, 4) of a batch with the formal charges as a fifth column, float32."""
    column = np.zeros((*X.shape[:2], 1), np.float32)
    column[np.arange(X.shape[1]) < batch.counts[:, None], 0] = batch.formal_charges()
    return np.concatenate([X, column], axis=2)


def warn_of_charges(
    charges: np.ndarray, names: Sequence[str], consequence: str, stacklevel: int = 3
) -> None:
    """Warn in one line about molecules with a total charge, if there are any.

    Parameters
    ----------
    charges : (N,) ints
        Total charges.
    names : (N,) str
    consequence : str
        What becomes of the charges.
    """
    charged = np.flatnonzero(charges)
    if charged.size:
        first = ", ".join(f"{names[i]} ({int(charges[i]):+d})" for i in charged[:_NAMED])
        more = f" and {charged.size - _NAMED} more" if charged.size > _NAMED else ""
        warnings.warn(
            f"{charged.size} of {len(charges)} molecules have a charge: {first}{more}; "
            f"{consequence}",
            stacklevel=stacklevel + 1,
        )


#: What becomes of charges in a dataset.
KEPT = (
    "X keeps the formal charges as a fifth column, but the models of this package do not know "
    "charges"
)

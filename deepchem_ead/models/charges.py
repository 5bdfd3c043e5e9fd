"""Charged molecules, and models that know no charges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.formal_charges import warn_of_charges
from deepchem_ead.errors import MoleculeError

if TYPE_CHECKING:
    from deepchem.data import Dataset

#: What becomes of charges in a model.
IGNORED = "this model does not know charges and takes these molecules by their elements alone"


def warn_of_ignored_charges(dataset: Dataset, known: bool = False) -> None:
    """Warn once about the molecules of a dataset whose formal charges (X's fifth column) are lost.

    Parameters
    ----------
    dataset : dc.data.Dataset
        X of shape (N, atoms, 4) holds no charges, with 5 or 11 columns formal charges.
    known : bool
        The model knows charges: they are only checked.

    Raises
    ------
    MoleculeError
        If what should be a formal charge is no whole number; names the molecule.
    """
    shape = dataset.get_shape()[0]
    if len(shape) != 3 or shape[2] not in (5, 11):
        return
    charges: list[np.ndarray] = []
    names: list[str] = []
    for X, _, _, ids in dataset.iterbatches(4096, deterministic=True):
        names.extend(str(name) or f"molecule {len(names)}" for name in ids)
        odd = (X[:, :, 4] != np.rint(X[:, :, 4])).any(1)
        if odd.any():
            raise MoleculeError(
                f"{names[int(odd.argmax()) - len(X)]}: the fifth column of X holds formal charges, "
                "and one of them is no whole number; give X four columns, or formal charges"
            )
        charges.append(X[:, :, 4].sum(1))
    if not known:
        warn_of_charges(np.concatenate(charges), names, IGNORED)

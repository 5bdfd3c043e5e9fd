"""Formal charges in the dense dataset layout: its fifth column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.batch import Molecules

_NAMED = 3


def add_formal_charges(X: np.ndarray, batch: Molecules) -> np.ndarray:
    """X (N, max_atoms, 4) of a batch with the formal charges as a fifth column, float32."""
    column = np.zeros((*X.shape[:2], 1), np.float32)
    column[np.arange(X.shape[1]) < batch.counts[:, None], 0] = batch.formal_charges()
    return np.concatenate([X, column], axis=2)


def warn_of_charges(charges: np.ndarray, names: Sequence[str], consequence: str) -> None:
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
        warn_caller(
            f"{charged.size} of {len(charges)} molecules have a charge: {first}{more}; "
            f"{consequence}"
        )


#: What becomes of charges in a dataset.
KEPT = "X keeps the formal charges as a fifth column, but models without bonds do not know charges"

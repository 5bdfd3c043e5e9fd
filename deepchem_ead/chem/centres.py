"""Which atoms of a graph may be stereocentres."""

from __future__ import annotations

import numpy as np

from deepchem_ead.bonding import BOND_STRIDE

#: Atoms with a lone pair that can stand for a fourth neighbour: N, P, S, As, Se, Te.
_PYRAMIDAL = (7, 15, 16, 33, 34, 52)


def possible_centres(numbers: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Atoms (..., n) bool with four neighbours, or three and a lone pair, at most one a hydrogen.

    Parameters
    ----------
    numbers : ndarray, (..., n)
        Atomic numbers.
    columns : ndarray, (..., n, S)
        Bonds (`deepchem_ead.chem.bond_columns`).
    """
    bonds = np.maximum(columns, 0).astype(np.int64)
    is_hydrogen = numbers == 1
    flat = bonds.reshape(*bonds.shape[:-2], -1) // BOND_STRIDE
    partner_is_hydrogen = np.take_along_axis(is_hydrogen, flat, -1).reshape(bonds.shape)
    degree = (bonds > 0).sum(-1)
    few_hydrogens = (partner_is_hydrogen & (bonds > 0)).sum(-1) <= 1
    return few_hydrogens & ((degree == 4) | ((degree == 3) & np.isin(numbers, _PYRAMIDAL)))

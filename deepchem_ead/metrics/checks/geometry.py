"""Angles and planes that several checks measure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from rdkit import Chem


@cache
def van_der_waals() -> np.ndarray:
    """Radii by atomic number, Angstrom; 0 of none."""
    table = Chem.GetPeriodicTable()
    return np.array([0.0] + [table.GetRvdw(number) for number in range(1, 119)])


def dihedrals(x: np.ndarray, atoms: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """Torsions a-b-c-d, shape (k,), in degrees, -180 to 180, of k rows of four atoms."""
    a, b, c, d = np.moveaxis(np.asarray(x, float)[np.reshape(atoms, (-1, 4)).astype(int)], 1, 0)
    axis = c - b
    left, right = np.cross(axis, a - b), np.cross(axis, d - c)
    length = np.linalg.norm(axis, axis=1)
    side = np.sum(np.cross(left, right) * axis, axis=1) / length
    return np.degrees(np.arctan2(side, np.sum(left * right, axis=1)))


def out_of_plane(x: np.ndarray) -> float:
    """Largest distance of points (n, 3) from their best plane, Angstrom."""
    centred = x - x.mean(axis=0)
    normal = np.linalg.svd(centred)[2][-1]
    return float(np.abs(centred @ normal).max())


def twist(mol: Chem.Mol, x: np.ndarray, bond: Chem.Bond) -> float | None:
    """How far a bond's two ends are from one plane, degrees; None where an end has no substituent.

    Mean over pairs of substituents, so that a pyramid at one end, which moves them in opposite
    ways, counts little.
    """
    b, c = bond.GetBeginAtom(), bond.GetEndAtom()
    left = [n.GetIdx() for n in b.GetNeighbors() if n.GetIdx() != c.GetIdx()]
    right = [n.GetIdx() for n in c.GetNeighbors() if n.GetIdx() != b.GetIdx()]
    if not left or not right:
        return None
    turns = np.abs(dihedrals(x, [(i, b.GetIdx(), c.GetIdx(), j) for i in left for j in right]))
    return float(np.mean(np.minimum(turns, 180 - turns)))


def label(mol: Chem.Mol, *atoms: int) -> str:
    """Atoms as ``C3-N4``."""
    return "-".join(f"{mol.GetAtomWithIdx(i).GetSymbol()}{i}" for i in atoms)

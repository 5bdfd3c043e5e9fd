"""Angles and planes that several checks measure."""

from __future__ import annotations

import numpy as np
from rdkit import Chem


def dihedral(x: np.ndarray, a: int, b: int, c: int, d: int) -> float:
    """Torsion a-b-c-d in degrees, -180 to 180."""
    axis = x[c] - x[b]
    left, right = np.cross(axis, x[a] - x[b]), np.cross(axis, x[d] - x[c])
    length = np.linalg.norm(axis)
    return float(np.degrees(np.arctan2(np.dot(np.cross(left, right), axis) / length, left @ right)))


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
    turns = [abs(dihedral(x, i, b.GetIdx(), c.GetIdx(), j)) for i in left for j in right]
    return float(np.mean([min(turn, 180 - turn) for turn in turns]))


def label(mol: Chem.Mol, *atoms: int) -> str:
    """Atoms as ``C3-N4``."""
    return "-".join(f"{mol.GetAtomWithIdx(i).GetSymbol()}{i}" for i in atoms)

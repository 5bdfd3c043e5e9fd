"""Flat tetrahedral centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, Column
from deepchem_ead.metrics.checks.worst import Measured, WorstOf

_IDEAL = 8 / (9 * np.sqrt(3))  # volume between the unit vectors of a regular tetrahedron


def flatness(x: np.ndarray, centre: int, neighbours: list[int]) -> float:
    """Volume between unit vectors to four neighbours; 1: regular tetrahedron, 0: flat."""
    u = x[neighbours] - x[centre]
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    return float(abs(np.linalg.det(u[1:] - u[0])) / 6 / _IDEAL)


def tetrahedra(mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
    """Volumes at atoms of C, N, Si, P, B with four neighbours, with the atoms."""
    return [
        (flatness(x, a.GetIdx(), [n.GetIdx() for n in a.GetNeighbors()]), (a.GetIdx(),))
        for a in mol.GetAtoms()
        if a.GetDegree() == 4 and a.GetAtomicNum() in (5, 6, 7, 14, 15)
    ]


@CHECKS.register("tetrahedra")
@dataclass(frozen=True)
class Tetrahedra(WorstOf):
    """No atom with four neighbours is flat, as if between two enantiomers.

    Parameters
    ----------
    limit : float
        Smallest volume, as a fraction of a regular tetrahedron's.
    """

    name = "tetrahedra"
    columns = {
        "tetrahedron_volume": Column("of the flattest, 1 for a regular one", "mean", "higher")
    }
    largest_is_worst = False
    limit: float = 0.5

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        return tetrahedra(mol, x)

    def fault(self, place: str, worst: float) -> str:
        return f"{place} is flat (volume {worst:.2f})"

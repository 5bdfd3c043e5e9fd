"""Flat tetrahedral centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label
from deepchem_ead.metrics.view import MoleculeView

_IDEAL = 8 / (9 * np.sqrt(3))  # volume between the unit vectors of a regular tetrahedron


def flatness(x: np.ndarray, centre: int, neighbours: list[int]) -> float:
    """Volume between unit vectors to four neighbours; 1: regular tetrahedron, 0: flat."""
    u = x[neighbours] - x[centre]
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    return float(abs(np.linalg.det(u[1:] - u[0])) / 6 / _IDEAL)


def tetrahedra(mol: Chem.Mol, x: np.ndarray) -> list[tuple[float, int]]:
    """Volumes at atoms of C, N, Si, P, B with four neighbours, with the atoms."""
    return [
        (flatness(x, a.GetIdx(), [n.GetIdx() for n in a.GetNeighbors()]), a.GetIdx())
        for a in mol.GetAtoms()
        if a.GetDegree() == 4 and a.GetAtomicNum() in (5, 6, 7, 14, 15)
    ]


@CHECKS.register("tetrahedra")
@dataclass(frozen=True)
class Tetrahedra(BaseCheck):
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
    limit: float = 0.5

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = tetrahedra(view.mol, view.positions)
        if not found:
            return NOTHING
        worst, atom = min(found)
        reason = f"{label(view.mol, atom)} is flat (volume {worst:.2f})"
        return judged(worst >= self.limit, reason, tetrahedron_volume=worst)

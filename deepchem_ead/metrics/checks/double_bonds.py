"""Twisted double bonds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, Column
from deepchem_ead.metrics.checks.geometry import twist
from deepchem_ead.metrics.checks.worst import Measured, WorstOf


def double_bond_twists(mol: Chem.Mol, x) -> list[Measured]:
    """Twists in degrees of C=C, C=N and N=N bonds outside rings, with their atoms."""
    found: list[Measured] = []
    for bond in mol.GetBonds():
        if bond.GetBondType() != Chem.BondType.DOUBLE or bond.IsInRing():
            continue
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if any(a.GetAtomicNum() not in (6, 7) or a.GetTotalDegree() > 3 for a in ends):
            continue
        if any(len([b for b in a.GetBonds() if b.GetBondTypeAsDouble() > 1]) > 1 for a in ends):
            continue  # a cumulene has another shape
        angle = twist(mol, x, bond)
        if angle is not None:
            found.append((angle, (ends[0].GetIdx(), ends[1].GetIdx())))
    return found


@CHECKS.register("double_bonds")
@dataclass(frozen=True)
class DoubleBonds(WorstOf):
    """No C=C, C=N or N=N bond outside rings is twisted.

    Parameters
    ----------
    limit : float
        Degrees.
    """

    name = "double_bonds"
    columns = {"double_bond_twist": Column("of the worst, degrees", "mean", "lower")}
    limit: float = 20.0

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        return double_bond_twists(mol, x)

    def fault(self, place: str, worst: float) -> str:
        return f"{place} is twisted by {worst:.0f} degrees"

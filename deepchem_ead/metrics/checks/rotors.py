"""Eclipsed rotors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, Column
from deepchem_ead.metrics.checks.geometry import dihedrals
from deepchem_ead.metrics.checks.worst import Measured, WorstOf

_ROTOR = "[CX4;!r3;!r4]-!@[CX4;!r3;!r4]"


@cache
def _pattern() -> Chem.Mol:
    return Chem.MolFromSmarts(_ROTOR)


def staggering(mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
    """How far each rotor is from eclipsed, degrees (60: staggered), with its bond's atoms.

    The smallest torsion between three substituents and three others.
    """
    found: list[Measured] = []
    for b, c in mol.GetSubstructMatches(_pattern()):
        left = [n.GetIdx() for n in mol.GetAtomWithIdx(b).GetNeighbors() if n.GetIdx() != c]
        right = [n.GetIdx() for n in mol.GetAtomWithIdx(c).GetNeighbors() if n.GetIdx() != b]
        turns = np.abs(dihedrals(x, [(i, b, c, j) for i in left for j in right]))
        found.append((float(np.mean(np.sort(turns)[:3])), (b, c)))
    return found


@CHECKS.register("rotors")
@dataclass(frozen=True)
class Rotors(WorstOf):
    """No bond between two tetrahedral carbons outside rings is eclipsed.

    Parameters
    ----------
    limit : float
        Smallest mean of the three smallest torsions, degrees.
    """

    name = "rotors"
    columns = {"rotor_torsion": Column("of the most eclipsed rotor, degrees", "mean")}
    largest_is_worst = False
    limit: float = 20.0

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        return staggering(mol, x)

    def fault(self, place: str, worst: float) -> str:
        return f"{place} is eclipsed ({worst:.0f} degrees)"

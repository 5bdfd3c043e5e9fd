"""Eclipsed rotors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import dihedral, label
from deepchem_ead.metrics.view import MoleculeView

_ROTOR = "[CX4;!r3;!r4]-!@[CX4;!r3;!r4]"


@cache
def _pattern() -> Chem.Mol:
    return Chem.MolFromSmarts(_ROTOR)


def staggering(mol: Chem.Mol, x: np.ndarray) -> list[tuple[float, tuple[int, int]]]:
    """How far each rotor is from eclipsed, degrees (60: staggered), with its bond's atoms.

    The smallest torsion between three substituents and three others.
    """
    found = []
    for b, c in mol.GetSubstructMatches(_pattern()):
        left = [n.GetIdx() for n in mol.GetAtomWithIdx(b).GetNeighbors() if n.GetIdx() != c]
        right = [n.GetIdx() for n in mol.GetAtomWithIdx(c).GetNeighbors() if n.GetIdx() != b]
        turns = [abs(dihedral(x, i, b, c, j)) for i in left for j in right]
        found.append((float(np.mean(np.sort(turns)[:3])), (b, c)))
    return found


@CHECKS.register("rotors")
@dataclass(frozen=True)
class Rotors(BaseCheck):
    """No bond between two tetrahedral carbons outside rings is eclipsed.

    Parameters
    ----------
    limit : float
        Smallest mean of the three smallest torsions, degrees.
    """

    name = "rotors"
    columns = {"rotor_torsion": Column("of the most eclipsed rotor, degrees", "mean")}
    limit: float = 20.0

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = staggering(view.mol, view.positions)
        if not found:
            return NOTHING
        worst, atoms = min(found)
        reason = f"{label(view.mol, *atoms)} is eclipsed ({worst:.0f} degrees)"
        return judged(worst >= self.limit, reason, rotor_torsion=worst)

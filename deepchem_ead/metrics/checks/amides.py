"""Twisted amides and esters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label, twist
from deepchem_ead.metrics.view import MoleculeView

_AMIDE = "[CX3](=[O,S])-!@[NX3;!r3]"
_ESTER = "[CX3](=O)-!@[OX2;$(O-[#6])]"


@cache
def _patterns() -> dict[str, Chem.Mol]:
    return {"amide": Chem.MolFromSmarts(_AMIDE), "ester": Chem.MolFromSmarts(_ESTER)}


def twists(mol: Chem.Mol, x, kind: str) -> list[tuple[float, tuple[int, int]]]:
    """Twists in degrees of the C-N or C-O bonds of amides or esters outside rings."""
    found = []
    for carbon, _, hetero in mol.GetSubstructMatches(_patterns()[kind]):
        angle = twist(mol, x, mol.GetBondBetweenAtoms(carbon, hetero))
        if angle is not None:
            found.append((angle, (carbon, hetero)))
    return found


@dataclass(frozen=True)
class _Planar(BaseCheck):
    limit: float = 0.0
    kind = ""

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = twists(view.mol, view.positions, self.kind)
        if not found:
            return NOTHING
        worst, atoms = max(found)
        reason = f"{label(view.mol, *atoms)} is twisted by {worst:.0f} degrees"
        return judged(worst <= self.limit, reason, **{f"{self.kind}_twist": worst})


@CHECKS.register("amides")
@dataclass(frozen=True)
class Amides(_Planar):
    """The C-N bonds of amides outside rings are planar; ``limit`` in degrees.

    Those of aziridines are not meant: their nitrogen stays a pyramid.
    """

    name, kind = "amides", "amide"
    columns = {"amide_twist": Column("of the worst, degrees", "mean", "lower")}
    limit: float = 40.0


@CHECKS.register("esters")
@dataclass(frozen=True)
class Esters(_Planar):
    """The C-O bonds of esters outside rings are planar; ``limit`` in degrees."""

    name, kind = "esters", "ester"
    columns = {"ester_twist": Column("of the worst, degrees", "mean", "lower")}
    limit: float = 40.0

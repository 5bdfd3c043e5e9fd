"""Twisted amides and esters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, Column
from deepchem_ead.metrics.checks.geometry import twist
from deepchem_ead.metrics.checks.worst import Measured, WorstOf

_AMIDE = "[CX3](=[O,S])-!@[NX3;!r3]"
_ESTER = "[CX3](=O)-!@[OX2;$(O-[#6])]"


@cache
def _patterns() -> dict[str, Chem.Mol]:
    return {"amide": Chem.MolFromSmarts(_AMIDE), "ester": Chem.MolFromSmarts(_ESTER)}


def twists(mol: Chem.Mol, x, kind: str) -> list[Measured]:
    """Twists in degrees of the C-N or C-O bonds of amides or esters outside rings."""
    found: list[Measured] = []
    for carbon, _, hetero in mol.GetSubstructMatches(_patterns()[kind]):
        angle = twist(mol, x, mol.GetBondBetweenAtoms(carbon, hetero))
        if angle is not None:
            found.append((angle, (carbon, hetero)))
    return found


@dataclass(frozen=True)
class _Planar(WorstOf):
    limit: float = 0.0
    kind = ""

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        return twists(mol, x, self.kind)

    def fault(self, place: str, worst: float) -> str:
        return f"{place} is twisted by {worst:.0f} degrees"


@CHECKS.register("amides")
@dataclass(frozen=True)
class Amides(_Planar):
    """The C-N bonds of amides outside rings are planar, within ``limit`` degrees.

    Those of aziridines are not meant: their nitrogen stays a pyramid.
    """

    name, kind = "amides", "amide"
    columns = {"amide_twist": Column("of the worst, degrees", "mean", "lower")}
    limit: float = 40.0


@CHECKS.register("esters")
@dataclass(frozen=True)
class Esters(_Planar):
    """The C-O bonds of esters outside rings are planar, within ``limit`` degrees."""

    name, kind = "esters", "ester"
    columns = {"ester_twist": Column("of the worst, degrees", "mean", "lower")}
    limit: float = 40.0

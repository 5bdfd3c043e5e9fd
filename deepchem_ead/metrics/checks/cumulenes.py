"""Neighbouring double bonds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView

_SMALL = "r3,r4,r5,r6,r7"
_WRONG = {
    "three or more double bonds in a row": "*=[*X2]=[*X2]=*",
    "two double bonds in a row in a small ring": f"[{_SMALL}]=[X2;{_SMALL}]=[{_SMALL}]",
    "a triple bond in a small ring": f"[{_SMALL}]#[{_SMALL}]",
    "an allene, ketene or ketenimine": "[#6]=[#6X2]=[#6,#7,#8]",
}


@cache
def _patterns() -> dict[str, Chem.Mol]:
    return {name: Chem.MolFromSmarts(text) for name, text in _WRONG.items()}


@CHECKS.register("cumulenes")
@dataclass(frozen=True)
class Cumulenes(BaseCheck):
    """No allenes, ketenes and longer rows of double bonds, and none bent into small rings.

    They exist, but hardly where molecules are made: QM9 has none. Isocyanates, carbodiimides,
    azides and diazo compounds are not meant.
    """

    name = "cumulenes"

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = [name for name, part in _patterns().items() if view.mol.HasSubstructMatch(part)]
        return judged(not found, ", ".join(found))

"""The strict protocol, from the coordinates alone."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics import strict
from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Column, Outcome
from deepchem_ead.metrics.checks.protocol import protocol_score
from deepchem_ead.metrics.score import MoleculeScore
from deepchem_ead.metrics.view import MoleculeView


def strict_score(view: MoleculeView) -> MoleculeScore:
    """What the strict protocol says of a molecule."""
    return protocol_score(view, strict.score)


@CHECKS.register("strict")
@dataclass(frozen=True)
class Strict(BaseCheck):
    """Connected, closed shells, no hydrogen added, every atom's state in the table.

    It knows no bond longer than EDM's, as strained cages have, so that no molecule is unsound by
    it: `structure`, `connected`, `closed_shell` and `valence` say the same with reasons.
    """

    name = "strict"
    judges = False
    columns = {"strict": Column("valid by the strict protocol", "share", "higher")}

    def __call__(self, view: MoleculeView) -> Outcome:
        return Outcome(columns={"strict": view.once(strict_score).valid})

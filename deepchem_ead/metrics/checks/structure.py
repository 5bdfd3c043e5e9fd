"""Whether there is a molecule at all."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("structure")
@dataclass(frozen=True)
class Structure(BaseCheck):
    """Coordinates are finite and RDKit accepts the bonds that came with them or that follow from
    them: a closed-shell Lewis structure of the total charge. The reason is that of
    `MoleculeBatch.reasons`."""

    name = "structure"

    def __call__(self, view: MoleculeView) -> Outcome:
        return judged(view.smiles is not None, view.reason or "RDKit cannot write its SMILES")

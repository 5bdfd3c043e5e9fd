"""Stereo labels that came with a molecule, beside its coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("declared_stereo")
@dataclass(frozen=True)
class DeclaredStereo(BaseCheck):
    """The coordinates have the stereo that an RDKit molecule's labels declare.

    Labels that it does not have, and molecules from files, whose stereo is read from the
    coordinates, are not judged.
    """

    name = "declared_stereo"

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.declared is None or view.mol is None:
            return NOTHING
        with rdBase.BlockLogs():
            declared = Chem.MolFromSmiles(view.declared)
            if declared is None:
                return NOTHING
            # Labels count, not centres that were left open.
            shown = Chem.MolFromSmiles(view.smiles or "")
        fits = shown.HasSubstructMatch(declared, useChirality=True)
        return judged(fits, f"{view.smiles} instead of {view.declared}")

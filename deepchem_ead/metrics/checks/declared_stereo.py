"""Stereo that somebody declared, beside that of the coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("declared_stereo")
@dataclass(frozen=True)
class DeclaredStereo(BaseCheck):
    """The coordinates have the stereo that the molecule's labels or its file's SMILES declare.

    An RDKit molecule has labels; a record of a file may have a SMILES as a tag or name. The block
    of atoms and bonds of an SDF declares nothing: with coordinates in 3D, parities and wedges are
    not read (Dalby et al., J. Chem. Inf. Comput. Sci. 32, 244 (1992), and RDKit). Labels count,
    not centres left open; a SMILES of other bonds is not judged.
    """

    name = "declared_stereo"

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.declared is None or view.mol is None:
            return NOTHING
        with rdBase.BlockLogs():
            declared, shown = Chem.MolFromSmiles(view.declared), Chem.MolFromSmiles(view.smiles)
        if declared is None or shown is None or not shown.HasSubstructMatch(declared):
            return NOTHING
        fits = shown.HasSubstructMatch(declared, useChirality=True)
        return judged(fits, f"{view.smiles} instead of {view.declared}")

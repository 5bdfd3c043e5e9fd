"""Stereo centres and double bonds."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("stereo")
@dataclass(frozen=True)
class Stereo(BaseCheck):
    """The geometry decides every carbon centre and double bond that may have stereo."""

    name = "stereo"
    columns = {
        "n_stereo_centres": Column("tetrahedral ones", "mean"),
        "n_stereo_bonds": Column("double bonds with E or Z", "mean"),
    }

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = [
            each
            for each in Chem.FindPotentialStereo(view.mol, cleanIt=True)
            if each.type == Chem.StereoType.Bond_Double
            or view.mol.GetAtomWithIdx(each.centeredOn).GetAtomicNum() == 6
        ]
        open_ones = [s for s in found if s.specified != Chem.StereoSpecified.Specified]
        kinds = [s.type for s in found]
        where = ", ".join(
            f"{'atom' if s.type == Chem.StereoType.Atom_Tetrahedral else 'bond'} {s.centeredOn}"
            for s in open_ones
        )
        return judged(
            not open_ones,
            f"undecided at {where}",
            n_stereo_centres=kinds.count(Chem.StereoType.Atom_Tetrahedral),
            n_stereo_bonds=kinds.count(Chem.StereoType.Bond_Double),
        )

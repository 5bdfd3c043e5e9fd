"""Valences by element, charge and aromatic bonds."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.chem.perception import state_allowed
from deepchem_ead.chem.rdkit_io import atoms_of
from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Outcome, judged
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("valence")
@dataclass(frozen=True)
class Valence(BaseCheck):
    """Every atom's (element, charge) has its (aromatic bonds, other valence) in the table.

    Tables of that kind replace EDM's, which know neither charges nor aromatic bonds and count
    aromatic ones as one or two: Nikitin et al., "GEOM-Drugs Revisited", arXiv:2505.00169. The
    entries are derived in `deepchem_ead.chem.perception`. Where there is no structure the reason
    is that of `structure`.
    """

    name = "valence"

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return judged(False, view.reason or "")
        wrong = [atom for atom in atoms_of(view.mol) if not state_allowed(atom)]
        names = [
            f"{a.GetSymbol()}{a.GetIdx()} ({a.GetFormalCharge():+d}, valence {a.GetTotalValence()})"
            for a in wrong
        ]
        return judged(not wrong, ", ".join(names))

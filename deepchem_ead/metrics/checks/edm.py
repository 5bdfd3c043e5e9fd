"""EDM's stability and validity, from the coordinates alone."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.chem.rdkit_io import bond_vocabulary
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import edm
from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Column, Outcome
from deepchem_ead.metrics.score import EMPTY, MoleculeScore
from deepchem_ead.metrics.view import MoleculeView


def edm_score(view: MoleculeView) -> MoleculeScore:
    """What EDM's protocol says of a molecule; elements that it does not know are invalid."""
    vocabulary = view.vocabulary or bond_vocabulary(view.numbers) or "geom"
    try:
        return edm.score(view.numbers, view.positions, view.charge, vocabulary)
    except MoleculeError:
        return EMPTY._replace(n_atoms=len(view))


@CHECKS.register("edm")
@dataclass(frozen=True)
class EDM(BaseCheck):
    """Hoogeboom et al., arXiv:2203.17003. Known to be wrong about charges, fragments and radicals,
    so that no molecule is unsound by it."""

    name = "edm"
    judges = False
    columns = {
        "validity": Column("RDKit accepts the largest fragment", "share", "higher"),
        "molecule_stability": Column("all atoms have an allowed valence", "share", "higher"),
    }

    def __call__(self, view: MoleculeView) -> Outcome:
        score = view.once(edm_score)
        return Outcome(columns={"validity": score.valid, "molecule_stability": score.stable})

"""EDM's stability and validity, from the coordinates alone."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics import edm
from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Column, Outcome
from deepchem_ead.metrics.checks.protocol import protocol_score
from deepchem_ead.metrics.score import MoleculeScore
from deepchem_ead.metrics.view import MoleculeView


def edm_score(view: MoleculeView) -> MoleculeScore:
    """What EDM's protocol says of a molecule."""
    return protocol_score(view, edm.score)


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

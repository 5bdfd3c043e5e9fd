"""Whether it is one molecule."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Outcome, judged
from deepchem_ead.metrics.checks.edm import edm_score
from deepchem_ead.metrics.view import MoleculeView


@CHECKS.register("connected")
@dataclass(frozen=True)
class Connected(BaseCheck):
    """The bonds join all atoms; those of EDM's lengths where there is no structure."""

    name = "connected"

    def __call__(self, view: MoleculeView) -> Outcome:
        n = view.n_fragments if view.mol is not None else view.once(edm_score).n_fragments
        return judged(n == 1, f"{n} fragments")

"""Published errors of conditional generation on QM9, to stand beside a report.

Mean absolute errors in Bohr^3, meV, meV, meV, D and cal/mol/K (EDM's convention of Cv), as the
papers print them: each with its own classifier, 10,000 molecules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_TASKS = ("alpha", "gap", "homo", "lumo", "mu", "Cv_edm")
_EDM = "EDM, Hoogeboom et al., arXiv:2203.17003"
_EAD = "EAD, arXiv:2603.10093"


@dataclass(frozen=True)
class ConditionalRow:
    """One row of errors.

    Attributes
    ----------
    name : str
    kind : {"published", "measured"}
    source : str
        Paper, or how it was measured.
    errors : mapping of str to float
        Mean absolute error of each task in the field's unit.
    """

    name: str
    kind: str
    source: str
    errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Row label for :meth:`deepchem_ead.metrics.ConditionalReport.table`."""
        return f"{self.name} ({self.kind})"


def _published(name: str, source: str, *errors: float) -> ConditionalRow:
    return ConditionalRow(name, "published", source, dict(zip(_TASKS, errors, strict=True)))


#: Generators, then what bounds them: EDM's classifier on real molecules, and no structure at all.
CONDITIONAL_ROWS: tuple[ConditionalRow, ...] = (
    _published("EAD", _EAD, 2.24, 564, 318, 516, 0.999, 0.945),
    _published("GeoBFN", _EAD, 2.34, 577, 328, 516, 0.998, 0.949),
    _published("GeoLDM", _EAD, 2.37, 587, 340, 522, 1.108, 1.025),
    _published("EDM", _EDM, 2.76, 655, 356, 584, 1.111, 1.101),
    _published("classifier floor", _EDM, 0.10, 64, 39, 36, 0.043, 0.040),
    _published("#Atoms", _EDM, 3.86, 866, 426, 813, 1.053, 1.971),
)

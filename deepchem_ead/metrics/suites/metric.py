"""Any number of a suite as a metric of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepchem_ead.metrics.checks import CHECKS
from deepchem_ead.metrics.checks.check import Cell, Outcome, require
from deepchem_ead.metrics.comparisons import COMPARISONS
from deepchem_ead.metrics.metric import Views
from deepchem_ead.metrics.sets import SETS
from deepchem_ead.metrics.sets.number import SUMMARIES
from deepchem_ead.metrics.sets.sample import Sample


@dataclass(frozen=True)
class SuiteMetric:
    """A row of a report's summary, computed here and now.

    Attributes
    ----------
    name : str
        Of the row: "posebusters", "strain_kcal", "fcd".
    part : object
        The check, comparison or numbers that it comes from.
    """

    name: str
    part: Any

    @property
    def needs(self) -> frozenset[str]:
        """What it has to be given besides molecules."""
        return getattr(self.part, "needs", frozenset())

    def __call__(self, views: Views, reference: Any = None) -> float:
        """The number of these molecules."""
        require(self.part.packages, self.part.name)
        known = Sample({}, 0)
        if "reference" in self.needs:
            own = self.part.reference_features
            features = self.part.features if own is None else own
            known = Sample.of(Views.of(reference).each, features)
        if hasattr(self.part, "rows"):
            return self.part(Sample.of(views.each, self.part.features), known)[self.name]
        outcomes = self._outcomes(views, known)
        cells: list[Cell]
        if self.name == self.part.name and self.part.judges:
            summary, cells = "share", [each.passed for each in outcomes]
        else:
            summary = self.part.columns[self.name].summary
            cells = [each.columns.get(self.name) for each in outcomes]
        values = np.array([cell for cell in cells if cell is not None], float)
        return SUMMARIES[summary](values, 0.0).value

    def _outcomes(self, views: Views, known: Sample) -> list[Outcome]:
        if hasattr(self.part, "features"):
            return self.part(Sample.of(views.each, self.part.features), known)
        return [self.part(view) for view in views.each]


def suite_metrics() -> dict[str, SuiteMetric]:
    """Every number that a suite can have, by name."""
    found = {}
    for registry in (CHECKS, COMPARISONS, SETS):
        for name in registry:
            part = registry[name]
            part = part() if isinstance(part, type) else part
            for row in rows_of(part):
                found[row] = SuiteMetric(row, part)
    return found


def rows_of(part: Any) -> list[str]:
    """Names of the numbers of a check, comparison or set metric."""
    if hasattr(part, "rows"):
        return list(part.rows)
    own = [part.name] if part.judges else []
    return own + [name for name, column in part.columns.items() if column.summary]

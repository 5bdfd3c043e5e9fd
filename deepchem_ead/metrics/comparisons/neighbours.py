"""The nearest molecule of the reference."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import DataStructs

from deepchem_ead.metrics.checks.check import NOTHING, Column, Outcome
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison
from deepchem_ead.metrics.sets.diversity import fingerprints
from deepchem_ead.metrics.sets.sample import Sample


@COMPARISONS.register("neighbours")
@dataclass(frozen=True)
class Neighbours(BaseComparison):
    """Tanimoto similarity to it by Morgan fingerprints of radius 2; measures only.

    Its cost is that of N times M comparisons: minutes for ten thousand beside a hundred thousand.
    """

    name = "neighbours"
    judges = False
    features = ("constitution",)
    columns = {"nearest_similarity": Column("to the nearest molecule of the reference", "mean")}

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        known = [each for each in reference.derive(fingerprints) if each is not None]
        found = []
        for own in sample.derive(fingerprints):
            if own is None or not known:
                found.append(NOTHING)
                continue
            nearest = max(DataStructs.BulkTanimotoSimilarity(own, known))
            found.append(Outcome(columns={"nearest_similarity": nearest}))
        return found

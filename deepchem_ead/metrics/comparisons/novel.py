"""Which molecules the reference has."""

from __future__ import annotations

from dataclasses import dataclass

from deepchem_ead.metrics.checks.check import Column, Outcome
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison
from deepchem_ead.metrics.sets.sample import Sample


def constitutions(reference: Sample) -> frozenset[str]:
    """Distinct constitutions."""
    return frozenset(reference.known("constitution"))


def isomers(reference: Sample) -> frozenset[str]:
    """Distinct stereoisomers."""
    return frozenset(reference.known("smiles"))


@COMPARISONS.register("novel")
@dataclass(frozen=True)
class Novel(BaseComparison):
    """By constitution (bonds without stereo) and by stereoisomer."""

    name = "novel"
    judges = False
    features = ("constitution", "smiles")
    columns = {
        "novel_constitution": Column("the reference has no molecule with these bonds", "share"),
        "novel_isomer": Column("nor, with these, its stereo", "share"),
    }

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        bonds, stereo = reference.whole(constitutions), reference.whole(isomers)
        pairs = zip(sample["constitution"], sample["smiles"], strict=True)
        return [
            Outcome(
                columns={
                    "novel_constitution": None if flat is None else flat not in bonds,
                    "novel_isomer": None if full is None else full not in stereo,
                }
            )
            for flat, full in pairs
        ]

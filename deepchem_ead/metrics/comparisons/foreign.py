"""Groups and ring systems that the reference does not have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from deepchem_ead.metrics.checks.check import NOTHING, Column, Outcome, judged
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison
from deepchem_ead.metrics.sets.sample import Sample


def _groups(reference: Sample) -> frozenset[str]:
    return frozenset(group for each in reference.known("groups") for group in each)


def _ring_systems(reference: Sample) -> Counter:
    """Molecules of the reference by ring system."""
    return Counter(system for each in reference.known("ring_systems") for system in set(each))


@COMPARISONS.register("known_groups")
@dataclass(frozen=True)
class KnownGroups(BaseComparison):
    """Every functional group occurs in the reference; see `deepchem_ead.metrics.sets.shapes`."""

    name = "known_groups"
    features = ("groups",)

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        known = reference.whole(_groups)
        found = []
        for groups in sample["groups"]:
            foreign = sorted(set(groups or ()) - known)
            found.append(NOTHING if groups is None else judged(not foreign, ", ".join(foreign)))
        return found


@COMPARISONS.register("ring_systems")
@dataclass(frozen=True)
class RingSystems(BaseComparison):
    """How often the reference has a molecule's ring systems; measures only."""

    name = "ring_systems"
    judges = False
    features = ("ring_systems",)
    columns = {
        "rings_known": Column("the reference has all of its ring systems", "share"),
        "rarest_ring": Column("share of the reference that has its rarest ring system", "median"),
    }

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        known, n = reference.whole(_ring_systems), len(reference.known("ring_systems"))
        found = []
        for systems in sample["ring_systems"]:
            if not systems:
                found.append(NOTHING)
                continue
            rarest = min(known[system] for system in systems)
            found.append(
                Outcome(columns={"rings_known": rarest > 0, "rarest_ring": rarest / max(n, 1)})
            )
        return found

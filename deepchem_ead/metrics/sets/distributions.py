"""How geometries and compositions are distributed, beside the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from deepchem_ead.metrics.sets.distances import (
    jensen_shannon,
    pooled_counts,
    pooled_values,
    wasserstein,
)
from deepchem_ead.metrics.sets.number import SETS, BaseNumbers
from deepchem_ead.metrics.sets.sample import Sample


@dataclass(frozen=True)
class _Values(BaseNumbers):
    """Wasserstein-1 distance of values by kind."""

    needs = frozenset({"reference"})
    better = "lower"

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        (feature,) = self.features
        known = reference.whole(_values_of[feature])
        return {self.rows[0]: wasserstein(_values_of[feature](sample), known)}


@dataclass(frozen=True)
class _Counts(BaseNumbers):
    """Jensen-Shannon distance of counts by kind."""

    needs = frozenset({"reference"})
    better = "lower"

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        (feature,) = self.features
        known = reference.whole(_counts_of[feature])
        return {self.rows[0]: jensen_shannon(_counts_of[feature](sample), known)}


_values_of = {
    name: lambda sample, name=name: pooled_values(sample.known(name))
    for name in ("bond_lengths", "angles")
}
_counts_of = {
    name: lambda sample, name=name: pooled_counts(sample.known(name))
    for name in ("torsions", "ring_sizes", "elements", "hybridisation", "groups")
}


@SETS.register("bond_length_distance")
@dataclass(frozen=True)
class BondLengthDistance(_Values):
    """Wasserstein-1 distance of bond lengths by elements and order, Angstrom."""

    name = "bond_length_distance"
    rows = ("bond_length_distance",)
    features = ("bond_lengths",)


@SETS.register("angle_distance")
@dataclass(frozen=True)
class AngleDistance(_Values):
    """Wasserstein-1 distance of angles by elements and the centre's hybridisation, degrees."""

    name = "angle_distance"
    rows = ("angle_distance",)
    features = ("angles",)


@SETS.register("torsion_distance")
@dataclass(frozen=True)
class TorsionDistance(_Counts):
    """Jensen-Shannon distance of absolute torsions in bins of ten degrees by central bond."""

    name = "torsion_distance"
    rows = ("torsion_distance",)
    features = ("torsions",)


@SETS.register("ring_size_distance")
@dataclass(frozen=True)
class RingSizeDistance(_Counts):
    """Jensen-Shannon distance of ring sizes, aromatic or not, and of molecules without rings."""

    name = "ring_size_distance"
    rows = ("ring_size_distance",)
    features = ("ring_sizes",)


@SETS.register("element_distance")
@dataclass(frozen=True)
class ElementDistance(_Counts):
    """Jensen-Shannon distance of atoms by element."""

    name = "element_distance"
    rows = ("element_distance",)
    features = ("elements",)


@SETS.register("hybridisation_distance")
@dataclass(frozen=True)
class HybridisationDistance(_Counts):
    """Jensen-Shannon distance of heavy atoms by element and hybridisation."""

    name = "hybridisation_distance"
    rows = ("hybridisation_distance",)
    features = ("hybridisation",)


@SETS.register("group_distance")
@dataclass(frozen=True)
class GroupDistance(_Counts):
    """Jensen-Shannon distance of functional groups."""

    name = "group_distance"
    rows = ("group_distance",)
    features = ("groups",)


@SETS.register("size_distance")
@dataclass(frozen=True)
class SizeDistance(BaseNumbers):
    """Wasserstein-1 distance of the numbers of heavy atoms."""

    name = "size_distance"
    rows = ("size_distance",)
    features = ("n_heavy",)
    needs = frozenset({"reference"})
    better = "lower"

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        own, known = np.array(sample.known("n_heavy")), np.array(reference.known("n_heavy"))
        empty = not len(own) or not len(known)
        return {"size_distance": float("nan") if empty else wasserstein_distance(own, known)}

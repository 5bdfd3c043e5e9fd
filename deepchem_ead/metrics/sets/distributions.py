"""How geometries and compositions are distributed, beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


class _Distance(BaseNumbers):
    """Distance of one feature, pooled over molecules, from the reference's."""

    needs = frozenset({"reference"})
    better = "lower"
    pool: Callable[[list], Any]
    distance: Callable[[Any, Any], float]

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        known = reference.whole(self._pooled)
        return {self.name: self.distance(self._pooled(sample), known)}

    def _pooled(self, sample: Sample) -> Any:
        (feature,) = self.features
        return self.pool(sample.known(feature))


class _Values(_Distance):
    """Wasserstein-1 distance of values by kind."""

    pool, distance = staticmethod(pooled_values), staticmethod(wasserstein)


class _Counts(_Distance):
    """Jensen-Shannon distance of counts by kind."""

    pool, distance = staticmethod(pooled_counts), staticmethod(jensen_shannon)


@SETS.register("bond_length_distance")
@dataclass(frozen=True)
class BondLengthDistance(_Values):
    """Wasserstein-1 distance of bond lengths by elements and order, Angstrom."""

    name = "bond_length_distance"
    features = ("bond_lengths",)


@SETS.register("angle_distance")
@dataclass(frozen=True)
class AngleDistance(_Values):
    """Wasserstein-1 distance of angles by elements and the centre's hybridisation, degrees."""

    name = "angle_distance"
    features = ("angles",)


@SETS.register("torsion_distance")
@dataclass(frozen=True)
class TorsionDistance(_Counts):
    """Jensen-Shannon distance of absolute torsions in bins of ten degrees by central bond."""

    name = "torsion_distance"
    features = ("torsions",)


@SETS.register("ring_size_distance")
@dataclass(frozen=True)
class RingSizeDistance(_Counts):
    """Jensen-Shannon distance of ring sizes, aromatic or not, and of molecules without rings."""

    name = "ring_size_distance"
    features = ("ring_sizes",)


@SETS.register("element_distance")
@dataclass(frozen=True)
class ElementDistance(_Counts):
    """Jensen-Shannon distance of atoms by element."""

    name = "element_distance"
    features = ("elements",)


@SETS.register("hybridisation_distance")
@dataclass(frozen=True)
class HybridisationDistance(_Counts):
    """Jensen-Shannon distance of heavy atoms by element and hybridisation."""

    name = "hybridisation_distance"
    features = ("hybridisation",)


@SETS.register("group_distance")
@dataclass(frozen=True)
class GroupDistance(_Counts):
    """Jensen-Shannon distance of functional groups."""

    name = "group_distance"
    features = ("groups",)


@SETS.register("size_distance")
@dataclass(frozen=True)
class SizeDistance(BaseNumbers):
    """Wasserstein-1 distance of the numbers of heavy atoms."""

    name = "size_distance"
    features = ("n_heavy",)
    needs = frozenset({"reference"})
    better = "lower"

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        own, known = np.array(sample.known("n_heavy")), np.array(reference.known("n_heavy"))
        empty = not len(own) or not len(known)
        return {"size_distance": float("nan") if empty else wasserstein_distance(own, known)}

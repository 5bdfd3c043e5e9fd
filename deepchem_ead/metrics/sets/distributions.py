"""How geometries and compositions are distributed, beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from deepchem_ead.metrics.sets.distances import (
    Contributions,
    Pooled,
    jensen_shannon,
    wasserstein,
)
from deepchem_ead.metrics.sets.number import SETS, BaseNumbers, bootstrap
from deepchem_ead.metrics.sets.sample import Sample


class _Distance(BaseNumbers):
    """Distance of one feature, pooled over molecules, from the reference's."""

    needs = frozenset({"reference"})
    better = "lower"
    distance: Callable[[Pooled, Pooled], np.ndarray]

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        known = reference.whole(self._contributions).pooled()
        own = sample.whole(self._contributions).pooled()
        return {self.name: float(self.distance(own, known)[0])}

    def errors(self, sample: Sample, reference: Sample, seed: int = 0) -> dict[str, float]:
        """By a bootstrap over molecules; the reference is taken as it is."""
        known = reference.whole(self._contributions).pooled()
        own = sample.whole(self._contributions)
        return {
            self.name: bootstrap(
                lambda times: self.distance(own.pooled(times), known), len(sample), seed
            )
        }

    def _contributions(self, sample: Sample) -> Contributions:
        (feature,) = self.features
        return self.contributions(sample[feature] if feature in sample else [])

    @staticmethod
    def contributions(each: Sequence[Any]) -> Contributions:
        """What molecules add, from the feature of each."""
        raise NotImplementedError


class _Values(_Distance):
    """Wasserstein-1 distance of values by kind."""

    distance = staticmethod(wasserstein)

    @staticmethod
    def contributions(each: Sequence[Any]) -> Contributions:
        return Contributions.of_values(each)


class _Counts(_Distance):
    """Jensen-Shannon distance of counts by kind."""

    distance = staticmethod(jensen_shannon)

    @staticmethod
    def contributions(each: Sequence[Any]) -> Contributions:
        return Contributions.of_counts(each)


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
class SizeDistance(_Distance):
    """Wasserstein-1 distance of the numbers of heavy atoms."""

    name = "size_distance"
    features = ("n_heavy",)
    distance = staticmethod(partial(wasserstein, fewest=1))

    @staticmethod
    def contributions(each: Sequence[Any]) -> Contributions:
        """One value a molecule, of one kind."""
        return Contributions.of_values([None if n is None else {"": [n]} for n in each])

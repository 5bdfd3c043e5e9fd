"""What a comparison of molecules with known ones is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from deepchem_ead.metrics.checks.check import Column, Outcome
from deepchem_ead.metrics.sets.sample import Sample
from deepchem_ead.registry import Registry


@runtime_checkable
class Comparison(Protocol):
    """Judges each molecule by a reference. A frozen dataclass, its fields its options.

    Attributes
    ----------
    name, columns, judges, packages
        As of a `Check`.
    features, reference_features, needs
        As of `SetNumbers`; "reference" is needed.
    """

    name: str
    columns: Mapping[str, Column]
    judges: bool
    packages: tuple[str, ...]
    features: tuple[str, ...]
    reference_features: tuple[str, ...] | None
    needs: frozenset[str]

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        """An outcome for each molecule of the sample."""
        ...


class BaseComparison:
    """Defaults of a `Comparison`; inherit from it or write them down."""

    name = ""
    columns: Mapping[str, Column] = {}
    judges = True
    packages: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    reference_features: tuple[str, ...] | None = None
    needs: frozenset[str] = frozenset({"reference"})


#: Comparisons by name: classes or objects of them.
COMPARISONS: Registry[Any] = Registry("comparison")

"""Copies of molecules of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepchem_ead.metrics.checks.check import NOTHING, Column, Outcome, judged
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison
from deepchem_ead.metrics.sets.sample import Sample


def _by_constitution(reference: Sample) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for i, text in enumerate(reference["constitution"]):
        if text is not None:
            rows.setdefault(text, []).append(i)
    return rows


@COMPARISONS.register("not_copied")
@dataclass(frozen=True)
class NotCopied(BaseComparison):
    """No molecule of the reference has the same bonds and the same geometry.

    Geometries are the sorted distances of heavy atoms, which neither the order of atoms, nor
    turning, nor mirroring changes. A rigid molecule has but one geometry, so that finding one of
    the reference again makes a copy; soundness does not depend on it.

    Parameters
    ----------
    limit : float
        Largest root mean square difference of distances of a copy, Angstrom.
    """

    name = "not_copied"
    features = ("constitution", "shape")
    columns = {"copy_difference": Column("of the distances to the nearest copy, Angstrom")}
    limit: float = 0.02

    def __call__(self, sample: Sample, reference: Sample) -> list[Outcome]:
        rows, shapes = reference.whole(_by_constitution), reference["shape"]
        found = []
        for text, shape in zip(sample["constitution"], sample["shape"], strict=True):
            if text is None or shape is None:
                found.append(NOTHING)
                continue
            nearest = min(
                (_difference(shape, shapes[i]) for i in rows.get(text, ())), default=np.inf
            )
            columns = {"copy_difference": nearest} if np.isfinite(nearest) else {}
            reason = f"{nearest:.3f} Angstrom from a molecule of the reference"
            found.append(judged(nearest > self.limit, reason, **columns))
        return found


def _difference(shape: list[int], other: list[int] | None) -> float:
    if other is None or len(shape) != len(other):
        return float("inf")
    if not shape:
        return 0.0
    gap = (np.array(shape) - np.array(other)) / 1000
    return float(np.sqrt(np.mean(gap**2)))

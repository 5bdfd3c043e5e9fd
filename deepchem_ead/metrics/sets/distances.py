"""Distances of distributions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import wasserstein_distance

_FEWEST = 10  # values of a kind on both sides, or it is not compared


def jensen_shannon(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """Square root of the Jensen-Shannon divergence of counts by kind: 0 equal, 1 disjoint."""
    kinds = sorted(p.keys() | q.keys())
    a = np.array([p.get(kind, 0) for kind in kinds], float)
    b = np.array([q.get(kind, 0) for kind in kinds], float)
    if not a.sum() or not b.sum():
        return float("nan")
    a, b = a / a.sum(), b / b.sum()
    middle = (a + b) / 2
    divergence = sum(
        0.5 * float(np.sum(part[part > 0] * np.log2(part[part > 0] / middle[part > 0])))
        for part in (a, b)
    )
    return float(np.sqrt(max(divergence, 0.0)))


def wasserstein(p: Mapping[str, np.ndarray], q: Mapping[str, np.ndarray]) -> float:
    """Mean of the Wasserstein-1 distances of values by kind, weighted by how many q has."""
    kinds = [k for k in q if len(q[k]) >= _FEWEST and len(p.get(k, ())) >= _FEWEST]
    if not kinds:
        return float("nan")
    weights = [len(q[kind]) for kind in kinds]
    return float(np.average([wasserstein_distance(p[k], q[k]) for k in kinds], weights=weights))


def pooled_values(each: Sequence[Mapping[str, list[float]]]) -> dict[str, np.ndarray]:
    """Values by kind of all molecules."""
    found: dict[str, list[float]] = {}
    for own in each:
        for kind, values in own.items():
            found.setdefault(kind, []).extend(values)
    return {kind: np.array(values) for kind, values in found.items()}


def pooled_counts(each: Sequence[Mapping[str, int] | Sequence[str]]) -> Counter:
    """Counts by kind of all molecules."""
    total: Counter = Counter()
    for own in each:
        total.update(own)
    return total

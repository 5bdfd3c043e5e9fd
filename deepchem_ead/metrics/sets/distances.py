"""Distances of distributions, of sets and of their resamples at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

#: By kind: sorted values, (J,), and how many of each R sets have, (R, J).
Pooled = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Contributions:
    """What each of N molecules adds to the distributions of a set.

    Attributes
    ----------
    counts : scipy.sparse.csr_array
        (J, N): how often molecule n has value j.
    values : numpy.ndarray
        (J,), sorted within a kind.
    kinds : dict of str to slice
        Values by kind.
    """

    counts: csr_array
    values: np.ndarray
    kinds: Mapping[str, slice]

    @classmethod
    def of_values(cls, each: Sequence[Mapping[str, Sequence[float]] | None]) -> Contributions:
        """Of values by kind of each molecule; None adds nothing."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        for row, own in enumerate(each):
            for kind, values in (own or {}).items():
                rows, pooled = found.setdefault(kind, ([], []))
                rows += [row] * len(values)
                pooled += values
        all_values, places, molecules, kinds, first = [], [], [], {}, 0
        for kind, (rows, pooled) in found.items():
            distinct, inverse = np.unique(np.array(pooled, float), return_inverse=True)
            kinds[kind] = slice(first, first + len(distinct))
            all_values.append(distinct)
            places.append(first + inverse)
            molecules.append(np.array(rows))
            first += len(distinct)
        at = (_joined(places, int), _joined(molecules, int))
        counts = csr_array((np.ones(len(at[0])), at), shape=(first, len(each)))
        return cls(counts, _joined(all_values, float), kinds)

    @classmethod
    def of_counts(cls, each: Sequence[Mapping[str, int] | Sequence[str] | None]) -> Contributions:
        """Of kinds without values, counted or listed, of each molecule; None adds nothing."""
        return cls.of_values(
            [{kind: [0.0] * n for kind, n in Counter(own or ()).items()} for own in each]
        )

    def pooled(self, times: np.ndarray | None = None) -> Pooled:
        """The distributions of R sets that have molecule n ``times[r, n]`` times, (R, N).

        By default of the one set that has each molecule once.
        """
        times = np.ones((1, self.counts.shape[1])) if times is None else times
        totals = (self.counts @ times.T).T
        return {kind: (self.values[own], totals[:, own]) for kind, own in self.kinds.items()}


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def jensen_shannon(p: Pooled, q: Pooled) -> np.ndarray:
    """Square root of the Jensen-Shannon divergence of kinds: 0 equal, 1 disjoint.

    Parameters
    ----------
    p : Pooled
        Of R sets.
    q : Pooled
        Of one.

    Returns
    -------
    numpy.ndarray
        (R,); NaN where a set has nothing.
    """
    kinds = sorted(p.keys() | q.keys())
    a, b = (_shares(each, kinds) for each in (p, q))
    middle = (a + b) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(part > 0, part * np.log2(part / middle), 0.0) for part in (a, b)]
    divergence = np.maximum(0.5 * (terms[0] + terms[1]).sum(axis=1), 0.0)
    has_both = (a.sum(axis=1) > 0) & (b.sum(axis=1) > 0)
    return np.where(has_both, np.sqrt(divergence), np.nan)


def _shares(each: Pooled, kinds: Sequence[str]) -> np.ndarray:
    """Shares of kinds in each set, (R, K); zero in an empty one."""
    n_sets = len(next(iter(each.values()))[1]) if each else 1
    counts = np.zeros((n_sets, len(kinds)))
    for k, kind in enumerate(kinds):
        if kind in each:
            counts[:, k] = each[kind][1].sum(axis=1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def wasserstein(p: Pooled, q: Pooled, fewest: int = 10) -> np.ndarray:
    """Mean of the Wasserstein-1 distances of values by kind, weighted by how many q has.

    Parameters
    ----------
    p : Pooled
        Of R sets.
    q : Pooled
        Of one.
    fewest : int
        Values of a kind on both sides, or it is not compared.

    Returns
    -------
    numpy.ndarray
        (R,); NaN where a set has no kind that is compared.
    """
    weighted, weights = np.zeros(1), np.zeros(1)
    for kind in sorted(p.keys() & q.keys()):
        (x, counts), (y, known) = p[kind], q[kind]
        n, n_known = counts.sum(axis=1, keepdims=True), known.sum()
        is_compared = (n[:, 0] >= fewest) & (n_known >= fewest)
        if not is_compared.any():
            continue
        grid = np.union1d(x, y)
        steps = np.zeros((len(counts), len(grid)))
        steps[:, np.searchsorted(grid, x)] = counts / np.maximum(n, 1)
        steps[:, np.searchsorted(grid, y)] -= known / n_known
        distances = np.abs(steps.cumsum(axis=1)[:, :-1]) @ np.diff(grid)
        weighted = weighted + np.where(is_compared, n_known * distances, 0.0)
        weights = weights + np.where(is_compared, n_known, 0.0)
    return weighted / np.where(weights > 0, weights, np.nan)

"""Differences between runs on the same molecules, and how far they may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, wilcoxon


class Difference(NamedTuple):
    """A mean difference of pairs, its 95 % bootstrap interval and the p-value of a test."""

    mean: float
    low: float
    high: float
    p: float


def bootstrap_interval(
    difference: np.ndarray, n_resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the mean of paired differences (n,)."""
    rng = np.random.default_rng(seed)
    n = len(difference)
    # Few distinct values: counts of them are resampled, which is the same and takes no time.
    values, counts = np.unique(difference, return_counts=True)
    means = rng.multinomial(n, counts / n, size=n_resamples) @ values / n
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def share_difference(one: np.ndarray, other: np.ndarray) -> Difference:
    """Of shares of a molecule (n,), such as that of its stable atoms: Wilcoxon's signed ranks.

    Pairs without a difference are ranked and shared out between the signs (Pratt 1959), because
    there are many of them.
    """
    difference = one - other
    p = 1.0
    if difference.any():
        p = float(wilcoxon(difference, zero_method="pratt", method="asymptotic").pvalue)
    return Difference(float(difference.mean()), *bootstrap_interval(difference), p)


def binary_difference(one: np.ndarray, other: np.ndarray) -> Difference:
    """Of yes or no (n,): McNemar's exact test, a sign test on the pairs that differ."""
    one, other = one.astype(bool), other.astype(bool)
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    difference = one.astype(float) - other.astype(float)
    return Difference(float(difference.mean()), *bootstrap_interval(difference), p)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number (Holm 1979), in the same order.

    Below 0.05 they keep the chance of even one false finding among all of them below 0.05.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected

"""What a number of a set of molecules is, and how exact it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from deepchem_ead.metrics.sets.sample import Sample
from deepchem_ead.registry import Registry

#: Subsets of an error.
GROUPS = 10
#: Sets that a bootstrap draws.
RESAMPLES = 200


@runtime_checkable
class SetNumbers(Protocol):
    """One or several numbers of a set of molecules. A frozen dataclass, its fields its options.

    It may have a method ``errors(sample, reference)`` that gives standard errors by name; otherwise
    they are those of `jackknife`.

    Attributes
    ----------
    name : str
    rows : tuple of str
        Names of its numbers; by default its own.
    features : tuple of str
        What it reads of a `Sample`.
    reference_features : tuple of str
        What it reads of the reference; the same by default.
    whole_reference : bool
        Whether it has to see all of the reference, or a sample is enough.
    needs : frozenset of str
        "reference", if it compares with known molecules.
    better : {"higher", "lower", ""}
        Which way its numbers are better; "": neither.
    is_share : bool
        Whether they are fractions, which people read in percent.
    packages : tuple of str
        What has to be installed besides the package's own dependencies.
    """

    name: str
    rows: tuple[str, ...]
    features: tuple[str, ...]
    reference_features: tuple[str, ...] | None
    whole_reference: bool
    needs: frozenset[str]
    better: str
    is_share: bool
    packages: tuple[str, ...]

    def __call__(self, sample: Sample, reference: Sample) -> dict[str, float]:
        """The numbers by name; NaN where there is nothing to compute them from."""
        ...


class BaseNumbers:
    """Defaults of `SetNumbers`; inherit from it or write them down."""

    name = ""
    rows: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    reference_features: tuple[str, ...] | None = None
    whole_reference: bool = False
    needs: frozenset[str] = frozenset()
    better: str = ""
    is_share = False
    packages: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name and "rows" not in vars(cls):
            cls.rows = (cls.name,)


class Number(NamedTuple):
    """A number of a set with its standard error, the molecules it is of, and its cost."""

    value: float
    error: float
    n: int
    seconds: float


def share(values: np.ndarray, cost: float) -> Number:
    """Of truth values: how many are true."""
    n = len(values)
    if not n:
        return Number(np.nan, np.nan, 0, cost)
    value = float(np.mean(values))
    return Number(value, float(np.sqrt(value * (1 - value) / n)), n, cost)


def mean(values: np.ndarray, cost: float) -> Number:
    """With the standard error of the mean."""
    n = len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Number(float(np.mean(values)) if n else np.nan, error, n, cost)


def median(values: np.ndarray, cost: float) -> Number:
    """With the spread of medians of resampled values."""
    n = len(values)
    if not n:
        return Number(np.nan, np.nan, 0, cost)
    spread = np.median(values[_drawn(n)], axis=1).std()
    return Number(float(np.median(values)), float(spread), n, cost)


#: Numbers of a column of values by kind; ``f(values, seconds)``.
SUMMARIES = {"share": share, "mean": mean, "median": median}


def errors_of(each: SetNumbers, sample: Sample, reference: Sample) -> dict[str, float]:
    """Standard errors of numbers by name: their own ``errors``, or else those of `jackknife`."""
    own = getattr(each, "errors", None)
    if own is not None:
        return own(sample, reference)
    return jackknife(lambda kept: each(sample.take(kept), reference), len(sample))


def _drawn(n: int, seed: int = 0) -> np.ndarray:
    """Rows of resamples with replacement, (R, n)."""
    return np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))


def bootstrap(distance: Callable[[np.ndarray], np.ndarray], n: int, seed: int = 0) -> float:
    """Standard error of a number of n molecules: its spread over `RESAMPLES` resamples.

    Parameters
    ----------
    distance : callable
        ``distance(times)``, (R,), of sets that have molecule i ``times[r, i]`` times, (R, n): it
        weighs what is known of each molecule and computes nothing of them anew.
    n : int
    seed : int

    Returns
    -------
    float
        NaN for less than two molecules. Resamples without anything to compare are left out.
    """
    if n < 2:
        return np.nan
    cells = _drawn(n, seed) + n * np.arange(RESAMPLES)[:, None]
    times = np.bincount(cells.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    values = distance(times.astype(float))
    values = values[np.isfinite(values)]
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def jackknife(
    numbers: Callable[[np.ndarray], dict[str, float]], n: int, groups: int = GROUPS
) -> dict[str, float]:
    """Standard errors of numbers of n molecules, by leaving out one group after another.

    ``numbers(rows)`` computes them for some of the molecules. With k groups the error is
    ``sqrt((k - 1) / k * sum_i (x_i - mean(x))^2)``; groups are interleaved.
    """
    groups = min(groups, n)
    if groups < 2:
        return {}
    rows = np.arange(n)
    found = [numbers(rows[rows % groups != k]) for k in range(groups)]
    errors = {}
    for name in found[0]:
        values = np.array([each[name] for each in found], float)
        spread = ((values - values.mean()) ** 2).sum()
        errors[name] = float(np.sqrt((groups - 1) / groups * spread))
    return errors


#: Numbers of sets by name: classes or objects of them.
SETS: Registry[Any] = Registry("set metric")

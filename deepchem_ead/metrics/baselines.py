"""What can be reached without a model: the lower rows of every table of conditional generation."""

from __future__ import annotations

import numpy as np


def atom_count_errors(
    fit_counts: np.ndarray, fit_y: np.ndarray, counts: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Errors of predicting the mean label of the molecules with as many atoms (row "#Atoms").

    Parameters
    ----------
    fit_counts, counts : ndarray, (M,) and (N,) int
        Atoms of the molecules that the means are taken over (EDM: first half of train) and of
        those that are predicted (second half).
    fit_y, y : ndarray, (M, T) and (N, T)
        Their labels.

    Returns
    -------
    ndarray, (T,)
        Mean absolute errors. A size that does not occur in the first set gets a mean interpolated
        between its neighbours.
    """
    fit_y, y = _table(fit_y), _table(y)
    sizes, size = np.unique(fit_counts, return_inverse=True)
    molecules = np.bincount(size)
    errors = np.empty(y.shape[1])
    for k in range(y.shape[1]):
        means = np.bincount(size, weights=fit_y[:, k]) / molecules
        errors[k] = np.abs(y[:, k] - np.interp(counts, sizes, means)).mean()
    return errors


def mean_errors(fit_y: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean absolute errors (T,) of predicting the mean of ``fit_y`` (M, T) for ``y`` (N, T)."""
    return np.abs(_table(y) - _table(fit_y).mean(0)).mean(0)


def shuffled_errors(y: np.ndarray) -> np.ndarray:
    """Mean absolute errors (T,) of labels (N, T) shuffled among the molecules (row "shuffled").

    The exact mean over all shuffles, ``E |y_i - y_j|`` over all pairs with i = j among them
    (EDM's upper bound "naive").
    """
    y = np.sort(_table(y), axis=0)
    n = len(y)
    # The k-th smallest is subtracted n - 1 - k times and added k times.
    return 2 * ((2 * np.arange(n) - n + 1)[:, None] * y).sum(0) / n**2


def _table(y: np.ndarray) -> np.ndarray:
    y = np.asarray(y, np.float64)
    return y.reshape(len(y), -1)

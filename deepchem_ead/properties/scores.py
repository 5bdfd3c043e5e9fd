"""How good predictions are, task by task: each sees only the molecules that have its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deepchem.metrics import Metric


def check_known(known: np.ndarray, tasks: Sequence[str]) -> None:
    """Refuse tasks without any label; ``known`` (N, T) bool.

    Raises
    ------
    ValueError
        Naming the first one.
    """
    for task, rows in zip(tasks, known.T, strict=True):
        if not rows.any():
            raise ValueError(
                f"none of {len(known)} molecules has a label {task!r} to compare with (all are "
                "NaN or have the weight 0); evaluate on molecules that have some"
            )


def task_scores(
    metrics: Sequence[Metric],
    y: np.ndarray,
    w: np.ndarray,
    predictions: np.ndarray,
    n_classes: int,
    use_sample_weights: bool,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Mean over the tasks of each metric by name, and its values of the tasks.

    Parameters
    ----------
    metrics : sequence of dc.metrics.Metric
    y, w, predictions : ndarray, (N, T)
        Labels and their weights, 0 where there is no label.
    n_classes, use_sample_weights
        As in `dc.metrics.Metric.compute_metric`.
    """
    mean, per_task = {}, {}
    for metric in metrics:
        values = [
            metric.compute_metric(
                y[rows, k], predictions[rows, k], w[rows, k], n_tasks=1, n_classes=n_classes,
                use_sample_weights=use_sample_weights,
            )
            for k, rows in enumerate((w > 0).T)
        ]  # fmt: skip
        mean[metric.name], per_task[metric.name] = metric.task_averager(values), values
    return mean, per_task


def error_factor(y: np.ndarray, w: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Mean absolute error over the one that standard deviations (N, T) promise, (T,).

    1 for a task without a label. The mean absolute error of a Laplace distribution is its standard
    deviation over sqrt 2.
    """
    error = (np.abs(y - mean) * w).sum(0)
    expected = (std / np.sqrt(2) * w).sum(0)
    return np.divide(error, expected, out=np.ones_like(error), where=expected > 0)

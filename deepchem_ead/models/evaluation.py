"""Scores of a model: denoising loss on data and metrics of what it generates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepchem.data import Dataset

from deepchem_ead.metrics import GenerativeMetric

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel

#: Name of the mean over molecules of the loss that training minimises.
DENOISING_LOSS = "denoising_loss"


def evaluate_model(
    model: EADModel, dataset: Dataset, metrics, n_samples: int = 100, **generate_options
) -> dict[str, float]:
    """See `EADModel.evaluate`.

    Raises
    ------
    ValueError
        If a metric is unknown or made for labels, or the dataset is empty.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        metrics = [metrics]
    if len(dataset) == 0:
        raise ValueError("the dataset is empty; there is nothing to evaluate")
    resolved = [_resolve(metric) for metric in metrics]
    scores: dict[str, float] = {}
    samples = None
    for metric in resolved:
        if metric == DENOISING_LOSS:
            scores[metric] = float(model.predict(dataset).mean())
            continue
        if samples is None:
            options = {"seed": model.config.seed, "progress": False, **generate_options}
            samples = model.generate(n_samples, **options)
        scores[metric.name] = metric.compute_metric(samples, reference=dataset)
    return scores


def _resolve(metric) -> GenerativeMetric | str:
    if metric == DENOISING_LOSS or hasattr(metric, "compute_metric") and hasattr(metric, "name"):
        # dc.metrics.Metric has both attributes, too, but compares labels with predictions.
        if metric == DENOISING_LOSS or isinstance(metric, GenerativeMetric):
            return metric
        raise ValueError(
            f"{metric.name} compares labels with predictions; a generative model is evaluated with "
            f"{DENOISING_LOSS!r} or deepchem_ead.metrics.GenerativeMetric"
        )
    return GenerativeMetric(metric)

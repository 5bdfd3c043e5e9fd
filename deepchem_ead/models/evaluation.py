"""Scores of a model: denoising loss on data and metrics of what it generates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepchem.data import Dataset

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.generator.trained import Generator
from deepchem_ead.metrics import GenerativeMetric, Metric, Views
from deepchem_ead.metrics.suites import Suite, load_suite, suite_names


class Evaluated(Generator, Protocol):
    """A generator that also has DeepChem's ``predict``."""

    def predict(self, dataset: Dataset): ...
    def generate(self, n: int, **options) -> MoleculeBatch: ...


class DenoisingLoss:
    """The mean over molecules of the loss that training minimises, for `EADModel.evaluate`.

    Levels and noise of a molecule depend on the model's seed and its row in the dataset only, so
    that two evaluations can be compared.
    """

    name = "denoising_loss"


def evaluate_model(
    model: Evaluated, dataset: Dataset, metrics, n_samples: int = 100, **generate_options
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
    scores: dict[str, float] = {}
    samples = None
    for metric in [_resolve(metric) for metric in metrics]:
        if isinstance(metric, DenoisingLoss):
            scores[metric.name] = float(model.predict(dataset).mean())
            continue
        if samples is None:
            options = {"seed": model.config.seed, "progress": False, **generate_options}
            samples = Views(model.generate(n_samples, **options))
        if isinstance(metric, Suite):
            from deepchem_ead.judging import judge  # pages and tests, which nothing else here needs

            report = judge(samples.batch, dataset, metric, progress=False)
            scores |= report.summary["value"].astype(float).to_dict()
        else:
            scores[metric.name] = metric.compute_metric(samples, reference=dataset)
    return scores


def _resolve(metric) -> GenerativeMetric | DenoisingLoss | Suite:
    if isinstance(metric, str) and metric in suite_names():
        return load_suite(metric)
    if isinstance(metric, (GenerativeMetric, DenoisingLoss, Suite)):
        return metric
    if isinstance(metric, Metric):
        return GenerativeMetric(metric)
    if metric == DenoisingLoss.name:
        return DenoisingLoss()
    if isinstance(metric, str) or not hasattr(metric, "compute_metric"):
        return GenerativeMetric(metric)
    raise ValueError(  # a dc.metrics.Metric
        f"{metric.name} compares labels with predictions; a generative model is evaluated with "
        f"{DenoisingLoss.name!r} or deepchem_ead.metrics.GenerativeMetric"
    )

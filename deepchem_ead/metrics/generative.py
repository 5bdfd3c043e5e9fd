"""Metrics of generated molecules as objects, as DeepChem has them for predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from deepchem_ead.metrics import evaluate
from deepchem_ead.metrics.metric import METRICS, Metric, Views
from deepchem_ead.metrics.suites.metric import suite_metrics

_OWN = (
    evaluate.atom_stability,
    evaluate.molecule_stability,
    evaluate.validity,
    evaluate.uniqueness,
    evaluate.valid_unique,
    evaluate.novelty,
    evaluate.connected,
)
for _function in _OWN:
    METRICS.register(_function.__name__, _function)

#: Metrics that can be asked for by name.
NAMED_METRICS = METRICS


class GenerativeMetric:
    """A metric of a set of generated molecules.

    Unlike ``dc.metrics.Metric`` it compares no predictions with labels: it is given samples and, if
    it wants one, a reference set.

    Parameters
    ----------
    metric : str, Metric or callable
        A name in :data:`METRICS`, the name of any number of a report's summary ("posebusters",
        "strain_kcal", "fcd": see :func:`deepchem_ead.judge`), a :class:`Metric`, or
        ``f(samples, ...) -> float``; if it takes an argument ``reference`` it is given the
        reference.
    name : str, optional
        Key in results; the metric's own name by default.
    **kw
        Passed on to the metric, e.g. ``protocol="strict"``.

    Raises
    ------
    ValueError
        Unknown metric name; lists the known ones.
    TypeError
        Neither a name nor a callable, or a keyword that the metric does not take.

    Examples
    --------
    >>> GenerativeMetric("validity", name="strict validity", protocol="strict").name
    'strict validity'
    """

    def __init__(self, metric: str | Callable[..., float], name: str | None = None, **kw: Any):
        if isinstance(metric, str):
            metric = _named(metric)
        elif not callable(metric):
            raise TypeError(f"metric must be a name or a callable, not {type(metric).__name__}")
        if isinstance(metric, type):  # its options are its own fields
            metric, kw = metric(**kw), {}
        _check_keywords(metric, kw)
        self.metric = metric
        own = metric.name if isinstance(metric, Metric) else getattr(metric, "__name__", None)
        self.name = name or own or type(metric).__name__
        self.kw = kw

    def __repr__(self) -> str:
        return f"GenerativeMetric({self.name!r})"

    def compute_metric(self, samples: Any, reference: Any = None) -> float:
        """Value of the metric on samples.

        Parameters
        ----------
        samples : MoleculeBatch, DeepChem dataset or sequence of rdkit.Chem.Mol
            Or `Views` of them, which several metrics can share.
        reference : optional
            Known molecules or SMILES, for metrics such as novelty.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            The metric needs a reference and none was given.
        """
        if isinstance(self.metric, Metric):
            if reference is None and "reference" in self.metric.needs:
                raise ValueError(f"{self.name} needs a reference, such as the training molecules")
            return float(self.metric(Views.of(samples), reference))
        if isinstance(samples, Views):
            samples = samples.batch
        options = dict(self.kw)
        if "reference" in inspect.signature(self.metric).parameters:
            options.setdefault("reference", reference)
        return float(self.metric(samples, **options))


def _named(name: str) -> Metric | Callable[..., float]:
    if name in METRICS:
        return METRICS[name]
    known = suite_metrics()
    if name not in known:
        raise ValueError(
            f"unknown metric {name!r}; choose {', '.join(METRICS)}, or a number of a suite: "
            f"{', '.join(known)}"
        )
    return known[name]


def _check_keywords(metric: Callable[..., float], keywords: dict[str, Any]) -> None:
    """Refuse unknown keywords now rather than after molecules have been generated."""
    judge = evaluate.evaluate_molecules if metric in _OWN else metric
    parameters = inspect.signature(judge).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [] if isinstance(metric, Metric) else list(parameters)[1:]
    for name in keywords:
        if name not in known:
            raise TypeError(
                f"{getattr(metric, '__name__', metric)} takes no {name!r}, but "
                f"{', '.join(known) or 'no keywords'}. How many molecules are generated, and how, "
                "is said in evaluate(..., n_samples=100, steps=50)"
            )

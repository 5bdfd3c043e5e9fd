"""Ask a generator for property values and let an oracle judge what comes: EDM's protocol, and more.

EDM (Hoogeboom et al., arXiv:2203.17003, section 5.2) draws (size, property) from the generator's
training half, generates a molecule of that size for that value, and reports the mean absolute
difference of the request and what a classifier, trained on the other half, predicts. Every
generated molecule counts there, broken ones included, because the classifier needs no bonds; so it
does here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from deepchem_ead.metrics.conditional_report import ConditionalReport
from deepchem_ead.metrics.conditional_score import Judge, Scorer
from deepchem_ead.metrics.conditional_targets import LabelledMolecules, Targets
from deepchem_ead.metrics.protocols import vocabulary_of
from deepchem_ead.metrics.reference import reference_smiles

#: ``n_atoms`` of :func:`evaluate_conditional`: as many atoms as the drawn molecule has.
DRAWN = "drawn"


def evaluate_conditional(
    model: Any,
    oracle: Any,
    dataset: Any,
    tasks: Sequence[str | Sequence[str]] | None = None,
    n: int = 10_000,
    guidance_scale: float = 0.0,
    guide: Any = None,
    second_oracle: Any = None,
    tolerance: float | Mapping[str, float] = 0.1,
    seed: int = 0,
    targets: Mapping[str, Any] | None = None,
    n_atoms: Any = DRAWN,
    reference: Any = None,
    fitted_on: Any = None,
    vocabulary: str | None = None,
    progress: bool = True,
    **options: Any,
) -> ConditionalReport:
    """Generate molecules for property values and judge how well they have them.

    Parameters
    ----------
    model : EADModel, or anything with its ``generate``
        Called as ``generate(n, conditions={task: values (n,)}, n_atoms=..., guidance_scale=...,
        seed=..., progress=False, callback=..., **options)``; returns a MoleculeBatch.
    oracle : EGNNPropertyModel, PropertyEnsemble, or a Predictor
        Has ``tasks`` and ``predict_molecules(batch)`` or ``predict(batch)``, which gives (N, T) in
        the unit of the dataset's labels, NaN where it cannot judge. Other DeepChem models become
        one by `deepchem_ead.models.predictors.as_predictor`. It must not have been trained on the
        dataset.
    dataset : dc.data.Dataset
        The generator's training molecules (EDM: the second half of the training part,
        `deepchem_ead.molnet.edm_halves`) with native labels and X of shape (N, max_atoms, 4).
    tasks : sequence of str or of sequences of str, optional
        Requests: a property alone, or several that a molecule shall have at once,
        ``["alpha", "gap", ("gap", "mu")]``. By default each property alone that model, oracle and
        dataset know.
    n : int
        Molecules for each request.
    guidance_scale : float
        Of classifier-free guidance.
    guide : PropertyGuidance or EGNNPropertyModel, optional
        Steers towards the requests, which take the place of a `PropertyGuidance`'s targets; alone
        if the model has no conditions. It should not be the oracle.
    second_oracle : optional
        Another one, trained independently (other seed, data or architecture), to see whether the
        molecules merely suit the first.
    tolerance : float or mapping of str to float
        How far a prediction may be from the request to count as met: a fraction of the mean
        absolute deviation of the labels, or the value itself for each task, in the labels' unit.
        The default, 0.1, is a property of the data, so that reports with different oracles compare,
        and lies above the published errors of classifiers on all six properties.
    seed : int
        Requests and molecules of all calls with the same seed correspond, whatever the scale.
    targets : mapping of str to float or array (n,), optional
        Values to ask for instead of drawn ones, also beyond the data; one request of all of them
        together unless ``tasks`` says otherwise. Sizes are then the model's choice.
    n_atoms : optional
        "drawn": as many as the molecule that the request was drawn from (EDM). Anything else goes
        to the model as it is; None lets it choose.
    reference : optional
        Known molecules for novelty as in `evaluate_molecules`; the dataset by default.
    fitted_on : dc.data.Dataset, optional
        Molecules that the baselines "#Atoms" and "mean" take their means over (EDM: the first
        half); the dataset by default.
    vocabulary : {"qm9", "geom"}, optional
        By default the smallest one that has all elements of the dataset.
    progress : bool
        Show percent of all molecules' steps.
    **options
        Further arguments of ``generate``: ``steps``, ``schedule``, ``stepper``, ``batch_size``...

    Returns
    -------
    ConditionalReport

    Raises
    ------
    ValueError
        If a task is unknown to model, oracle or dataset, no task is left, values are not finite, or
        a predictor does not return a row for each molecule.
    TypeError
        If an oracle is not a predictor of molecules.

    Notes
    -----
    The denominator of every share is all n molecules. Molecules without a prediction are left out
    of the errors, missing in ``n_judged``, and never within the tolerance.
    """
    import pandas as pd

    judges = [Judge(each) for each in (oracle, second_oracle) if each is not None]
    known = getattr(getattr(model, "config", None), "condition_names", None)
    steered = () if guide is None else tuple(guide.tasks)
    with_targets = hasattr(guide, "targets")
    data = LabelledMolecules(dataset, unnamed=known or ())
    possible = None if known is None else [*dict.fromkeys((*known, *steered))]
    if vocabulary is None:
        elements = np.unique(data.X[:, :, 3]).astype(int)
        vocabulary = vocabulary_of(elements[elements > 0])
    requests = _requests(tasks, targets, possible, judges, data)
    scorer = Scorer(
        data,
        judges,
        reference_smiles(dataset if reference is None else reference, "edm", vocabulary, progress),
        data if fitted_on is None else LabelledMolecules(fitted_on, unnamed=data.tasks),
        vocabulary,
        seed,
    )
    drawn = isinstance(n_atoms, str) and n_atoms == DRAWN
    molecules, scores = {}, []
    with _Progress(n, len(requests), progress) as bar:
        for asked in requests:
            wanted = data.draw(asked, n, seed) if targets is None else _given(asked, targets, n)
            name = "+".join(asked)
            bar.enter(name)
            told = {task: wanted.values[task] for task in asked}
            if with_targets:
                aims = {task: value for task, value in told.items() if task in steered}
                options["guide"] = replace(guide, targets=aims)
                told = {task: v for task, v in told.items() if known is None or task in known}
            elif guide is not None:
                options["guide"] = guide
            with warnings.catch_warnings():
                # What there is without a guide is what is measured.
                warnings.filterwarnings("ignore", ".* without a guide")
                molecules[name] = model.generate(
                    n,
                    conditions=told or None,
                    n_atoms=wanted.sizes if drawn else n_atoms,
                    guidance_scale=guidance_scale,
                    seed=seed,
                    progress=False,
                    callback=bar.step,
                    **options,
                )
            bar.judge(name)
            scores.append(scorer.score(wanted, molecules[name], _limits(asked, tolerance, data)))
    settings = {"n": n, "seed": seed, "guidance_scale": guidance_scale}
    options.pop("guide", None)
    if guide is not None:
        settings["gradient_guidance"] = guide.scale if with_targets else True
    settings |= {"n_atoms": n_atoms if isinstance(n_atoms, str | int | None) else "given"}
    return ConditionalReport(
        properties=[result for score in scores for result in score.properties],
        requests=[score.request for score in scores],
        settings=settings | options,
        records=pd.concat([score.records for score in scores], ignore_index=True),
        molecules=molecules,
    )


def _requests(
    tasks: Sequence[str | Sequence[str]] | None,
    targets: Mapping[str, Any] | None,
    known: Sequence[str] | None,
    judges: Sequence[Judge],
    data: LabelledMolecules,
) -> list[tuple[str, ...]]:
    if tasks is None and targets is None:
        names = data.tasks if known is None else known
        usable = [t for t in names if data.has(t) and all(judge.knows(t) for judge in judges)]
        if not usable:
            raise ValueError(
                f"no property to ask for: the model knows {_listed(known or ())}, the dataset "
                f"{_listed(data.tasks)}, the oracle {_listed(judges[0].tasks)}"
            )
        return [(task,) for task in usable]
    tasks = [tuple(targets)] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    requests = [(each,) if isinstance(each, str) else tuple(each) for each in tasks]
    if not requests or not all(requests):
        raise ValueError("tasks is empty; name at least one property")
    for task in dict.fromkeys(task for asked in requests for task in asked):
        if known is not None and task not in known:
            raise ValueError(f"the model knows no condition {task!r}; it has {_listed(known)}")
        if targets is not None and task not in targets:
            raise ValueError(f"targets has no value of {task!r}; it has {_listed(targets)}")
        for judge in judges:
            judge.check(task)
        data.labels(task)
    return list(dict.fromkeys(requests))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _given(asked: Sequence[str], targets: Mapping[str, Any], n: int) -> Targets:
    values = {}
    for task in asked:
        column = np.asarray(targets[task], np.float64)
        if column.shape not in ((), (n,)):
            raise ValueError(f"targets has {column.size} values of {task!r} for {n} molecules")
        if not np.isfinite(column).all():
            raise ValueError(f"targets of {task!r} must be finite numbers")
        values[task] = np.broadcast_to(column, (n,)).copy()
    return Targets(values)


def _limits(
    asked: Sequence[str], tolerance: float | Mapping[str, float], data: LabelledMolecules
) -> dict[str, float]:
    """How far from the request still counts, in the labels' unit."""
    if not isinstance(tolerance, Mapping):
        return {task: tolerance * data.mad(task) for task in asked}
    missing = [task for task in asked if task not in tolerance]
    if missing:
        raise ValueError(f"tolerance has no value for {missing[0]!r}")
    return {task: float(tolerance[task]) for task in asked}


class _Progress:
    """One bar in percent over the steps of all molecules of all requests."""

    def __init__(self, n: int, n_requests: int, shown: bool) -> None:
        self._n, self._begun = n, 0
        self._bar = tqdm(
            total=n * n_requests,
            disable=not shown or n == 0,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total} molecules "
            "[{elapsed}<{remaining}]",
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.close()

    def enter(self, name: str) -> None:
        """The next request begins."""
        self._begun += 1
        self._bar.set_description_str(name)

    def judge(self, name: str) -> None:
        """The molecules of a request are made."""
        self._move_to(self._n * self._begun)
        self._bar.set_description_str(f"judging {name}")

    def step(self, step: dict) -> None:
        """Callback of ``generate``."""
        self._bar.update(len(step["molecules"]) / step["n_steps"])

    def _move_to(self, n: int) -> None:
        # A molecule may be ready before the last of its possible steps.
        self._bar.update(n - self._bar.n)

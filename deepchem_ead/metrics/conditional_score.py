"""Generated molecules against what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.metrics.conditional_report import (
    PropertyResult,
    RequestResult,
    SecondOpinion,
)
from deepchem_ead.metrics.conditional_targets import (
    OTHER_CONVENTION,
    LabelledMolecules,
    Targets,
    in_convention,
)
from deepchem_ead.metrics.evaluate import evaluate_molecules
from deepchem_ead.metrics.property_units import field_unit

if TYPE_CHECKING:
    import pandas as pd


class Judge:
    """An oracle as a function of molecules to predictions by task.

    Parameters
    ----------
    oracle : EGNNPropertyModel, PropertyEnsemble, or a Predictor

    Raises
    ------
    TypeError
        If it cannot predict from molecules or does not name its tasks.
    """

    def __init__(self, oracle: Any) -> None:
        self._predict = getattr(oracle, "predict_molecules", None)
        # What DeepChem's models predict from are datasets of features.
        if self._predict is None and not hasattr(oracle, "model_dir"):
            self._predict = getattr(oracle, "predict", None)
        if self._predict is None or getattr(oracle, "tasks", None) is None:
            raise TypeError(
                f"a {type(oracle).__name__} cannot judge molecules as it is; make it a predictor "
                "by deepchem_ead.models.predictors.as_predictor(model, featurizer, tasks)"
            )
        self.tasks = [str(task) for task in oracle.tasks]

    def knows(self, task: str) -> bool:
        """Whether it predicts a task, in this or the other convention."""
        return task in self.tasks or OTHER_CONVENTION.get(task, ("",))[0] in self.tasks

    def check(self, task: str) -> None:
        """Raise ValueError if it does not predict a task."""
        if not self.knows(task):
            raise ValueError(f"the oracle predicts {', '.join(self.tasks)}, not {task!r}")

    def predict(self, molecules: MoleculeBatch) -> dict[str, np.ndarray]:
        """Predictions (n,) by task, NaN where there is none (infinity counts as none)."""
        table = np.asarray(self._predict(molecules), np.float64)
        expected = (len(molecules), len(self.tasks))
        if table.size != expected[0] * expected[1] or len(table) != expected[0]:
            raise ValueError(
                f"the oracle returned predictions of shape {table.shape} for {expected[0]} "
                f"molecules and {expected[1]} tasks"
            )
        table = np.where(np.isfinite(table), table, np.nan).reshape(expected)
        return dict(zip(self.tasks, table.T, strict=True))


class Score(NamedTuple):
    """Parts of a report that belong to one request."""

    properties: list[PropertyResult]
    request: RequestResult
    records: pd.DataFrame


class _Predictions(NamedTuple):
    """Predictions of each judge by task, and the sizes of the molecules they are for."""

    by_judge: list[dict[str, np.ndarray]]
    n_atoms: np.ndarray

    def column(self, judge: int, task: str) -> np.ndarray:
        return in_convention(task, self.by_judge[judge], self.n_atoms)


class Scorer:
    """What every request of a report is scored with.

    Parameters
    ----------
    data : LabelledMolecules
    judges : sequence of Judge
        One or two.
    reference : collection of str
        Known SMILES, as EDM's protocol writes them.
    fitted_on : LabelledMolecules
        For the baselines' means.
    vocabulary : {"qm9", "geom"}
    seed : int
        Of the real molecules drawn for given requests.
    """

    def __init__(
        self,
        data: LabelledMolecules,
        judges: Sequence[Judge],
        reference: frozenset[str],
        fitted_on: LabelledMolecules,
        vocabulary: str,
        seed: int,
    ) -> None:
        self.data, self.judges, self.reference = data, judges, reference
        self.fitted_on, self.vocabulary, self.seed = fitted_on, vocabulary, seed
        self._real: tuple[bytes, _Predictions] | None = None

    def score(
        self, wanted: Targets, molecules: MoleculeBatch, limits: Mapping[str, float]
    ) -> Score:
        """Judge the molecules of one request.

        Parameters
        ----------
        wanted : Targets
            For n molecules.
        molecules : MoleculeBatch
            Molecule i answers request i.
        limits : dict of str to float
            Tolerance of each task, in the labels' unit.

        Raises
        ------
        ValueError
            If there are not n molecules, or an oracle does not give a row for each.
        """
        import pandas as pd

        asked, n = tuple(wanted.values), len(molecules)
        if any(len(values) != n for values in wanted.values.values()):
            sizes = {len(values) for values in wanted.values.values()}
            raise ValueError(f"there are {n} molecules for {sizes.pop()} requests")
        found = self._predict(molecules)
        real = wanted if wanted.rows is not None else self.data.draw(asked, max(n, 1), self.seed)
        edm = evaluate_molecules(molecules, "edm", self.vocabulary, progress=False).per_molecule
        strict = evaluate_molecules(
            molecules, "strict", self.vocabulary, progress=False
        ).per_molecule
        valid = edm.valid.to_numpy()
        novel = valid & ~edm.smiles.isin(self.reference).to_numpy()
        met = {
            task: np.abs(found.column(0, task) - wanted.values[task]) <= limits[task]
            for task in asked
        }
        within = np.all(list(met.values()), axis=0)
        # EDM's protocol calls loose atoms valid, too, and their largest piece is mostly novel.
        hit = novel & within & (edm.n_fragments == 1).to_numpy()
        hit[hit] = ~edm.smiles[hit].duplicated().to_numpy()

        properties = []
        for task in (*asked, *_other_conventions(asked)):
            target = wanted.column(task)
            if target is not None and self.data.has(task):
                limit = limits.get(task, limits.get(OTHER_CONVENTION.get(task, ("",))[0]))
                properties.append(
                    self._property(asked, task, target, found, limit, valid, real, wanted)
                )
        judged = np.all([np.isfinite(found.column(0, task)) for task in asked], axis=0)
        size_kept = None
        if wanted.sizes is not None:
            size_kept = float((molecules.counts == wanted.sizes).mean())
        request = RequestResult(
            asked=asked,
            n=n,
            judged=float(judged.mean()),
            valid=float(valid.mean()),
            strict=float(strict.valid.mean()),
            within=float(within.mean()),
            hits=float(hit.mean()),
            strict_hits=float((hit & strict.valid.to_numpy()).mean()),
            chance=self.data.chance(limits, self.seed),
            size_kept=size_kept,
        )
        shared = {
            "target_size": 0 if wanted.sizes is None else wanted.sizes,
            "n_atoms": molecules.counts,
            "valid": valid,
            "strict": strict.valid,
            "novel": novel,
            "smiles": edm.smiles,
            "hit": hit,
        }
        parts = []
        for task in asked:
            columns = {
                "asked": "+".join(asked),
                "task": task,
                "molecule": np.arange(n),
                "target": wanted.values[task],
                "prediction": found.column(0, task),
                "within": met[task],
            }
            if len(self.judges) > 1:
                columns["second_prediction"] = found.column(1, task)
            parts.append(pd.DataFrame(columns | shared))
        return Score(properties, request, pd.concat(parts, ignore_index=True))

    def _property(
        self,
        asked: tuple[str, ...],
        task: str,
        target: np.ndarray,
        found: _Predictions,
        limit: float,
        valid: np.ndarray,
        real: Targets,
        wanted: Targets,
    ) -> PropertyResult:
        unit = field_unit(task)
        errors = unit.factor * np.abs(found.column(0, task) - target)
        judged = np.isfinite(errors)
        mae, standard_error = mean_and_error(errors[judged])
        low, high = self.data.range(task)
        known, labels = self._known(real, task)
        real_errors = unit.factor * np.abs(known.column(0, task) - labels)
        baselines = {"floor": _mean(real_errors)}
        if wanted.rows is not None:
            baselines |= self.data.baselines(task, self.fitted_on)
        second = None
        if len(self.judges) > 1:
            second = _second_opinion(
                errors,
                unit.factor * np.abs(found.column(1, task) - target),
                unit.factor * np.abs(found.column(1, task) - found.column(0, task)),
                real_errors,
                unit.factor * np.abs(known.column(1, task) - labels),
                unit.factor * np.abs(known.column(1, task) - known.column(0, task)),
            )
        return PropertyResult(
            asked=asked,
            task=task,
            unit=unit.symbol,
            n=len(target),
            n_judged=int(judged.sum()),
            mae=mae,
            standard_error=standard_error,
            median=float(np.median(errors[judged])) if judged.any() else float("nan"),
            valid_mae=_mean(errors[judged & valid]),
            tolerance=unit.factor * limit,
            within=float((errors <= unit.factor * limit).mean()),
            n_outside=int(((target < low) | (target > high)).sum()),
            baselines=baselines,
            second=second,
        )

    def _predict(self, molecules: MoleculeBatch) -> _Predictions:
        return _Predictions([judge.predict(molecules) for judge in self.judges], molecules.counts)

    def _known(self, real: Targets, task: str) -> tuple[_Predictions, np.ndarray]:
        """Predictions for the drawn rows of the dataset, each once, and their labels."""
        rows = np.unique(real.rows)
        # Requests for different properties are mostly drawn from the same rows.
        if self._real is None or self._real[0] != rows.tobytes():
            molecules = MoleculeBatch.from_padded(self.data.X[rows])
            self._real = (rows.tobytes(), self._predict(molecules))
        return self._real[1], self.data.labels(task)[rows]


def _other_conventions(asked: Sequence[str]) -> list[str]:
    others = [OTHER_CONVENTION[task][0] for task in asked if task in OTHER_CONVENTION]
    return [task for task in others if task not in asked]


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error; NaN where there are too few values."""
    if len(values) < 2:
        return _mean(values), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _second_opinion(
    first: np.ndarray,
    second: np.ndarray,
    apart: np.ndarray,
    real_first: np.ndarray,
    real_second: np.ndarray,
    real_apart: np.ndarray,
) -> SecondOpinion:
    """Compare absolute errors (n,) of two oracles on generated and on real molecules."""
    judged = np.isfinite(second)
    mae, standard_error = mean_and_error(second[judged])
    both = np.isfinite(apart)
    excess, uncertainty = mean_and_error(second[both] - first[both])
    floor = _mean(real_second)
    # An honest molecule's error e is seen as about sqrt(e^2 + floor^2), which for two oracles
    # differs by no more than their floors.
    allowed = max(0.0, floor - _mean(real_first))
    fooled = excess - allowed > max(2 * uncertainty, 0.1 * _mean(first[both]))
    return SecondOpinion(
        mae=mae,
        standard_error=standard_error,
        n_judged=int(judged.sum()),
        disagreement=_mean(apart),
        real_disagreement=_mean(real_apart),
        floor=floor,
        fooled=bool(fooled),
    )

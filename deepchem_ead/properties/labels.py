"""Labels of a property model: which columns, which rows may be used, and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from deepchem.data import Dataset

from deepchem_ead.caller import warn_caller
from deepchem_ead.molnet.labels import check_labels
from deepchem_ead.molnet.transforms import changed_by

#: The composition baseline needs this many labelled molecules for each element it fits.
MOLECULES_PER_ELEMENT = 10


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """What normalises the labels of T tasks (see `PropertyNetwork` for the attributes' meaning).

    Attributes
    ----------
    mean, mad, offset, scale : ndarray, (T,) float64
    per_atom : ndarray, (n_types, T) float64
    n_labels : ndarray, (T,) int64
        Labels each task was fitted on.
    """

    mean: np.ndarray
    mad: np.ndarray
    per_atom: np.ndarray
    offset: np.ndarray
    scale: np.ndarray
    n_labels: np.ndarray

    @classmethod
    def fit(
        cls, y: np.ndarray, w: np.ndarray, composition: np.ndarray, baseline: bool
    ) -> LabelStatistics:
        """Fit them on training labels.

        Parameters
        ----------
        y, w : ndarray, (N, T)
            Labels and weights; where the weight is 0 a label does not exist.
        composition : ndarray, (N, n_types)
            Atoms of each element in each molecule.
        baseline : bool
            Fit a least-squares regression on the composition.
        """
        n_types, n_tasks = composition.shape[1], y.shape[1]
        columns = {name: np.zeros(n_tasks) for name in ("mean", "mad", "offset", "scale")}
        per_atom = np.zeros((n_types, n_tasks))
        design = np.column_stack([composition, np.ones(len(composition))]).astype(np.float64)
        for k in range(n_tasks):
            known = w[:, k] > 0
            values = y[known, k].astype(np.float64)
            columns["mean"][k], columns["mad"][k] = _mean_and_mad(values, fallback=1.0)
            if baseline and known.sum() >= MOLECULES_PER_ELEMENT * n_types:
                per_atom[:, k] = np.linalg.lstsq(design[known], values, rcond=None)[0][:-1]
            rest = values - composition[known] @ per_atom[:, k]
            columns["offset"][k], columns["scale"][k] = _mean_and_mad(
                rest, fallback=columns["mad"][k]
            )
        return cls(per_atom=per_atom, n_labels=(w > 0).sum(0).astype(np.int64), **columns)


def _mean_and_mad(values: np.ndarray, fallback: float) -> tuple[float, float]:
    mean = values.mean()
    mad = np.abs(values - mean).mean()
    # What rounding leaves of equal values is no spread to divide by.
    return mean, mad if mad > 1e-9 * np.abs(values).max() else fallback


def task_columns(dataset: Dataset, tasks: Sequence[str]) -> list[int]:
    """Columns of a dataset's labels that hold the tasks.

    Datasets without task names (NumpyDataset) must have the tasks' columns in the tasks' order.

    Raises
    ------
    ValueError
        If a task is not among the dataset's, or the number of columns is another.
    """
    names = [str(name) for name in dataset.get_task_names()]
    _, shape, *_ = dataset.get_shape()
    n_columns = shape[1] if len(shape) > 1 else 1
    if names != [str(k) for k in range(n_columns)]:
        missing = [task for task in tasks if task not in names]
        if missing:
            raise ValueError(
                f"the dataset has no task {missing[0]!r}; it has {', '.join(names) or 'none'}, and "
                f"the model wants {', '.join(tasks)} (conditions= or tasks=)"
            )
        return [names.index(task) for task in tasks]
    if n_columns != len(tasks):
        raise ValueError(
            f"the dataset has {n_columns} columns of labels without names, the model the tasks "
            f"{', '.join(tasks)}; give it one column for each, in this order"
        )
    return list(range(n_columns))


def select_labels(
    y: np.ndarray, w: np.ndarray, columns: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (B, T) float64 and weights (B, T) float32 of the columns; NaN gets the weight 0."""
    y = np.asarray(y, np.float64).reshape(len(y), -1)[:, columns]
    w = np.asarray(w, np.float32).reshape(len(y), -1)
    w = w[:, columns] if w.shape[1] > 1 else np.broadcast_to(w, y.shape)
    missing = np.isnan(y)
    return np.where(missing, 0.0, y), np.where(missing, np.float32(0), w)


def check_training_labels(
    y: np.ndarray, w: np.ndarray, tasks: Sequence[str], ids: Sequence
) -> None:
    """Refuse infinite, huge, constant or entirely missing labels.

    Raises
    ------
    ValueError
        Naming the task and the rows (see `deepchem_ead.molnet.labels.check_labels`).
    """
    rows = [f"row {i} ({name})" for i, name in enumerate(ids)]
    check_labels(np.where(w > 0, y, np.nan), tasks, rows, allow_missing=True)


#: Labels are taken for standardised if mean and standard deviation are 0 and 1 within this.
STANDARDISED = 1e-2


def check_units(dataset: Dataset, values: np.ndarray, names: Sequence[str]) -> None:
    """Refuse labels (N, P), NaN where unknown, that are known to be in no unit of theirs.

    Values that are asked for later would mean something else. Labels that look standardised are
    warned about: what a transformer does to a dataset leaves no other trace.

    Raises
    ------
    ValueError
        If the dataset was loaded with transformers of labels.
    """
    transformers = changed_by(dataset)
    if transformers:
        raise ValueError(
            f"the labels were changed by {' and '.join(transformers)} when they were loaded, so "
            f"that values of {', '.join(names)} asked for later would mean something else; load "
            "them without transformers (the model normalises its conditions by itself)"
        )
    for name, column in zip(names, values.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) > 2 and abs(known.mean()) < STANDARDISED > abs(known.std() - 1):
            warn_caller(
                f"the labels {name!r} have the mean {known.mean():.3g} and the standard deviation "
                f"{known.std():.3g}: if a transformer has normalised them, undo that, because "
                "values asked for later are taken as they are (the model normalises by itself)"
            )

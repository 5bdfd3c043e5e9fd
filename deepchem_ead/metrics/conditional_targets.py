"""Property values to ask a generator for, drawn from labelled molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepchem_ead.metrics.baselines import atom_count_errors, mean_errors, shuffled_errors
from deepchem_ead.metrics.property_units import field_unit

#: Heat capacity an atom that EDM's convention (``Cv_edm``) leaves out, cal/mol/K.
CV_PER_ATOM = 2.981

#: Task -> (the same in the other convention, how much more an atom counts there).
OTHER_CONVENTION = {"Cv": ("Cv_edm", -CV_PER_ATOM), "Cv_edm": ("Cv", CV_PER_ATOM)}

_SHUFFLES = 20


class Targets(NamedTuple):
    """What n molecules are asked for.

    Attributes
    ----------
    values : dict of str to ndarray, (n,) float64
        Wanted values by task, in the labels' unit.
    sizes : ndarray, (n,) int64, or None
        Number of atoms of the molecules they were drawn from; None if they were given.
    rows : ndarray, (n,) int64, or None
        Rows of the dataset they were drawn from.
    """

    values: dict[str, np.ndarray]
    sizes: np.ndarray | None = None
    rows: np.ndarray | None = None

    def column(self, task: str) -> np.ndarray | None:
        """Wanted values (n,), also in the other convention; None where that needs the sizes."""
        if task in self.values:
            return self.values[task]
        return None if self.sizes is None else in_convention(task, self.values, self.sizes)


def in_convention(
    task: str, values: Mapping[str, np.ndarray], n_atoms: np.ndarray
) -> np.ndarray | None:
    """Values (n,) of a task or, for a heat capacity, from its other convention; else None."""
    if task in values:
        return values[task]
    other, per_atom = OTHER_CONVENTION.get(task, ("", 0.0))
    return values[other] - per_atom * n_atoms if other in values else None


class LabelledMolecules:
    """Sizes and labels of a dataset, NaN where unknown.

    Parameters
    ----------
    dataset : dc.data.Dataset
        X of shape (N, max_atoms, 4) and one column of y for each task, by name. A label that is NaN
        or has the weight 0 is unknown.
    unnamed : sequence of str
        What the columns of a dataset without task names (NumpyDataset) are.

    Attributes
    ----------
    X : ndarray, (N, max_atoms, 4)
    sizes : ndarray, (N,) int64
        Number of atoms.
    tasks : list of str
    """

    def __init__(self, dataset: Any, unnamed: Sequence[str] = ()) -> None:
        self.X = np.asarray(dataset.X)
        self.sizes = (self.X[:, :, 3] > 0).sum(1)
        y = np.asarray(dataset.y, np.float64).reshape(len(self.X), -1)
        w = np.asarray(dataset.w).reshape(len(self.X), -1)
        y = np.where((w > 0) & np.isfinite(y), y, np.nan)
        self.tasks = [str(name) for name in dataset.get_task_names()]
        if self.tasks == [str(k) for k in range(y.shape[1])] and len(unnamed) == y.shape[1]:
            self.tasks = list(unnamed)
        self._labels = dict(zip(self.tasks, y.T, strict=True))

    def has(self, task: str) -> bool:
        """Whether there are labels of a task."""
        values = in_convention(task, self._labels, self.sizes)
        return values is not None and bool(np.isfinite(values).any())

    def labels(self, task: str) -> np.ndarray:
        """Labels (N,) of a task, NaN where unknown.

        Raises
        ------
        ValueError
            If the dataset has no such task, or no label of it.
        """
        values = in_convention(task, self._labels, self.sizes)
        if values is None:
            raise ValueError(f"the dataset has no task {task!r}; it has {', '.join(self.tasks)}")
        if not self.has(task):
            raise ValueError(f"the dataset has no label of {task!r}")
        return values

    def mad(self, task: str) -> float:
        """Mean absolute deviation of the labels from their mean."""
        values = self._known(task)[1]
        return float(np.abs(values - values.mean()).mean())

    def range(self, task: str) -> tuple[float, float]:
        """Least and largest label."""
        values = self._known(task)[1]
        return float(values.min()), float(values.max())

    def draw(self, tasks: Sequence[str], n: int, seed: int) -> Targets:
        """Properties and size of n random molecules, with replacement.

        A molecule's properties and size are drawn together, so every request is one that data
        could answer. EDM draws the size and then the property from a histogram of 1,000 bins for
        that size: the same up to the width of a bin.
        """
        labels = np.stack([self.labels(task) for task in tasks])
        complete = np.flatnonzero(np.isfinite(labels).all(0))
        if not len(complete):
            raise ValueError(f"no molecule of the dataset has labels of all of {', '.join(tasks)}")
        # The second word keeps this stream apart from those that make molecules.
        rows = complete[np.random.default_rng([seed, 2]).integers(0, len(complete), n)]
        values = dict(zip(tasks, labels[:, rows], strict=True))
        return Targets(values, self.sizes[rows], rows)

    def chance(self, tolerances: Mapping[str, float], seed: int) -> float:
        """Share of random pairs of molecules whose labels agree within all tolerances."""
        labels = np.stack([self.labels(task) for task in tolerances], 1)
        labels = labels[np.isfinite(labels).all(1)]
        limits = np.array(list(tolerances.values()))
        rng = np.random.default_rng([seed, 3])
        shares = [
            (np.abs(labels - labels[rng.permutation(len(labels))]) <= limits).all(1).mean()
            for _ in range(_SHUFFLES)
        ]
        return float(np.mean(shares))

    def baselines(self, task: str, fitted_on: LabelledMolecules | None = None) -> dict[str, float]:
        """Mean absolute errors, in the field's unit, of what knows no molecule's structure.

        Parameters
        ----------
        task : str
        fitted_on : LabelledMolecules, optional
            Molecules whose means are the predictions (EDM: the other half of the training part);
            these themselves by default.

        Returns
        -------
        dict
            "atoms" (mean label of the molecules of the same size), "mean", "shuffled".
        """
        sizes, labels = self._known(task)
        fit_sizes, fit_labels = (fitted_on or self)._known(task)
        factor = field_unit(task).factor
        return {
            "atoms": factor * float(atom_count_errors(fit_sizes, fit_labels, sizes, labels)[0]),
            "mean": factor * float(mean_errors(fit_labels, labels)[0]),
            "shuffled": factor * float(shuffled_errors(labels)[0]),
        }

    def _known(self, task: str) -> tuple[np.ndarray, np.ndarray]:
        values = self.labels(task)
        known = np.isfinite(values)
        return self.sizes[known], values[known]

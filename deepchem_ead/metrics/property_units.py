"""The units in which the field reports errors of QM9 properties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: EDM's conversion of Hartree, in milli-electronvolt.
MEV_PER_HARTREE = 27_211.4


class PropertyUnit(NamedTuple):
    """Unit of a property's errors and what a dataset's native value is multiplied with."""

    symbol: str
    factor: float


#: Native units are those of `deepchem_ead.molnet.qm9.QM9_UNITS`.
FIELD_UNITS = {
    "alpha": PropertyUnit("Bohr^3", 1.0),
    "gap": PropertyUnit("meV", MEV_PER_HARTREE),
    "homo": PropertyUnit("meV", MEV_PER_HARTREE),
    "lumo": PropertyUnit("meV", MEV_PER_HARTREE),
    "mu": PropertyUnit("D", 1.0),
    "Cv": PropertyUnit("cal/mol/K", 1.0),
    "Cv_edm": PropertyUnit("cal/mol/K", 1.0),
    "r2": PropertyUnit("Bohr^2", 1.0),
    "zpve": PropertyUnit("meV", MEV_PER_HARTREE),
    "u0": PropertyUnit("meV", MEV_PER_HARTREE),
    "u298": PropertyUnit("meV", MEV_PER_HARTREE),
    "h298": PropertyUnit("meV", MEV_PER_HARTREE),
    "g298": PropertyUnit("meV", MEV_PER_HARTREE),
}


def field_unit(task: str) -> PropertyUnit:
    """Unit of a task; a task that is not QM9's keeps its native unit."""
    return FIELD_UNITS.get(task, PropertyUnit("", 1.0))


def field_errors(predicted: np.ndarray, wanted: np.ndarray, tasks: list[str]) -> dict[str, float]:
    """Mean absolute error of each task in the field's unit.

    Parameters
    ----------
    predicted, wanted : ndarray, (N, T)
        In native units. Rows in which either is NaN do not count.
    tasks : list of str
        Name of each column.

    Returns
    -------
    dict of str to float
        NaN for a task without a row.
    """
    errors = np.abs(np.asarray(predicted, np.float64) - np.asarray(wanted, np.float64))
    out = {}
    for k, task in enumerate(tasks):
        known = errors[np.isfinite(errors[:, k]), k]
        out[task] = float(known.mean() * field_unit(task).factor) if len(known) else float("nan")
    return out

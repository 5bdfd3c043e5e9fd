"""What is wanted of designed molecules, and how far predictions are from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from deepchem_ead.generation.condition_values import Quantity, parse_quantity


class Target(NamedTuple):
    """A wanted property.

    Attributes
    ----------
    name : str
    quantity : Quantity
        The wanted value and the unit it was written in.
    tolerance : float
        How far a prediction may be from it, in the unit of the training labels; NaN for any
        distance.
    """

    name: str
    quantity: Quantity
    tolerance: float

    @property
    def value(self) -> float:
        """In the unit of the training labels."""
        return self.quantity.value

    @property
    def unit(self) -> str:
        """The unit the value was written in, "" where none is known."""
        return self.quantity.unit

    @property
    def factor(self) -> float:
        """What one of this unit is in the unit of the training labels."""
        return self.quantity.factor

    def show(self, value: float) -> str:
        """A value of this property as text with its unit."""
        return f"{value / self.factor:.4g} {self.unit}".rstrip()


def read_targets(
    conditions: Mapping[str, object], tolerance: object, tasks: Sequence[str]
) -> list[Target]:
    """Check what is wanted.

    Parameters
    ----------
    conditions : mapping of str to value
        As `parse_quantity` takes them, one for each property.
    tolerance : value, mapping of str to value, or None
        A single value is for a single property.
    tasks : sequence of str
        What the predictor predicts.

    Raises
    ------
    ValueError
        If nothing is wanted, a property cannot be predicted, or a value or tolerance is not a
        number in a known unit.
    """
    if not conditions:
        raise ValueError("name at least one property and its value, for example gap='5.4 eV'")
    if tolerance is not None and not isinstance(tolerance, Mapping):
        if len(conditions) > 1:
            raise ValueError(
                f"tolerance={tolerance!r}: with several properties ({', '.join(conditions)}) give "
                "one by name for each that is to be kept"
            )
        tolerance = dict.fromkeys(conditions, tolerance)
    tolerances = dict(tolerance or {})
    for name in tolerances:
        if name not in conditions:
            raise ValueError(f"the tolerance is for {name!r}, but wanted: {', '.join(conditions)}")
    return [_target(name, value, tolerances.get(name), tasks) for name, value in conditions.items()]


def _target(name: str, wanted: object, tolerance: object, tasks: Sequence[str]) -> Target:
    if name not in tasks:
        raise ValueError(f"the predictor knows no {name!r}; it predicts {', '.join(tasks)}")
    if not isinstance(wanted, str) and np.ndim(wanted):
        raise ValueError(f"{name}: give one value, not {np.size(wanted)}")
    quantity = parse_quantity(name, wanted)
    if not np.isfinite(quantity.value):
        raise ValueError(f"{name} must be a number, not {wanted!r}")
    limit = parse_quantity(name, tolerance).value
    if tolerance is not None and not limit > 0:
        raise ValueError(f"the tolerance of {name} must be positive, not {tolerance!r}")
    return Target(name, quantity, limit)


def within(predicted: np.ndarray, targets: Sequence[Target]) -> np.ndarray:
    """Which predictions (N, T) are within the tolerance of every target that has one: (N,) bool."""
    deviation = np.abs(predicted - [target.value for target in targets])
    limit = np.nan_to_num([target.tolerance for target in targets], nan=np.inf)
    return (deviation <= limit).all(1)


def distances_to(
    predicted: np.ndarray, uncertainty: np.ndarray | None, targets: Sequence[Target]
) -> np.ndarray:
    """How far predictions are from all targets: root mean square over the targets of::

        (prediction - target) / unit

    The unit is the target's tolerance; without one the median standard deviation of the
    predictions; if the predictor gives none, the mean absolute deviation of the predictions.

    Parameters
    ----------
    predicted : ndarray, (N, T)
    uncertainty : ndarray, (N, T), or None
    targets : sequence of T Target

    Returns
    -------
    ndarray, (N,)
    """
    deviation = predicted - [target.value for target in targets]
    unit = np.array([target.tolerance for target in targets])
    open_ = np.isnan(unit)
    if len(predicted) and open_.any():
        if uncertainty is None:
            spread = np.abs(predicted - predicted.mean(0)).mean(0)
        else:
            spread = np.median(uncertainty, 0)
        unit = np.where(open_, spread, unit)
    # Equal predictions have no spread, and then the unit does not matter.
    unit = np.where(unit > 0, unit, 1.0)
    return np.sqrt(((deviation / unit) ** 2).mean(1))


def chance_within(
    predicted: np.ndarray, uncertainty: np.ndarray, targets: Sequence[Target]
) -> np.ndarray:
    """How likely the true values are within all tolerances, (N,).

    The predictor's errors are taken to follow Laplace distributions with its standard deviations
    (as `EGNNPropertyModel` learns them), independent of each other. Properties without a tolerance
    do not count.
    """
    chance = np.ones(len(predicted))
    for k, target in enumerate(targets):
        if np.isfinite(target.tolerance):
            off = predicted[:, k] - target.value
            scale = np.maximum(uncertainty[:, k], 1e-12 * target.tolerance) / np.sqrt(2)
            upper = _laplace_cdf((target.tolerance - off) / scale)
            chance *= upper - _laplace_cdf((-target.tolerance - off) / scale)
    return chance


def _laplace_cdf(x: np.ndarray) -> np.ndarray:
    tail = 0.5 * np.exp(-np.abs(x))
    return np.where(x > 0, 1 - tail, tail)

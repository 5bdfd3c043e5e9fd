"""Property values as a person writes them, in the unit the model was trained in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from deepchem_ead.metrics.property_units import MEV_PER_HARTREE
from deepchem_ead.molnet.qm9 import QM9_UNITS

_EV = 1000 / MEV_PER_HARTREE
_ANGSTROM = 1 / 0.529177210903
_ENERGY = {
    "Hartree": 1.0, "hartree": 1.0, "Ha": 1.0, "Eh": 1.0, "eV": _EV, "meV": _EV / 1000,
    "kcal/mol": 1 / 627.509474, "kJ/mol": 1 / 2625.499639,
}  # fmt: skip

#: What one of a unit is in the native unit of `load_qm9_3d`. Blanks and carets do not matter.
UNITS: dict[str, dict[str, float]] = {
    "Hartree": _ENERGY,
    "Debye": {"D": 1.0, "Debye": 1.0, "debye": 1.0},
    "Bohr^3": {"Bohr^3": 1.0, "bohr^3": 1.0, "a0^3": 1.0, "Angstrom^3": _ANGSTROM**3,
               "A^3": _ANGSTROM**3, "Å^3": _ANGSTROM**3},
    "Bohr^2": {"Bohr^2": 1.0, "bohr^2": 1.0, "a0^2": 1.0, "Angstrom^2": _ANGSTROM**2,
               "A^2": _ANGSTROM**2, "Å^2": _ANGSTROM**2},
    "cal/mol/K": {"cal/mol/K": 1.0, "cal/(mol K)": 1.0, "J/mol/K": 1 / 4.184,
                  "J/(mol K)": 1 / 4.184},
}  # fmt: skip

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*")


class Quantity(NamedTuple):
    """A value of a property and the unit it was written in.

    Attributes
    ----------
    value : float
        In the unit of the training labels; NaN for unknown.
    unit : str
        As `UNITS` spells it; the property's own where none was written, "" where none is known.
    factor : float
        What one of the unit is in the unit of the training labels.
    """

    value: float
    unit: str
    factor: float

    @property
    def written(self) -> float:
        """The value in its unit, without the last digits that the conversion may have changed."""
        return float(f"{self.value / self.factor:.12g}")


def parse_quantity(name: str, value) -> Quantity:
    """A property's value from a number or a text that may end in a unit.

    Parameters
    ----------
    name : str
        Name of the property. One of QM9's (`QM9_UNITS`) is understood to have its native unit
        there.
    value : float, str or None
        A number is taken as it is. A text may end in a unit, "5.4 eV" or "80 Bohr^3". None and NaN
        mean unknown.

    Raises
    ------
    ValueError
        If a text is no number, the property has no known unit, or a unit is not one of its.
    """
    native = Quantity(float("nan"), QM9_UNITS.get(name, ""), 1.0)
    if value is None:
        return native
    if not isinstance(value, str):
        number = float(value)
        if np.isinf(number):
            raise ValueError(f"{name} must be a finite number, not {number}")
        return native._replace(value=number)
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise ValueError(f"{name}={value!r} is not a number with or without a unit")
    number, unit = float(match[1]), match[2]
    if not unit:
        return native._replace(value=number)
    spelling, factor = find_unit(name, unit, f"{name}={value!r}: ")
    return Quantity(number * factor, spelling, factor)


def find_unit(name: str, unit: str, where: str = "") -> tuple[str, float]:
    """A unit of a property as `UNITS` spells it, and what one of it is in the native unit.

    Parameters
    ----------
    name, unit : str
    where : str
        Begins the message of an error.

    Raises
    ------
    ValueError
        If no unit of the property is known, or it is none of them.
    """
    native = QM9_UNITS.get(name)
    if native is None:
        raise ValueError(
            f"{where}no unit is known for {name!r}; give the plain number in the unit of the "
            "training data"
        )
    for spelling, factor in UNITS[native].items():
        if _plain(spelling) == _plain(unit):
            return spelling, factor
    raise ValueError(f"{where}the unit {unit!r} is none of {', '.join(UNITS[native])}")


def parse_value(name: str, value) -> float:
    """A requested property in the unit of the training labels; see `parse_quantity`."""
    return parse_quantity(name, value).value


def requested_values(
    conditions: Mapping[str, object] | None, names: Sequence[str], n: int
) -> np.ndarray:
    """Requested properties of n molecules, (n, P) float64, NaN where not asked for.

    Parameters
    ----------
    conditions : mapping of str to value or sequence of values, optional
        Values as `parse_value` takes them, one for all molecules or one for each.
    names : sequence of str
        The P properties of the model.
    n : int

    Raises
    ------
    ValueError
        If the model does not know a property, a sequence has not n values, or a value cannot be
        read.
    """
    if conditions is not None and not isinstance(conditions, Mapping):
        raise ValueError(
            f"conditions={conditions!r}: give the wanted values by name, "
            f"{{{(*names, 'gap')[0]!r}: value}}"
        )
    values = np.full((n, len(names)), np.nan)
    for name, asked in (conditions or {}).items():
        if name not in names:
            known = f"trained with {', '.join(names)}" if names else "not trained with conditions"
            raise ValueError(
                f"the model knows no condition {name!r}; it was {known}. A property model that "
                "knows it steers any weights, guide='qm9-guide' for example"
            )
        if isinstance(asked, str) or np.ndim(asked) == 0:
            column = parse_value(name, asked)
        else:
            column = np.array([parse_value(name, value) for value in asked])
            if column.shape != (n,):
                raise ValueError(f"{name} has {len(column)} values for {n} molecules")
        values[:, names.index(name)] = column
    return values


def _plain(unit: str) -> str:
    return re.sub(r"[\s^*]", "", unit)

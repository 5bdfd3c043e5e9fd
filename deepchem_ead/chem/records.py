"""What a molecule file holds for each molecule, and how its text values become columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from deepchem_ead.chem.graphs import MolecularGraph

#: Tags that the writers derive from the molecule itself; they are not read back as properties.
SMILES_TAG = "SMILES"
CHARGE_TAGS = ("charge", "total_charge")


class Record(NamedTuple):
    """One molecule of a file.

    Attributes
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    charge : int
        Total charge.
    name : str
        Title line or id; "" if there is none.
    tags : dict of str
        The other SDF tags or extended-XYZ keys, as text.
    graph : MolecularGraph or None
        Bonds, formal charges, isotopes and radicals, as far as the file has them.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charge: int
    name: str
    tags: dict[str, str]
    graph: MolecularGraph | None = None


class BadRecord(NamedTuple):
    """A record that could not be read: its number (from 1) and the reason."""

    number: int
    reason: str


def pop_charge(tags: dict[str, str]) -> int:
    """Take a whole-number total charge out of the tags; 0 if there is none."""
    for tag in CHARGE_TAGS:
        try:
            charge = int(tags[tag])
        except (KeyError, ValueError):
            continue
        del tags[tag]
        return charge
    return 0


def columns(tags: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """Turn text tags into one array a tag.

    Parameters
    ----------
    tags : list of dict
        Tags of each molecule.

    Returns
    -------
    dict of numpy.ndarray
        int64 if every value is a whole number, bool if every value is ``T`` or ``F``, float64 if
        every value is a number (missing ones are NaN), text otherwise (missing ones are "").
    """
    names: dict[str, None] = {}
    for entry in tags:
        names.update(dict.fromkeys(entry))
    return {name: _column([entry.get(name) for entry in tags]) for name in names}


def _column(values: list[str | None]) -> np.ndarray:
    complete = None not in values
    if complete and set(values) <= {"T", "F"}:
        return np.array([v == "T" for v in values])
    # Python reads "1_000" as a number; in a file it is a name.
    if not any(v is not None and "_" in v for v in values):
        if complete:
            try:
                return np.array([int(v) for v in values if v is not None], dtype=np.int64)
            except (ValueError, OverflowError):
                pass
        try:
            return np.array([np.nan if v is None else float(v) for v in values])
        except ValueError:
            pass
    return np.array(["" if v is None else v for v in values])


def as_text(value: object) -> str:
    """Text of one property value, exact for numbers (the shortest text that reads back equal)."""
    if isinstance(value, (bool, np.bool_)):
        return "T" if value else "F"
    return str(value)


def rounded(value: object) -> object:
    """A number with the six digits that a prediction may have; anything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, (float, np.floating)) else value


def describe(bad: Iterable[BadRecord], limit: int = 20) -> str:
    """List bad records for a warning, at most ``limit`` of them."""
    bad = list(bad)
    shown = "; ".join(f"record {b.number}: {b.reason}" for b in bad[:limit])
    return shown + (f"; and {len(bad) - limit} more" if len(bad) > limit else "")

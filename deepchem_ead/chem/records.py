"""What a molecule file holds for each molecule, and how its text values become columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.values import column

#: Tags that the writers derive from the molecule itself; they are not read back as properties.
SMILES_TAG = "SMILES"
#: How generated molecules were made, in the first record of their file; no property either.
JOB_TAG = "deepchem_ead_job"
CHARGE_TAG = "charge"

_CHARGE_NAMES = {"charge", "totalcharge", "netcharge", "formalcharge", "molecularcharge"}
_CHARGE = re.compile(r"(?:([+-]?[0-9]{1,3})(?:\.0*)?|([0-9]{1,3})([+-]))[,;]?")
_CHARGE_IN_WORDS = re.compile(
    r"(?<![\w-])(?:(?:total|net|formal|molecular)[ _-])?charge\s{0,3}[:=]?\s{0,3}"
    r"([+-]?[0-9]{1,2})(?:\.0*)?(?=$|[\s,;])",
    re.IGNORECASE,
)
_MARK = "property_"


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
    smiles : str or None
        What a tag says that is called SMILES, or has that in its name; nobody has looked whether
        it is one, or the same molecule.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charge: int
    name: str
    tags: dict[str, str]
    graph: MolecularGraph | None = None
    smiles: str | None = None


class BadRecord(NamedTuple):
    """A record that could not be read: its number (from 1) and the reason."""

    number: int
    reason: str


def pop_charge(tags: dict[str, str]) -> int:
    """Take a total charge out of the tags; 0 if there is none.

    ``charge``, ``Charge``, ``total charge``, ``net_charge`` and the like are known, with values
    such as ``1``, ``+1``, ``-1.``, ``1.0`` and ``2-``. What is not a whole number stays a tag.
    """
    for tag in tags:
        if _is_charge(tag) and type(tags[tag]) is str:
            found = _CHARGE.fullmatch(tags[tag].strip().replace("\u2212", "-"))
            if found:
                del tags[tag]
                return int(found[1] or found[3] + found[2])
    return 0


def charge_in_words(text: str) -> int:
    """Total charge that a comment without ``=`` tells, as in ``Charge: -1``; 0 if none."""
    found = _CHARGE_IN_WORDS.search(text)
    return int(found[1]) if found else 0


@lru_cache(maxsize=1024)
def _is_charge(tag: str) -> bool:
    return re.sub(r"[\s_-]", "", tag).lower() in _CHARGE_NAMES


def is_derived(name: str) -> bool:
    """Whether a tag of this name is taken for the charge or the SMILES of the molecule."""
    return name == SMILES_TAG or _is_charge(name)


def mark_name(name: str, is_taken: Callable[[str], bool] = is_derived) -> str:
    """Name that a property is written under; one that means something else to readers is marked."""
    return _MARK + name if is_taken(_unmarked(name)) else name


def told_smiles(tags: dict[str, str]) -> str | None:
    """What the first tag says that is called SMILES, or else one with that in its name."""
    if SMILES_TAG in tags:
        return tags[SMILES_TAG]
    return next((text for name, text in tags.items() if "smiles" in name.lower()), None)


def settle_tags(
    tags: dict[str, str], is_taken: Callable[[str], bool] = is_derived
) -> tuple[int, dict[str, str]]:
    """Charge and properties among the tags of a record: the inverse of :func:`mark_name`."""
    tags.pop(SMILES_TAG, None)
    charge = pop_charge(tags)
    if not any(name.startswith(_MARK) for name in tags):
        return charge, tags
    return charge, {
        name.removeprefix(_MARK) if is_taken(_unmarked(name)) else name: value
        for name, value in tags.items()
    }


def _unmarked(name: str) -> str:
    while name.startswith(_MARK):
        name = name.removeprefix(_MARK)
    return name


def add_tag(tags: dict[str, str], tag: str, value: str) -> None:
    """Add a tag; one that comes twice with different values keeps both, on lines of their own."""
    tags[tag] = value if tags.get(tag, value) == value else f"{tags[tag]}\n{value}"


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
        every value is a number (missing ones are NaN), text otherwise (missing ones are ""). Text
        that a number would not give back is text: leading zeros, ``1_000``, ``1e5``.
    """
    names: dict[str, None] = {}
    for entry in tags:
        names.update(dict.fromkeys(entry))
    names.pop(JOB_TAG, None)
    return {name: column([entry.get(name) for entry in tags]) for name in names}


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

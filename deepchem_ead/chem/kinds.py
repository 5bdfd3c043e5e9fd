"""Kinds of atoms: an element together with a formal charge, written ``N``, ``N+``, ``O-``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.elements import number_of, symbol_of
from deepchem_ead.errors import MoleculeError

if TYPE_CHECKING:
    from deepchem_ead.chem.batch import Molecules

#: Atomic number and formal charge.
Kind = tuple[int, int]

_KIND = re.compile(r"([A-Za-z]{1,2})(\+{1,3}|-{1,3}|[+-]\d{1,2})?")
_EXAMPLE = "'H,C,N,N+,O,O-,F'"


def parse_kind(text: str) -> Kind:
    """Atomic number and formal charge of a kind as :func:`format_kind` writes it.

    ``N+``, ``N+1``, ``Zn++`` and ``Zn+2`` are accepted.

    Raises
    ------
    ValueError
        If it is no element, or not followed by a charge.

    Examples
    --------
    >>> parse_kind("N+"), parse_kind("O-1"), parse_kind("Cl")
    ((7, 1), (8, -1), (17, 0))
    """
    found = _KIND.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is no kind of atom: write an element symbol and, if it is charged, the "
            "charge behind it, such as C, N+, O- or Zn+2"
        )
    symbol, sign = found[1], found[2] or ""
    try:
        number = number_of(symbol)
    except MoleculeError as error:
        raise ValueError(f"{text!r} is no kind of atom: {error}") from None
    if sign[1:].isdigit():
        return number, int(sign)
    return number, sign.count("+") - sign.count("-")


def format_kind(kind: Kind) -> str:
    """Symbol and charge of a kind.

    Raises
    ------
    MoleculeError
        If there is no such element.

    Examples
    --------
    >>> format_kind((7, 1)), format_kind((8, -1)), format_kind((30, 2)), format_kind((6, 0))
    ('N+', 'O-', 'Zn+2', 'C')
    """
    number, charge = kind
    charge = int(charge)
    if abs(charge) <= 1:
        return symbol_of(int(number)) + ("-", "", "+")[charge + 1]
    return f"{symbol_of(int(number))}{charge:+d}"


def parse_kinds(kinds: str | Iterable[str | Kind]) -> tuple[Kind, ...]:
    """Read a list of kinds, keeping its order.

    Parameters
    ----------
    kinds : str or iterable of str or (int, int)
        Comma-separated, as :func:`format_kinds` writes them, or an iterable of kinds.

    Raises
    ------
    ValueError
        If the list is empty, an entry is no kind, or a kind is named twice; names the entry.

    Examples
    --------
    >>> parse_kinds("H,C,N,N+,O-")
    ((1, 0), (6, 0), (7, 0), (7, 1), (8, -1))
    """
    entries = kinds.split(",") if isinstance(kinds, str) else list(kinds)
    if not entries:
        raise ValueError(f"kinds is empty: name at least one, such as {_EXAMPLE}")
    parsed: list[Kind] = []
    for entry in entries:
        try:
            # What is given as numbers is checked as what is given as text is.
            kind = parse_kind(entry if isinstance(entry, str) else format_kind(entry))
        except (TypeError, ValueError) as error:
            raise ValueError(f"kinds={kinds!r}: {error}; a list is written {_EXAMPLE}") from None
        if kind in parsed:
            raise ValueError(f"kinds={kinds!r} names {format_kind(kind)} twice")
        parsed.append(kind)
    return tuple(parsed)


def format_kinds(kinds: Iterable[Kind]) -> str:
    """A list of kinds as :func:`parse_kinds` reads it.

    Examples
    --------
    >>> format_kinds([(6, 0), (7, 1)])
    'C,N+'
    """
    return ",".join(map(format_kind, kinds))


def count_kinds(molecules: Molecules) -> dict[Kind, int]:
    """Atoms of each kind that occurs, by element and charge.

    Formal charges are those of :meth:`MoleculeBatch.formal_charges`.
    """
    pairs = np.stack([molecules.atomic_numbers.astype(int), molecules.formal_charges()], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(z, q): n for (z, q), n in zip(found.tolist(), counts.tolist(), strict=True)}

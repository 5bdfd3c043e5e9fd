"""Plain and extended XYZ: several frames, ``key=value`` comments, the ``Properties`` columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from deepchem_ead.chem.elements import MAX_ATOMIC_NUMBER, number_of, symbol_of
from deepchem_ead.chem.records import SMILES_TAG, BadRecord, Record, pop_charge
from deepchem_ead.errors import MoleculeError

_COLUMNS = "species:S:1:pos:R:3"
_ID_KEY = "id"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"({_QUOTED}|[^\s=\"]+)\s*=\s*({_QUOTED}|'[^']*'|\{{[^}}]*\}}|[^\s\"]*)")
_ESCAPES = {"n": "\n"}


def read_xyz(lines: Iterable[str]) -> Iterator[Record | BadRecord]:
    """Read XYZ text, one frame at a time.

    A comment line without any ``key=value`` is the molecule's name. The columns are those that
    ``Properties`` lists (``species`` or ``Z``, and ``pos``); other columns are not kept.

    Parameters
    ----------
    lines : iterable of str
        Lines with or without line ends.

    Yields
    ------
    Record or BadRecord
        Coordinates in Angstrom. After a bad frame reading goes on at the next atom count.
    """
    lines = [line.rstrip("\r\n") for line in lines]
    number, i = 0, 0
    while i < len(lines):
        if not lines[i].strip():
            i += 1
            continue
        number += 1
        try:
            count = _atom_count(lines[i])
            yield _read_frame(lines, i, count)
            i += 2 + count
        except (MoleculeError, ValueError) as error:
            yield BadRecord(number, f"line {i + 1}: {error}")
            # The line after the count is a comment, which may well be a number of its own.
            i += 2
            while i < len(lines) and not lines[i].strip().isdecimal():
                i += 1


def _atom_count(line: str) -> int:
    if not line.strip().isdecimal():
        raise MoleculeError(f"expected the number of atoms, found {line.strip()[:40]!r}")
    return int(line)


def _read_frame(lines: list[str], start: int, count: int) -> Record:
    comment = lines[start + 1] if start + 1 < len(lines) else ""
    rows = [line.split() for line in lines[start + 2 : start + 2 + count]]
    if len(rows) < count:
        raise MoleculeError(f"{count} atoms announced, but the file ends after {len(rows)}")
    tags = _read_comment(comment)
    name = tags.pop(_ID_KEY, "") if tags else comment.strip()
    species, first = _find_columns(tags.pop("Properties", _COLUMNS))
    numbers = np.zeros(count, dtype=np.int16)
    positions = np.zeros((count, 3))
    for atom, row in enumerate(rows):
        try:
            numbers[atom] = _read_element(row[species])
            positions[atom] = row[first : first + 3]
        except (IndexError, ValueError) as error:
            reason = error if isinstance(error, MoleculeError) else "needs an element and x y z"
            raise MoleculeError(f"atom {atom} ({' '.join(row)[:60]!r}): {reason}") from None
    tags.pop(SMILES_TAG, None)
    return Record(numbers, positions, pop_charge(tags), name, tags)


def _read_element(text: str) -> int:
    if text.isdecimal():
        number = int(text)
        if not 1 <= number <= MAX_ATOMIC_NUMBER:
            raise MoleculeError(f"{number} is not an atomic number (1 to {MAX_ATOMIC_NUMBER})")
        return number
    return number_of(text)


def _find_columns(properties: str) -> tuple[int, int]:
    """Column of the element and first column of the position."""
    fields = properties.split(":")
    starts: dict[str, int] = {}
    column = 0
    try:
        for name, width in zip(fields[0::3], fields[2::3], strict=True):
            starts[name.lower()] = column
            column += int(width)
        species = starts["species"] if "species" in starts else starts["z"]
        return species, starts["pos"]
    except (ValueError, KeyError):
        raise MoleculeError(
            f"Properties={properties} does not name the columns species (or Z) and pos"
        ) from None


def _read_comment(comment: str) -> dict[str, str]:
    return {_unquote(key): _unquote(value) for key, value in _PAIR.findall(comment)}


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == '"' == text[-1]:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1])
    if len(text) > 1 and text[0] + text[-1] in ("''", "{}"):
        return text[1:-1]
    return text


def _quote(text: str) -> str:
    if text and not re.search(r"[\s=\"'\\{}]", text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "\\n".join(text.splitlines()) + '"'


def format_xyz(numbers: np.ndarray, positions: np.ndarray, name: str, tags: dict[str, str]) -> str:
    """One extended-XYZ frame.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3); any value, also NaN.
    name : str
        Written as the key ``id`` unless empty.
    tags : dict of str
        Further keys.
    """
    keys = {_ID_KEY: name, **tags} if name else tags
    comment = " ".join(f"{_quote(key)}={_quote(value)}" for key, value in keys.items())
    rows = [
        f"{symbol_of(z):<2} {x:14.8f} {y:14.8f} {w:14.8f}\n"
        for z, (x, y, w) in zip(numbers.tolist(), positions.tolist(), strict=True)
    ]
    return f"{len(rows)}\nProperties={_COLUMNS} {comment}\n" + "".join(rows)

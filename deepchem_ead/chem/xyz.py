"""Plain and extended XYZ: several frames, ``key=value`` comments, the ``Properties`` columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np

from deepchem_ead.chem.elements import MAX_ATOMIC_NUMBER, SYMBOL_NUMBERS, number_of, symbol_of
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.limits import record_limit, record_too_large
from deepchem_ead.chem.qm9_xyz import COLUMNS as QM9_COLUMNS
from deepchem_ead.chem.qm9_xyz import FOOTER_LINES, is_footer, qm9_tags
from deepchem_ead.chem.records import BadRecord, Record, charge_in_words, settle_tags, told_smiles
from deepchem_ead.chem.text import OVERLONG
from deepchem_ead.chem.values import number
from deepchem_ead.chem.xyz_comment import (
    PROPERTIES_KEY,
    format_comment,
    has_meaning,
    read_comment,
)
from deepchem_ead.errors import MoleculeError

_COLUMNS = "species:S:1:pos:R:3"
_ROWS_AT_ONCE = 4096
_LINES_AHEAD = 512
_ISOTOPE = re.compile(r"([0-9]{1,3})([A-Za-z]{1,2})")
# "Coordinates in Bohr", "units=bohr", "(Bohr)"; not "alpha in Bohr^3".
_OTHER_UNIT = re.compile(
    r"(?:\bin\s|\(|\bunits?\s{0,3}[:=]?\s{0,3}[\"']?)\s{0,3}(?:bohr|nanomet(?:er|re)s?)\b"
    r"(?!\s?[\^*0-9])",
    re.IGNORECASE,
)
_NAMED_ISOTOPES = {"D": 2, "T": 3}


class _Source:
    """Lines that can be put back, and the number (from 1) of the next one."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._buffer: list[str] = []
        self._next = 0  # in the buffer
        self._before = 1  # number of the buffer's first line

    @property
    def number(self) -> int:
        return self._before + self._next

    def forget(self) -> None:
        """Drop the lines taken so far: nothing before the next one will be put back."""
        if self._next > _LINES_AHEAD:
            del self._buffer[: self._next]
            self._before += self._next
            self._next = 0

    def take(self, n: int) -> list[str]:
        """The next n lines, or those that are left."""
        found = self.peek(n)
        self._next += len(found)
        return found

    def put_back(self, n: int) -> None:
        """Put back the last n lines taken."""
        self._next -= n

    def peek(self, n: int) -> list[str]:
        end = self._next + n
        if end > len(self._buffer):
            self._buffer += islice(self._lines, max(end - len(self._buffer), _LINES_AHEAD))
        return self._buffer[self._next : end]


def read_xyz(lines: Iterable[str]) -> Iterator[Record | BadRecord]:
    """Read XYZ text, one frame at a time.

    Comments are read as :func:`deepchem_ead.chem.xyz_comment.read_comment` says. The columns are
    those that ``Properties`` lists (``species`` or ``Z``, and ``pos``); other columns are not kept.
    Deuterium, tritium and symbols such as ``13C`` become isotopes. QM9's own files are known.

    Parameters
    ----------
    lines : iterable of str
        Lines with or without line ends.

    Yields
    ------
    Record or BadRecord
        Coordinates in Angstrom. After a bad frame reading goes on at the next atom count.
    """
    source = _Source(lines)
    largest = record_limit()
    frame = 0
    while head := source.take(1):
        if not head[0].strip():
            continue
        frame += 1
        start = source.number - 1
        try:
            yield _read_frame(source, start, _atom_count(head[0]), largest)
        except (MoleculeError, ValueError) as error:
            yield BadRecord(frame, f"line {start}: {error}")
            taken = source.number - start - 1
            source.put_back(taken)
            if taken:
                source.take(1)  # a comment, which may well be a number of its own
            _find_next_count(source)
        source.forget()


def _find_next_count(source: _Source) -> None:
    """Skip lines up to one that can be the atom count of another frame."""
    while head := source.take(1):
        if head[0].strip().isdecimal():
            after = source.peek(2)
            if len(after) < 2 or int(head[0]) == 0 or len(after[1].split()) > 1:
                source.put_back(1)
                return


def _atom_count(line: str) -> int:
    text = line.strip()
    if not text.isdecimal() or len(text) > 12:
        only = text.split()[:1]
        remedy = "; the line must hold nothing else, and coordinates are in Angstrom"
        raise MoleculeError(
            f"expected the number of atoms, found {text[:40]!r}"
            + (remedy if only and only[0].isdecimal() else "")
        )
    return int(text)


def _read_frame(source: _Source, start: int, count: int, largest: int) -> Record:
    """Read comment and atoms of a frame whose count is in line ``start``."""
    comment = next(iter(source.take(1)), "")
    if comment is OVERLONG:
        raise MoleculeError(record_too_large())
    _refuse_other_unit(comment)
    name, tags = read_comment(comment.rstrip("\r\n"))
    columns = _find_columns(tags.pop(PROPERTIES_KEY, _COLUMNS))
    numbers, positions, width = _read_atoms(source, count, columns, largest)
    if width == QM9_COLUMNS:
        footer = source.peek(FOOTER_LINES)
        if is_footer(footer):
            name, tags = qm9_tags(comment, source.take(FOOTER_LINES))
    _refuse_more_atoms(source, start, count, columns)
    smiles = told_smiles(tags)
    charge, tags = settle_tags(tags, has_meaning)
    charge = charge or charge_in_words(name)
    graph = None
    if count and max(numbers) >= 1000:
        graph = _isotopes(numbers)
        numbers = [n % 1000 for n in numbers]
    return Record(
        np.array(numbers, dtype=np.int16),
        np.array(positions, dtype=np.float64).reshape(-1, 3),
        charge,
        name,
        tags,
        graph,
        smiles,
    )


def _read_atoms(
    source: _Source, count: int, columns: _Columns, largest: int
) -> tuple[list[int], list[float], int]:
    """Elements and positions, as :meth:`_Columns.read` gives them, and the first row's width."""
    numbers: list[int] = []
    positions: list[float] = []
    size = width = 0
    while len(numbers) < count:
        rows = source.take(min(count - len(numbers), _ROWS_AT_ONCE))
        if not rows:
            raise MoleculeError(
                f"{count} atoms announced, but the file ends after {len(numbers)}: it is cut "
                "short, or the count is too large"
            )
        size += sum(map(len, rows))
        if size > largest or OVERLONG in rows:
            raise MoleculeError(record_too_large())
        width = width or len(rows[0].split())
        some_numbers, some_positions = columns.read(rows, len(numbers), source.number - len(rows))
        numbers += some_numbers
        positions += some_positions
    return numbers, positions, width


def _refuse_other_unit(comment: str) -> None:
    found = _OTHER_UNIT.search(comment)
    if found:
        raise MoleculeError(
            f"the comment says {found[0].strip()!r}, but coordinates must be in Angstrom "
            "(1 Bohr is 0.529177 Angstrom); convert them and correct the comment"
        )


def _refuse_more_atoms(source: _Source, start: int, count: int, columns: _Columns) -> None:
    """An atom where the next count must stand: the count is too small."""
    skipped = 0
    while (after := source.take(1)) and not after[0].strip():
        skipped += 1
    line = source.number - 1
    source.put_back(skipped + len(after))
    if after and not after[0].strip().isdecimal():
        try:
            columns.read(after, count, line)
        except MoleculeError:
            return
        raise MoleculeError(
            f"{count} atoms announced, but another one follows in line {line} "
            f"({after[0].strip()[:60]!r}); correct the count in line {start}"
        )


def _isotopes(numbers: list[int]) -> MolecularGraph:
    isotopes = np.array([n // 1000 for n in numbers], dtype=np.int16)
    return MolecularGraph(np.zeros(len(numbers), dtype=np.int8), None, isotopes)


class _Columns:
    """Where the element and the position of an atom stand in its row."""

    def __init__(self, properties: str) -> None:
        fields = properties.split(":")
        starts: dict[str, int] = {}
        column = 0
        try:
            for name, width in zip(fields[0::3], fields[2::3], strict=True):
                starts[name.lower()] = column
                column += int(width)
            self._species = starts["species"] if "species" in starts else starts["z"]
            self._first = starts["pos"]
        except (ValueError, KeyError):
            raise MoleculeError(
                f"{PROPERTIES_KEY}={properties[:200]} does not name the columns species (or Z) and "
                "pos"
            ) from None
        self._width = max(column, self._first + 3)

    def read(
        self, lines: list[str], atom: int, number_of_line: int
    ) -> tuple[list[int], list[float]]:
        """Elements (atomic number + 1000 x mass number of an isotope) and x, y, z of some rows.

        Raises
        ------
        MoleculeError
            If a row is no atom; names the atom (the first one is ``atom``), its line and value.
        """
        rows = [line.split() for line in lines]
        species, x, end = self._species, self._first, self._first + 3
        try:
            # "1_0" is a number for Python only.
            if min(map(len, rows)) >= self._width and "_" not in "".join(lines):
                return (
                    [SYMBOL_NUMBERS[row[species]] for row in rows],
                    [float(text) for row in rows for text in row[x:end]],
                )
        except (KeyError, ValueError):
            pass
        numbers, positions = [], []
        for i, row in enumerate(rows):
            try:
                if len(row) < self._width:
                    raise MoleculeError(self._too_short(len(row)))
                numbers.append(_read_element(row[species]))
                positions += [number(text) for text in row[x:end]]
            except ValueError as error:
                shown = " ".join(row)[:60]
                raise MoleculeError(
                    f"atom {atom + i} (line {number_of_line + i}, {shown!r}): {error}"
                ) from None
        return numbers, positions

    def _too_short(self, n: int) -> str:
        if self._width == 4:
            return f"needs an element and x y z, has {n} columns; is the atom count right?"
        return (
            f"needs an element and x y z among {self._width} columns, has {n}; is the atom count "
            f"right, and {PROPERTIES_KEY}?"
        )


_find_columns = lru_cache(maxsize=8)(_Columns)


def _read_element(text: str) -> int:
    """Atomic number + 1000 x mass number of an isotope."""
    if text.isdecimal():
        value = int(text)
        if not 1 <= value <= MAX_ATOMIC_NUMBER:
            raise MoleculeError(f"{text} is not an atomic number (1 to {MAX_ATOMIC_NUMBER})")
        return value
    if text in _NAMED_ISOTOPES:
        return 1000 * _NAMED_ISOTOPES[text] + 1
    isotope = _ISOTOPE.fullmatch(text)
    if isotope:
        element, mass = number_of(isotope[2]), int(isotope[1])
        if element <= mass <= 3 * element:
            return 1000 * mass + element
    return number_of(text)


def format_xyz(
    numbers: np.ndarray,
    positions: np.ndarray,
    name: str,
    tags: dict[str, str],
    isotopes: np.ndarray | None = None,
) -> str:
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
    isotopes : numpy.ndarray, optional
        Mass numbers, shape (n,), 0 for the natural mixture: written as ``D``, ``T``, ``13C``.
    """
    symbols = [symbol_of(z) for z in numbers.tolist()]
    for i in () if isotopes is None else np.flatnonzero(isotopes).tolist():
        symbols[i] = {(1, 2): "D", (1, 3): "T"}.get(
            (int(numbers[i]), int(isotopes[i])), f"{isotopes[i]}{symbols[i]}"
        )
    rows = [
        f"{symbol:<2} {x:14.8f} {y:14.8f} {w:14.8f}\n"
        for symbol, (x, y, w) in zip(symbols, positions.tolist(), strict=True)
    ]
    return f"{len(rows)}\n{format_comment(_COLUMNS, name, tags)}\n" + "".join(rows)

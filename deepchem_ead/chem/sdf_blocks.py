"""Where the records of an SDF file begin and end, and their data items."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deepchem_ead.chem.limits import record_limit
from deepchem_ead.chem.records import add_tag
from deepchem_ead.chem.text import OVERLONG
from deepchem_ead.chem.values import is_counts_line, plain
from deepchem_ead.errors import MoleculeError

RECORD_END = "$$$$"

_HEADER = re.compile(r">[^<]*<(.*)>")
_NUMBERED_FIELD = re.compile(r">\s*(?:\d+\s+)?(DT\d+)\b")
_HEADER_LINES = 3


def split_records(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines of each record.

    A record ends with a ``$$$$`` line, which is its last line, or without one where the header of
    another MOL block begins. One that is larger than a record may be holds OVERLONG and only some
    of its lines.
    """
    largest = record_limit()
    block: list[str] = []
    size, has_counts = 0, False
    for line in lines:
        if ("2000" in line or "3000" in line) and is_counts_line(line):
            if has_counts and not _is_embedded(block):
                start = max(len(block) - _HEADER_LINES, _after_table(block))
                if any(text.strip() for text in block[:start]):
                    yield block[:start]
                block, size = block[start:], 0
            has_counts = True
        block.append(line)
        size += len(line)
        if "$" in line and is_record_end(line):
            yield block
            block, size, has_counts = [], 0, False
        elif size > largest and len(block) > 4 * _HEADER_LINES:
            block[_HEADER_LINES : -2 * _HEADER_LINES] = [OVERLONG]
    if any(line.strip() for line in block):
        yield block


def is_record_end(line: str) -> bool:
    return line.lstrip().startswith(RECORD_END)


def is_table_end(line: str) -> bool:
    return line.startswith("M  END")


def table_end(lines: list[str]) -> int | None:
    """Index of the first line that ends a table; None if there is none."""
    for i, line in enumerate(lines):
        if "END" in line and is_table_end(line):
            return i
    return None


def _is_embedded(block: list[str]) -> bool:
    """Whether a header that ends here belongs to a MOL block inside a data item."""
    return len(block) > _HEADER_LINES and item_name(block[-_HEADER_LINES - 1]) is not None


def _after_table(block: list[str]) -> int:
    """Index after the last ``M  END`` among the lines that could be a header."""
    return next((i + 1 for i in range(len(block) - 1, -1, -1) if is_table_end(block[i])), 0)


def item_name(line: str) -> str | None:
    """Field that the header line of a data item names; None if the line is none.

    Forms such as ``> 25 <NAME>``, ``>  <NAME> (ext)`` and ``> DT12`` are known.
    """
    if not line.startswith(">"):
        return None
    found = _HEADER.match(line) or _NUMBERED_FIELD.match(line)
    return found and found[1]


def read_items(lines: list[str], closed: bool) -> dict[str, str]:
    """Data items of a record.

    Parameters
    ----------
    lines : list of str
        What follows ``M  END``, without line ends and without ``$$$$``.
    closed : bool
        Whether a ``$$$$`` line follows.

    Raises
    ------
    MoleculeError
        If a line belongs to no data item, or the last data item may be cut.
    """
    tags: dict[str, str] = {}
    name: str | None = None
    value: list[str] = []
    for line in lines:
        header = item_name(line)
        if header is not None:
            if name is not None:
                _close_item(tags, name, value)
            name, value = header, []
        elif name is not None:
            value.append(line)
        elif line.strip():
            raise MoleculeError(
                f"{line.strip()[:40]!r} after 'M  END' is no data item; write '> <NAME>' above it, "
                "or end the record before it with '$$$$'"
            )
    if name is not None:
        if not closed and not (value and not value[-1].strip()):
            raise MoleculeError(
                f"the data item <{name}> is the last, and neither an empty line nor '$$$$' ends "
                "it: it may be cut short; complete the file"
            )
        _close_item(tags, name, value)
    return tags


def _close_item(tags: dict[str, str], name: str, value: list[str]) -> None:
    # An empty line ends an item, but one amid text is taken for part of the text.
    while value and not value[-1].strip():
        value.pop()
    add_tag(tags, plain(name), plain("\n".join(value)))

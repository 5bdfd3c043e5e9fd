"""CSV and TSV files as rows of text: one reader for labels and for SMILES."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Sequence
from typing import NamedTuple

from deepchem_ead.chem.text import known_binary, open_lines


class TextTable(NamedTuple):
    """Names of the columns, and the text of each row by column and its line in the file."""

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]


def read_table(path: str | os.PathLike, wanted: Sequence[str] | None = None) -> TextTable:
    """Rows of a CSV file with a header; all that could shift or swallow a value is refused.

    Fields are separated by commas, in a ``.tsv`` file by tabs. Empty lines are skipped.

    Parameters
    ----------
    path : path
        In UTF-8 or UTF-16, gzipped or not.
    wanted : sequence of str, optional
        Columns that must be there, once; by default any, each once.

    Raises
    ------
    ValueError
        If the file is in another encoding or damaged, a row has more or fewer fields than the
        header, or a column is missing or occurs twice; the message names the file, the line and
        the remedy.
    """
    tabs = str(path).lower().removesuffix(".gz").endswith(".tsv")
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(text, delimiter="\t" if tabs else ",", strict=True)
    try:
        columns = [name.strip() for name in next((row for row in reader if row), [])]
        if not columns:
            raise ValueError(f"{path} is empty: it needs a line with the names of the columns")
        _check_columns(path, columns, columns if wanted is None else wanted)
        rows, lines = [], []
        for row in reader:
            if row and len(row) != len(columns):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} fields under a header of "
                    f"{len(columns)}: {','.join(row)[:60]!r}; quote text that holds a comma, and "
                    "write decimal points, not commas"
                )
            if row:
                rows.append(dict(zip(columns, row, strict=True)))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; correct the quotes, or save the file as CSV "
            "again"
        ) from None
    return TextTable(columns, rows, lines)


def _check_columns(path: str | os.PathLike, columns: list[str], wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in columns]
    if missing:
        separator = next((s for s in ";\t" if any(s in name for name in columns)), None)
        remedy = (
            f" The fields are separated by {separator!r}: save the file with commas, and with "
            "decimal points"
            if separator
            else ""
        )
        raise ValueError(
            f"{path} has no column {missing[0]!r}; it has: {', '.join(columns)}.{remedy}"
        )
    twice = [column for column in wanted if columns.count(column) > 1]
    if twice:
        raise ValueError(
            f"{path}, line 1: the column {twice[0]!r} occurs twice; rename or remove one"
        )


def read_text(path: str | os.PathLike) -> str:
    """All of a text file in UTF-8 or UTF-16, gzipped or not.

    Raises
    ------
    ValueError
        If it is damaged or in another encoding; names the file, the line and the remedy.
    """
    with open_lines(path, exact=True) as lines:
        data = lines.read_bytes()
    utf32 = data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE))
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data and not (utf32 or utf16):
        binary = known_binary(data)
        if binary:
            raise ValueError(f"{path} is {binary}")
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise ValueError(
            f"{path}, line {line}: not text (a byte is 0), or UTF-16 without its mark; save the "
            "file as CSV UTF-8"
        )
    try:
        return data.decode("utf-32" if utf32 else "utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: not UTF-8 (Latin-1, perhaps); save the file as CSV UTF-8, or "
            "convert it, for example with iconv -f latin1 -t utf8"
        ) from None

"""Values of tags: which text is a number, and how text is written so that it stays what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

_WHOLE = r"(?:0|[1-9][0-9]*)"
_INTEGER = re.compile(rf"-?{_WHOLE}")
# An exponent without a point must have a sign, as in what Python writes: "1e5" is a name.
_REAL = re.compile(
    rf"[+-]?(?:{_WHOLE}\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?{_WHOLE}[eE][+-][0-9]+"
)
_SPECIAL = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_AS_WRITTEN = {"nan", "inf", "-inf"}
# Fortran writes 1.2D-01 and, with three digits, 1.2-101; Mathematica (QM9's files) 1.2*^-6.
_FOREIGN_EXPONENT = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(?:\*\^|[dDqQ])([+-]?[0-9]+)|([+-][0-9]{3}))"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_COUNTS_LINE = re.compile(r"[ \d]{6}.*\bV[23]000\s*$", re.IGNORECASE)
# Above this, a column of equally wide text cells wastes memory when its texts differ in length.
_WIDE_COLUMN = 2**24


class Text(str):
    """Text of a file that is marked as text, whatever it looks like."""

    __slots__ = ()


def number(text: str) -> float:
    """A number of a file, also with an exponent of Fortran or Mathematica (1.2D-01, 1.2*^-6).

    Raises
    ------
    ValueError
        If it is none; says which text, and the remedy for a decimal comma.
    """
    text = text.replace("\u2212", "-")  # a minus sign as text processors write it
    try:
        if "_" not in text:  # Python reads "1_000" as a number
            return float(text)
    except ValueError:
        pass
    found = _FOREIGN_EXPONENT.fullmatch(text.strip())
    if found:
        return float(f"{found[1]}e{found[2] or found[3]}")
    comma = "; write a decimal point" if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text) else ""
    raise ValueError(f"{text.strip()[:40]!r} is not a number{comma}")


def column(values: Sequence[str | None]) -> np.ndarray:
    """One array of text values, None where missing; see :func:`deepchem_ead.chem.records.columns`.

    Text that would not be written back as the same number stays text: leading zeros, ``1_000``,
    ``1e5``, whole numbers that a float cannot hold.
    """
    known = [v for v in values if v is not None]
    complete = len(known) == len(values)
    if any(type(v) is Text for v in known):
        return _text_column(values)
    if complete and set(known) <= {"T", "F"}:
        return np.array([v == "T" for v in known])
    stripped = [v.strip() for v in known]
    integers = [_INTEGER.fullmatch(v) is not None for v in stripped]
    if complete and all(integers):
        try:
            return np.array([int(v) for v in stripped], dtype=np.int64)
        except OverflowError:
            return _text_column(values)
    if all(map(_is_real, stripped, integers)) and not _only_names(stripped):
        return np.array([np.nan if v is None else float(v) for v in values])
    return _text_column(values)


def _is_real(text: str, integer: bool) -> bool:
    if integer:
        return len(text) < 16 or (len(text) < 300 and int(float(text)) == int(text))
    if _REAL.fullmatch(text):
        return bool(np.isfinite(float(text)))
    return _SPECIAL.fullmatch(text) is not None


def _only_names(texts: list[str]) -> bool:
    """Whether "NaN" or "Inf" stand without any number, and not as Python would write them."""
    return all(map(_SPECIAL.fullmatch, texts)) and not _AS_WRITTEN.issuperset(texts)


def _text_column(values: Sequence[str | None]) -> np.ndarray:
    texts = [str(v) if v is not None else "" for v in values]
    longest = max(map(len, texts), default=0)
    wasteful = longest * len(texts) > max(_WIDE_COLUMN, 4 * sum(map(len, texts)))
    return np.array(texts, dtype=object if wasteful else None)


def is_text(values: np.ndarray) -> bool:
    """Whether a column is text that needs a mark, because it would be read as something else."""
    return values.dtype.kind in "UO" and column(values.tolist()).dtype.kind not in "UO"


# ------------------------------------------------------------------ text in SDF and XYZ files


def is_counts_line(line: str) -> bool:
    """Whether a line is the fourth of a MOL block, which names its version."""
    return _COUNTS_LINE.match(line) is not None


def sdf_value(text: str) -> str:
    """Text as it can stand in an SDF data item: as it is or, where it cannot, as a JSON string."""
    return _quoted(text) if type(text) is Text or _breaks_item(text) or _is_quoted(text) else text


def sdf_name(text: str) -> str:
    """Text as it can stand in a title line or between ``<`` and ``>``."""
    return _quoted(text) if _breaks_name(text) or _is_quoted(text) else text


def xyz_value(text: str) -> str:
    """Text as it can stand in an extended-XYZ comment, before quoting."""
    return _quoted(text) if type(text) is Text or _is_quoted(text) else text


def plain(text: str) -> str:
    """The inverse of :func:`sdf_value`, :func:`sdf_name` and :func:`xyz_value`.

    Only what these functions would have quoted is unquoted; other quotes belong to the text.
    """
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        inner = json.loads(text)
    except ValueError:
        return text
    if not isinstance(inner, str) or _quoted(inner) != text:
        return text
    needed = (
        _breaks_name(inner)
        or _breaks_item(inner)
        or column([inner]).dtype.kind not in "UO"
        or _is_quoted(inner)
    )
    return Text(inner) if needed else text


def _is_quoted(text: str) -> bool:
    return plain(text) is not text


def _quoted(text: str) -> str:
    lone = re.search(r"[\ud800-\udfff]", text) is not None
    written = json.dumps(text, ensure_ascii=lone)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("\x7f", "\\u007f")


def _breaks_item(text: str) -> bool:
    """Whether a data item with this text would be read differently."""
    if not text:
        return False
    if _CONTROL.search(text):
        return True
    return any(
        not line.strip()
        or line[0] == ">"
        or line.lstrip().startswith("$$$$")
        or is_counts_line(line)
        for line in text.split("\n")
    )


def _breaks_name(text: str) -> bool:
    return (
        text != text.strip()
        or re.search(r"[<>\n\t]", text) is not None
        or _CONTROL.search(text) is not None
        or text.startswith("$$$$")
        or is_counts_line(text)
    )

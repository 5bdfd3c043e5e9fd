"""What the numbers of a suite mean, and whether one is worse than that of held-out molecules."""

from __future__ import annotations

import inspect
import math
import re
from html import escape
from typing import Any, NamedTuple

from deepchem_ead.metrics.suites.suite import Suite

#: Standard errors of a difference within which two numbers are the same: 95 %.
ERRORS = 2.0

_BASIC = {
    "sound": "share of all molecules that fail none of the checks that count",
    "readable": "share of all records that could be read",
    "judged": "share of all molecules that every check has answered",
}


class Reading(NamedTuple):
    """How to read a number.

    Attributes
    ----------
    what : str
        What it is, in plain words.
    better : {"higher", "lower", ""}
    is_share : bool
        Written in percent.
    group : str
        Heading that it stands under.
    """

    what: str
    better: str
    is_share: bool
    group: str


class Verdict(NamedTuple):
    """A number against that of held-out molecules: ``kind`` is "worse", "better", "differs",
    "same" or "" where there is nothing to compare with."""

    kind: str
    difference: float = math.nan
    error: float = math.nan


def readings(suite: Suite) -> dict[str, Reading]:
    """Readings of the rows that a suite can have, by name, in the order of the page."""
    found = {name: Reading(what, "higher", True, "All in all") for name, what in _BASIC.items()}
    parts = suite.of_molecules
    for part in parts:
        if part.judges:
            group = "Checks: share of molecules that pass"
            found[part.name] = Reading(sentence(part), "higher", True, group)
    for part in parts:
        group = "Measured in each molecule" if part in suite.checks else "Against the reference"
        for name, column in part.columns.items():
            if column.summary:
                is_share = column.summary == "share"
                kind = "share of molecules: " if is_share else f"{column.summary}: "
                found[name] = Reading(kind + column.what, column.better, is_share, group)
    for each in suite.sets:
        for name in each.rows:
            found[name] = Reading(sentence(each), each.better, each.is_share, "The set as a whole")
    return found


def doc(part: Any) -> str:
    """Docstring of a part; "" where there is only the one that dataclasses make."""
    text = inspect.cleandoc(type(part).__doc__ or "")
    return "" if text.startswith(f"{type(part).__name__}(") else text


def sentence(part: Any) -> str:
    """First sentence of a part's docstring; short words before a stop may be abbreviations."""
    return re.split(r"(?<=[^\s.]{5}\.)\s+(?=[A-Z])|\n\s*\n", doc(part))[0].replace("\n", " ")


def marked_up(text: str) -> str:
    """Text as HTML, names between backticks as code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(text))


def verdict(
    value: float,
    error: float,
    other: float,
    other_error: float,
    n: float,
    reading: Reading,
    other_n: float | None = None,
) -> Verdict:
    """Whether two numbers differ by more than `ERRORS` standard errors of their difference.

    A share of 0 or 1 has an error of 0 by its formula; one molecule of n is taken instead, of
    ``other_n`` (by default as many) for the other number.
    """
    if math.isnan(value) or math.isnan(other):
        return Verdict("")
    sizes = (n, n if other_n is None else other_n)
    least = [1 / size if reading.is_share and size else 0.0 for size in sizes]
    pairs = zip((error, other_error), least, strict=True)
    both = math.hypot(*(max(e, smallest) for e, smallest in pairs if not math.isnan(e)))
    difference = value - other
    if abs(difference) <= ERRORS * both:
        return Verdict("same", difference, both)
    if both == 0:
        return Verdict("differs", difference, both)
    if not reading.better:
        return Verdict("differs", difference, both)
    is_better = (difference > 0) == (reading.better == "higher")
    return Verdict("better" if is_better else "worse", difference, both)


def figure(value: float, error: float, is_share: bool, sign: bool = False) -> str:
    """A number with its error, rounded to two digits of it: "97.6 ± 0.5 %"."""
    if math.isnan(value):
        return "–"
    factor = 100.0 if is_share else 1.0
    value, error = factor * value, factor * error
    unit = " %" if is_share else ""
    plus = "+" if sign else ""
    if not error > 0:
        text = f"{value:{plus}.1f}" if is_share else f"{value:{plus}.3g}"
        return text.replace("-", "−") + unit
    decimals = min(4, max(1 if is_share else 0, 1 - math.floor(math.log10(error))))
    decimals = min(decimals, 2) if is_share else decimals
    text = f"{value:{plus},.{decimals}f}".replace("-", "−")
    return f"{text} ± {error:,.{decimals}f}{unit}"

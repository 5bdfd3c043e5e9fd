"""The head of the page and its table of numbers beside those of held-out molecules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np

from deepchem_ead.viz.report.readings import (
    ERRORS,
    Reading,
    Verdict,
    figure,
    marked_up,
    readings,
    verdict,
)
from deepchem_ead.viz.report.shown import Shown, Tested

_WORDS = {"worse": "worse", "better": "better", "differs": "differs", "same": "as held-out"}


def head(sets: Mapping[str, Shown]) -> str:
    """A sentence a set: how many are sound, and how many of the held-out ones."""
    lines = []
    for name, report in sets.items():
        row = report.summary.loc["sound"]
        n = len(report)
        whose = f"<b>{escape(name)}</b>: " if len(sets) > 1 else ""
        n_sound = round(row["value"] * n)
        text = (
            f"{whose}{n_sound:,} of {n:,} molecules are sound "
            f"({figure(row['value'], row['error'], True)})"
        )
        if not math.isnan(row["ceiling"]):
            reference = escape(str(report.info.get("reference") or "the reference"))
            text += (
                f"; of held-out molecules of <b>{reference}</b> "
                f"{figure(row['ceiling'], row['ceiling_error'], True)}"
            )
        lines.append(f'<p class="headline">{text}.</p>')
    return "\n".join(lines)


def summary(sets: Mapping[str, Shown], tests: Mapping[tuple[str, str], Tested]) -> str:
    """The table of numbers, with how to read it."""
    one = next(iter(sets.values()))
    has_ceiling = bool(one.summary["ceiling"].notna().any())
    known = readings(one.suite)
    several = len(sets) > 1
    columns = list(map(escape, sets)) if several else ["value"]
    columns += ["held-out"] if has_ceiling else []
    columns += [] if several else (["difference", "verdict", "n"] if has_ceiling else ["n"])
    heads = "".join(
        f'<th scope="col"{"" if text == "verdict" else " class=number"}>{text}</th>'
        for text in columns
    )
    body, group = [], ""
    for name, reading in known.items():
        if not any(name in report.summary.index for report in sets.values()):
            continue
        if reading.group != group:
            group = reading.group
            span = len(columns) + 1
            body.append(
                f'<tr><th class="group" colspan="{span}" scope="rowgroup">{group}</th></tr>'
            )
        cells = (
            _several(name, reading, sets, tests, has_ceiling)
            if several
            else _alone(name, reading, one, has_ceiling)
        )
        body.append(f"<tr>{_label(name, reading)}{cells}</tr>")
    return (
        f"{_lead(sets, has_ceiling, bool(tests))}"
        f'<div class="wide"><table class="summary"><thead><tr><th scope="col">number</th>{heads}'
        f"</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _lead(sets: Mapping[str, Shown], has_ceiling: bool, has_tests: bool) -> str:
    one = next(iter(sets.values()))
    if has_ceiling:
        reference = escape(str(one.info.get("reference") or "given"))
        text = (
            f"Held-out: {one.info.get('n_held_out', 0):,} molecules of the reference "
            f"({reference}) that it is not compared with, judged by the same code; they are the "
            f"mark. Errors are one standard error. “Worse” and “better” are said where the "
            f"difference is more than {ERRORS:g} of its standard errors and one way is better; "
            "otherwise such a number only “differs”. To be better than real molecules is no merit "
            "by itself: it says what the number does not see."
        )
    else:
        text = (
            "There was no reference, so that there is no mark to compare with. Errors are one "
            "standard error."
        )
    if has_tests:
        text += (
            f" Small print in a cell: the difference from {escape(next(iter(sets)))} where p, "
            "corrected for the number of tests (Holm), is below 0.05, or the p."
        )
    return f'<p class="lead">{text}</p>'


def _label(name: str, reading: Reading) -> str:
    way = f'<span class="way">{reading.better} is better</span>' if reading.better else ""
    what = reading.what[:1].upper() + reading.what[1:]
    return (
        f'<th scope="row"><span class="name">{escape(name)}</span>{way}'
        f'<div class="small">{marked_up(what.rstrip("."))}.</div></th>'
    )


def _against(report: Shown, name: str, reading: Reading) -> Verdict:
    row = report.summary.loc[name]
    # Of the held-out molecules about the same part has something to judge.
    n_held = report.info.get("n_held_out", 0) * row["n"] / max(len(report), 1)
    return verdict(
        row["value"], row["error"], row["ceiling"], row["ceiling_error"], row["n"], reading, n_held
    )


def _alone(name: str, reading: Reading, report: Shown, has_ceiling: bool) -> str:
    row = report.summary.loc[name]
    cells = [_number("value", figure(row["value"], row["error"], reading.is_share))]
    if has_ceiling:
        found = _against(report, name, reading)
        cells.append(
            _number("held-out", figure(row["ceiling"], row["ceiling_error"], reading.is_share))
        )
        difference = figure(found.difference, found.error, reading.is_share, sign=True)
        told = difference if found.kind not in ("", "same") else ""
        cells += [
            f'<td class="number" data-label="difference">{told}</td>',
            f"<td>{_pill(found)}</td>",
        ]
    cells.append(_number("n", f"{int(row['n']):,}"))
    return "".join(cells)


def _several(
    name: str, reading: Reading, sets: Mapping[str, Shown],
    tests: Mapping[tuple[str, str], Tested], has_ceiling: bool,
) -> str:  # fmt: skip
    cells = []
    for label, report in sets.items():
        if name not in report.summary.index:
            cells.append(_number(label, "–"))
            continue
        row = report.summary.loc[name]
        found = _against(report, name, reading)
        text = figure(row["value"], row["error"], reading.is_share)
        pill = "" if found.kind in ("", "same") else f"<br>{_pill(found, 'than held-out')}"
        test = tests.get((label, name))
        note = "" if test is None else f'<div class="small">{_told(test, reading)}</div>'
        cells.append(_number(label, f"{text}{pill}{note}"))
    if has_ceiling:
        row = next(iter(sets.values())).summary.loc[name]
        cells.append(
            _number("held-out", figure(row["ceiling"], row["ceiling_error"], reading.is_share))
        )
    return "".join(cells)


def _told(test: Tested, reading: Reading) -> str:
    p = "p &lt; 0.001" if test.p < 0.001 else f"p = {test.p:.2g}"
    told = f'<span title="{escape(test.method)}">{p}</span>'
    if test.p >= 0.05 or math.isnan(test.difference):
        return told
    difference = figure(test.difference, test.error, reading.is_share, sign=True)
    return f"<b>{difference}</b>, {told}"


def _number(label: str, text: str) -> str:
    return f'<td class="number" data-label="{escape(label)}">{text}</td>'


def _pill(found: Verdict, than: str = "") -> str:
    if not found.kind:
        return ""
    size = abs(found.difference) / found.error if found.error else np.inf
    by = f' title="{size:.1f} standard errors apart"' if np.isfinite(size) else ""
    word = _WORDS[found.kind]
    tail = f" {than}" if than and found.kind != "differs" else (" from held-out" if than else "")
    return f'<span class="pill {found.kind}"{by}>{word}{tail}</span>'

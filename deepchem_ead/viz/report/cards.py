"""Molecules of a page that are drawn in it: the worst, the best, and examples of failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from deepchem_ead.viz.cells import describe, draw_svg
from deepchem_ead.viz.report.readings import doc, marked_up, sentence
from deepchem_ead.viz.report.shown import Shown

if TYPE_CHECKING:
    from deepchem_ead.chem.molecules import MoleculeBatch

#: By set and row.
Cards = Mapping[tuple[str, int], str]

_NO_ANSWER = {
    "unreadable": "the record could not be read",
    "timeout": "a check took too long and was ended",
    "crash": "a check ended its process",
    "error": "a check raised an error",
}
_MOST_LOST = 50


def cards(report: Shown, batch: MoleculeBatch, rows: Sequence[int], first: int) -> dict[int, str]:
    """A card a molecule: its place in the page's data, a drawing, name, SMILES and reasons.

    Parameters
    ----------
    batch : MoleculeBatch
        The molecules of ``rows``.
    rows : sequence of int
        Of ``report.per_molecule``.
    first : int
        Place of the set's first row.
    """
    frame = report.per_molecule
    found = {}
    for row, cell in zip(rows, describe(batch), strict=True):
        name = escape(str(frame["name"].iloc[row]))
        why = frame["details"].iloc[row]
        drawing = "" if cell.mol is None else f'<div class="drawing">{draw_svg(cell)}</div>'
        about = f'<p class="why">{escape(why)}</p>' if why else '<p class="fine">sound</p>'
        found[row] = (
            f'<article class="card" data-row="{first + row}" tabindex="0" aria-label="{name}">'
            f'<div class="view" role="img" aria-label="3D view of {name}"></div>{drawing}'
            f'<div class="about"><p><b>{name}</b></p>'
            f'<p class="smiles">{escape(cell.title)}</p>{about}</div></article>'
        )
    return found


def failures(
    sets: Mapping[str, Shown], examples: Mapping[str, Mapping[str, int | None]], made: Cards
) -> str:
    """A table of reasons, an example each, and the molecules that could not be judged, by name."""
    reasons = dict.fromkeys(name for report in sets.values() for name in report.failures)
    if not reasons:
        return "<p>No molecule fails a check.</p>"
    one = next(iter(sets.values()))
    meanings = _meanings(one)
    heads = "".join(f'<th scope="col">{escape(n) or "molecules"}</th>' for n in _names(sets))
    rows = "".join(_reason(name, meanings.get(name, ""), sets) for name in reasons)
    shown = [
        f"<div><h3>{escape(name)}</h3>{made[which, row]}</div>"
        for name in reasons
        for which, row in [_example(name, examples)]
        if row is not None and (which, row) in made
    ]
    note = ""
    if one.suite.uncounted:
        note = (
            f" {', '.join(map(escape, sorted(one.suite.uncounted)))}: told, but leaves a molecule "
            "sound."
        )
    return (
        '<p class="lead">Molecules by the check that they fail; one can fail several. The '
        f"upright mark is the share of held-out molecules that fail it.{note}</p>"
        '<div class="wide"><table class="reasons"><thead><tr><th scope="col">reason</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"{_lost(sets)}"
        + (f'<h3>An example of each</h3><div class="cards">{"".join(shown)}</div>' if shown else "")
    )


def extremes(chosen: Mapping[str, tuple[list[int], list[int]]], made: Cards) -> str:
    """The worst molecules of each set, then the best."""
    parts = []
    for k, heading in enumerate(("Worst", "Best")):
        for name, both in chosen.items():
            found = "".join(made[name, row] for row in both[k] if (name, row) in made)
            of = f" of {escape(name)}" if len(chosen) > 1 else ""
            if found:
                parts.append(f'<h3>{heading}{of}</h3><div class="cards">{found}</div>')
    return "".join(parts)


def _names(sets: Mapping[str, Shown]) -> list[str]:
    return list(sets) if len(sets) > 1 else [""]


def _meanings(report: Shown) -> dict[str, str]:
    parts = report.suite.of_molecules
    return _NO_ANSWER | {part.name: sentence(part) for part in parts if doc(part)}


def _reason(name: str, meaning: str, sets: Mapping[str, Shown]) -> str:
    cells = []
    for report in sets.values():
        count = report.failures.get(name, 0)
        share = count / len(report)
        mark = ""
        if name in report.summary.index and report.summary.loc[name, "ceiling"] >= 0:
            other = 1 - float(report.summary.loc[name, "ceiling"])
            mark = f'<b style="left:min({100 * other:.2f}%, 100% - 2px)"></b>'
            held = f'<span class="small">, held-out {100 * other:.1f} %</span>'
        else:
            held = ""
        cells.append(
            f"<td>{count:,} ({100 * share:.1f} %){held}"
            f'<span class="meter" aria-hidden="true"><i style="width:{100 * share:.2f}%"></i>'
            f"{mark}</span></td>"
        )
    link = f'<a href="#molecules" data-reason="{escape(name)}">{escape(name)}</a>'
    return (
        f'<tr><th scope="row"><span class="name">{link}</span>'
        f'<div class="small">{marked_up(meaning)}</div></th>{"".join(cells)}</tr>'
    )


def _example(name: str, examples: Mapping[str, Mapping[str, int | None]]) -> tuple[str, int | None]:
    for which, rows in examples.items():
        if rows.get(name) is not None:
            return which, rows[name]
    return "", None


def _lost(sets: Mapping[str, Shown]) -> str:
    """Molecules that were not judged in full, by name."""
    pattern = rf"(?:^|;)(?:{'|'.join(_NO_ANSWER)})(?:;|$)"
    lines = []
    for name, report in sets.items():
        frame = report.per_molecule
        lost = frame[frame["reasons"].str.contains(pattern)]
        whose = f"{name}: " if len(sets) > 1 else ""
        pairs = zip(lost["name"], lost["details"], strict=True)
        lines += [f"<li><b>{escape(whose + str(n))}</b>: {escape(str(d))}</li>" for n, d in pairs]
    if not lines:
        return ""
    more = len(lines) - _MOST_LOST
    rest = f"<li>{more:,} more stand in the table below</li>" if more > 0 else ""
    return (
        f"<h3>Not judged, or not by every check: {len(lines):,}</h3>"
        f'<ul class="small">{"".join(lines[:_MOST_LOST])}{rest}</ul>'
    )

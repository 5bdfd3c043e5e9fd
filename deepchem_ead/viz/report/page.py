"""The page of one judgement, or of several side by side: one file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.viz.report.cards import cards, extremes, failures
from deepchem_ead.viz.report.choice import examples, ranked, ranking_columns, some_rows
from deepchem_ead.viz.report.conformers import conformers
from deepchem_ead.viz.report.distributions import column_meanings, distributions
from deepchem_ead.viz.report.methods import methods
from deepchem_ead.viz.report.payload import columns_of, models_of, packed
from deepchem_ead.viz.report.shown import Shown, Tested
from deepchem_ead.viz.report.summary import head, summary
from deepchem_ead.viz.view3d import STYLE, frame_script, library_script

#: Molecules of a page that can be seen in 3D.
SHOWN = 1000
#: Of the worst and of the best, each.
EXTREMES = 8


def write_report(
    reports: Shown | Mapping[str, Shown],
    path: str | os.PathLike,
    title: str | None = None,
    tests: Mapping[tuple[str, str], Tested] | None = None,
) -> Path:
    """Write judgements as a page that opens without network.

    Numbers beside those of held-out molecules, coverage of conformers, distributions, failures by
    reason with an example each, the worst and the best molecules, what was computed and how, and
    all molecules in 3D and in a table that can be searched and ordered. `SHOWN` molecules can be
    turned, more stand only in the table; the page says so. A molecule of QM9 takes about 1 kB, the
    page itself 0.4 MB.

    Parameters
    ----------
    reports : Report, or mapping of str to Report
        One, or several by name, which stand side by side.
    path : path
        HTML file, written atomically.
    title : str, optional
        Heading; by default the name of the file that was judged, or of the page.
    tests : mapping of (str, str) to Tested, optional
        What tests against the first set say, by set and number.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If the path does not end in .html or .htm.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a page ends in .html")
    sets = dict(reports) if isinstance(reports, Mapping) else {_source(reports) or "": reports}
    heading = title or ", ".join(filter(None, sets)) or path.stem
    chosen = _Chosen(sets)
    shown = [
        ("summary", "Numbers", summary(sets, tests or {})),
        ("conformers", "Conformers", conformers(sets)),
        ("failures", "What is wrong", failures(sets, chosen.examples, chosen.cards)),
        ("distributions", "Distributions", distributions(sets)),
        ("extremes", "Worst and best", extremes(chosen.extremes, chosen.cards)),
    ]
    shown = [each for each in shown if each[2]]
    links = [(name, text) for name, text, _ in shown]
    links += [("methods", "Methods"), ("molecules", "All molecules")]
    text = Template(_resource("report.html")).substitute(
        title=escape(heading),
        style=_resource("report.css"),
        head=head(sets),
        links=" ".join(f'<a href="#{name}">{text}</a>' for name, text in links),
        sections="\n".join(_section(*each) for each in shown),
        methods=_section("methods", "Methods and versions", methods(sets)),
        shown=chosen.told,
        hint=escape(chosen.hint),
        data=packed(chosen.payload),
        library=library_script(),
        frame=frame_script(),
        script=_resource("report.js"),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _resource(name: str) -> str:
    return resources.files("deepchem_ead.viz.report").joinpath(name).read_text(encoding="utf-8")


def _section(name: str, heading: str, text: str) -> str:
    return f'<section id="{name}">\n<h2>{heading}</h2>\n{text}\n</section>'


def _source(report: Shown) -> str:
    return str(report.info.get("source") or "")


class _Chosen:
    """Molecules that are shown, in the places that they have in the page.

    Rows of the sets are counted through: those of the second follow those of the first.
    """

    def __init__(self, sets: Mapping[str, Shown]) -> None:
        self.examples: dict[str, dict[str, int | None]] = {}
        self.extremes: dict[str, tuple[list[int], list[int]]] = {}
        self.cards: dict[tuple[str, int], str] = {}
        models: dict[int, list[str]] = {}
        rank: list[int | None] = []
        first = 0
        for name, report in sets.items():
            order = ranked(report)
            n = min(EXTREMES, len(order) // 2) if len(order) > 1 else len(order)
            worst, best = order[:n].tolist(), order[::-1][:n].tolist()
            self.extremes[name] = worst, best
            self.examples[name] = examples(report)
            alike = [row for row in self.examples[name].values() if row is not None]
            wanted = list(dict.fromkeys([*alike, *worst, *best]))
            rows = some_rows(order, wanted, max(SHOWN // len(sets), 1))
            batch = report.molecules[np.searchsorted(report.rows_read, rows)] if len(rows) else None
            if batch is not None:
                found = models_of(batch, rows.tolist())
                models |= {first + row: model for row, model in found.items()}
                drawn = [row for row in wanted if row in set(rows.tolist())]
                places = np.searchsorted(rows, drawn)
                made = cards(report, batch[places], drawn, first)
                self.cards |= {(name, row): card for row, card in made.items()}
            places_of = {int(row): place for place, row in enumerate(order)}
            rank += [places_of.get(row) for row in range(len(report))]
            first += len(report)
        frames = {name: report.per_molecule for name, report in sets.items()}
        table = columns_of(frames)
        one = next(iter(sets.values()))
        self.told = _told(len(models), first, one)
        kinds = {name: _kind(values) for name, values in table.items() if name != "set"}
        number = next((n for n, kind in kinds.items() if kind == "number"), None)
        self.hint = f"name, SMILES, reason{f', {number}>1' if number else ''}"
        self.payload: dict[str, Any] = {
            "names": list(sets),
            "columns": kinds,
            "described": column_meanings(one.suite),
            "reasons": list(dict.fromkeys(r for report in sets.values() for r in report.failures)),
            "table": table,
            "rank": rank,
            "models": models,
            "look": STYLE,
        }


def _kind(values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return "truth"
    return "number" if known and all(isinstance(v, int | float) for v in known) else "text"


def _told(n_models: int, total: int, report: Shown) -> str:
    columns = ", ".join(ranking_columns(report))
    some = (
        f"{n_models:,} of {total:,} molecules can be seen"
        if n_models < total
        else "All can be seen"
    )
    by = f", then by the average rank in {escape(columns)}" if columns else ""
    return (
        f"{some} in 3D: rest the pointer on one to turn it, open it for all that is known of it. "
        "The search knows conditions on columns, too: <code>connected=no</code>. "
        f"“Worst first” orders by the number of failed checks{by}."
    )

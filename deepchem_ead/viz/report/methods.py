"""What was computed, how, with which versions, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any

from deepchem_ead.viz.report.readings import doc, marked_up
from deepchem_ead.viz.report.shown import Shown

_SETTINGS = {
    "reference": "reference",
    "n_reference": "molecules of the reference",
    "n_held_out": "held-out molecules",
    "time_limit": "seconds that a molecule may take",
    "seed": "seed of the choice of held-out molecules",
}


def methods(sets: Mapping[str, Shown]) -> str:
    """The suite, every part of it with its documentation, settings and versions."""
    one = next(iter(sets.values()))
    suite = one.suite
    parts = [
        ("Checks of each molecule", suite.checks),
        ("Comparisons of each molecule with the reference", suite.comparisons),
        ("Numbers of the set", suite.sets),
    ]
    rows = "".join(
        f'<tr><th class="group" colspan="3" scope="rowgroup">{heading}</th></tr>'
        + "".join(_part(part, sets) for part in group)
        for heading, group in parts
        if group
    )
    settings = {
        text: value for name, text in _SETTINGS.items() if (value := one.info.get(name)) is not None
    }
    return (
        f'<p class="lead">Suite <b>{escape(suite.name)}</b>. Bonds that came with molecules are '
        "believed; otherwise they follow from the distances. The error of a share is that of a "
        "binomial, of a mean its standard error, of a median and of a distance from the reference "
        "that of 200 resamples, of another number of the set that of a jackknife over ten subsets. "
        "Seconds are of one core, all sets together, held-out molecules not counted.</p>"
        '<div class="wide"><table><thead><tr><th scope="col">part</th><th scope="col">what it '
        'does</th><th scope="col" class="number">seconds</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f"<h3>Settings</h3><p>{_pairs(settings)}</p>"
        f"<h3>Versions</h3><p>{_pairs(one.info.get('versions') or {})}</p>"
    )


def _part(part: Any, sets: Mapping[str, Shown]) -> str:
    paragraphs = "".join(f"<p>{marked_up(text)}</p>" for text in _explained(part))
    options = {f.name: getattr(part, f.name) for f in fields(part)} if is_dataclass(part) else {}
    given = f'<p class="small">{_pairs(options)}</p>' if options else ""
    return (
        f'<tr><th scope="row" class="name">{escape(part.name)}</th>'
        f'<td>{paragraphs}{given}</td><td class="number">{_seconds(part, sets)}</td></tr>'
    )


def _explained(part: Any) -> list[str]:
    """Paragraphs of the docstring, up to its parameters."""
    text = doc(part).split("\nParameters\n")[0].split("\nReferences\n")[0]
    return [" ".join(each.split()) for each in text.split("\n\n") if each.strip()]


def _seconds(part: Any, sets: Mapping[str, Shown]) -> str:
    names = [part.name, *getattr(part, "columns", {}), *getattr(part, "rows", ())]
    costs = [
        next((report.summary.loc[n, "seconds"] for n in names if n in report.summary.index), None)
        for report in sets.values()
    ]
    known = [cost for cost in costs if cost is not None]
    return f"{sum(known):,.1f}" if known else "–"


def _pairs(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{escape(str(k))} <b>{escape(str(v))}</b>" for k, v in values.items())

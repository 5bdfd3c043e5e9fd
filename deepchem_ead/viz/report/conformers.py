"""How conformers cover those of a reference: a table of the sets, and of the least covered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from deepchem_ead.viz.report.readings import figure
from deepchem_ead.viz.report.shown import Shown, ShownConformers

_COLUMNS = {
    "cov_recall": "recall: covered",
    "amr_recall": "recall: mean RMSD, Å",
    "cov_precision": "precision: covered",
    "amr_precision": "precision: mean RMSD, Å",
    "stereo_kept": "stereo kept",
}
_FAILURES = {"missed": "not covered", "left out": "left out"}
_MOST_MOLECULES = 20


def conformers(sets: Mapping[str, Shown]) -> str:
    """Means over molecules by threshold, and molecules one by one; "" without conformers."""
    judged = {name: r.conformers for name, r in sets.items() if r.conformers is not None}
    if not judged:
        return ""
    several = len(judged) > 1
    means = "".join(
        _group(name, several, 3 + len(_COLUMNS)) + _means(each) for name, each in judged.items()
    )
    molecules = "".join(
        _group(name, several, 3 + len(_COLUMNS)) + _least(each) for name, each in judged.items()
    )
    threshold = next(iter(judged.values())).report.summary.index[0][0]
    return (
        '<p class="lead">Conformers beside those of the reference, by molecule. Recall: the share '
        "of the reference's conformers that have one nearer than the threshold, and the mean RMSD "
        "from the nearest; precision: the same of these conformers. RMSDs are of heavy atoms, best "
        "superposition and symmetry. Means over molecules.</p>"
        f"{_table(['threshold, Å', 'without conformers', 'molecules'], means)}"
        f"<h3>Molecules at {threshold:g} Å, the least covered first</h3>"
        f"{_table(['molecule', 'conformers', 'in the reference'], molecules)}"
        f"{_unknown(judged, several)}"
    )


def _table(first: list[str], rows: str) -> str:
    heads = "".join(f'<th scope="col" class="number">{t}</th>' for t in _COLUMNS.values())
    heads = "".join(f'<th scope="col">{text}</th>' for text in first) + heads
    return (
        f'<div class="wide"><table class="conformers"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _group(name: str, several: bool, span: int) -> str:
    if not several:
        return ""
    return f'<tr><th class="group" colspan="{span}" scope="rowgroup">{escape(name)}</th></tr>'


def _means(judged: ShownConformers) -> str:
    lines = []
    for (threshold, failures), row in judged.report.summary.iterrows():
        if failures != "missed" and not row["failed"]:
            continue  # the same row again
        how = f": {_FAILURES[failures]}" if row["failed"] else ""
        lines.append(
            f'<tr><th scope="row">{threshold:g}</th><td>{int(row["failed"]):,}{how}</td>'
            f"<td>{int(row['n']):,}</td>{_numbers(row)}</tr>"
        )
    return "".join(lines)


def _least(judged: ShownConformers) -> str:
    frame = judged.report.per_molecule
    first = frame.xs(frame.index[0][1], level=1).sort_values(
        ["cov_recall", "amr_recall"], ascending=[True, False], kind="stable"
    )
    lines = [
        f'<tr><th scope="row" class="name">{escape(str(row["smiles"]))}</th>'
        f"<td>{int(row['n_generated']):,}</td><td>{int(row['n_reference']):,}</td>"
        f"{_numbers(row)}</tr>"
        for _, row in first.head(_MOST_MOLECULES).iterrows()
    ]
    more = len(first) - _MOST_MOLECULES
    if more > 0:
        span = 3 + len(_COLUMNS)
        lines.append(f'<tr><td colspan="{span}" class="small">{more:,} more in the JSON</td></tr>')
    return "".join(lines)


def _numbers(row: Any) -> str:
    texts = (_text(float(row[name]), name.startswith("amr")) for name in _COLUMNS)
    return "".join(f'<td class="number">{text}</td>' for text in texts)


def _text(value: float, is_length: bool) -> str:
    return f"{value:.3f}" if is_length and math.isfinite(value) else figure(value, 0.0, True)


def _unknown(judged: Mapping[str, ShownConformers], several: bool) -> str:
    lines = [
        f"<li>{escape(f'{name}: ' if several else '')}{escape(smiles)}, {count:,} conformers</li>"
        for name, each in judged.items()
        for smiles, count in each.without_reference.items()
    ]
    if not lines:
        return ""
    return f'<h3>Not in the reference, not judged</h3><ul class="small">{"".join(lines)}</ul>'

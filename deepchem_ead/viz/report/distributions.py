"""Distributions of what molecules are and of what was measured, beside held-out ones."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.suites.suite import Suite
from deepchem_ead.viz.report.plots import histogram
from deepchem_ead.viz.report.shown import Shown


def distributions(sets: Mapping[str, Shown]) -> str:
    """Heavy atoms, every numeric column, elements."""
    one = next(iter(sets.values()))
    held = one.held_out
    plots = [
        histogram(
            "heavy atoms",
            "of each molecule",
            {name: _heavy_atoms(report) for name, report in sets.items()},
            None if held is None else _heavy_atoms(held),
        )
    ]
    meanings = column_meanings(one.suite)
    for column in one.per_molecule.columns:
        if one.per_molecule[column].dtype.kind not in "fi":
            continue
        values = {n: r.per_molecule[column] for n, r in sets.items() if column in r.per_molecule}
        other = None if held is None else held.per_molecule.get(column)
        plots.append(histogram(str(column), meanings.get(str(column), ""), values, other))
    return (
        f'<p class="lead">Shares of molecules. {_key(sets, held is not None)}</p>'
        f'<div class="plots">{"".join(plots)}</div>{_elements(sets, held)}'
    )


def column_meanings(suite: Suite) -> dict[str, str]:
    """What stands in the columns of a suite."""
    return {
        name: column.what for part in suite.of_molecules for name, column in part.columns.items()
    }


def _key(sets: Mapping[str, Shown], has_held_out: bool) -> str:
    marks = [
        _mark('<rect class="bars" width="26" height="12"/>', "these molecules")
        if len(sets) == 1
        else _mark(f'<path class="line set{k % 6}" d="M0 6H26"/>', name)
        for k, name in enumerate(sets)
    ]
    if has_held_out:
        marks.append(_mark('<path class="held" d="M0 6H26"/>', "held-out molecules"))
    return "".join(marks)


def _mark(shape: str, text: str) -> str:
    return (
        f'<span class="key"><svg viewBox="0 0 26 12" aria-hidden="true">{shape}</svg>'
        f"{escape(text)}</span>"
    )


def _numbers(report: Shown) -> list[np.ndarray]:
    if not len(report.rows_read):
        return []
    batch = report.molecules
    return [batch.atoms(i)[0] for i in range(len(batch))]


def _heavy_atoms(report: Shown) -> np.ndarray:
    return np.array([(numbers > 1).sum() for numbers in _numbers(report)])


def _element_shares(report: Shown) -> dict[int, float]:
    numbers = _numbers(report)
    if not numbers:
        return {}
    kinds, counts = np.unique(np.concatenate(numbers), return_counts=True)
    total = counts.sum()
    return {int(k): float(c / total) for k, c in zip(kinds, counts, strict=True) if k > 0}


def _elements(sets: Mapping[str, Shown], held: Shown | None) -> str:
    """A table of the share of atoms by element."""
    shares = {name: _element_shares(report) for name, report in sets.items()}
    if held is not None:
        shares["held-out"] = _element_shares(held)
    table = Chem.GetPeriodicTable()
    heads = "".join(
        f'<th scope="col" class="number">{escape(name) or "these molecules"}</th>'
        for name in shares
    )
    rows = "".join(
        f'<tr><th scope="row">{table.GetElementSymbol(number)}</th>'
        + "".join(
            f'<td class="number">{_percent(each.get(number, 0))}</td>' for each in shares.values()
        )
        + "</tr>"
        for number in sorted({k for each in shares.values() for k in each})
    )
    return (
        "<h3>Elements: share of all atoms</h3>"
        f'<div class="wide"><table class="elements"><thead><tr><th scope="col">element</th>{heads}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share else "–"

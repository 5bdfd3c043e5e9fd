"""A report of conditional generation as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepchem_ead.metrics.conditional_results import (
    PropertyResult,
    RequestResult,
    SecondOpinion,
    find_result,
)
from deepchem_ead.metrics.conditional_rows import ConditionalRow
from deepchem_ead.metrics.property_units import field_unit
from deepchem_ead.metrics.text_table import aligned

#: Field of :class:`RequestResult` -> column heading.
SHARES = {
    "judged": "judged",
    "valid": "valid",
    "strict": "strict",
    "size_kept": "size kept",
    "within": "within tol.",
    "hits": "hits",
    "strict_hits": "strict hits",
    "chance": "chance",
}

#: Key of :attr:`PropertyResult.baselines` -> row label.
BASELINES = {
    "floor": "oracle on real molecules (measured)",
    "atoms": "#Atoms (measured)",
    "mean": "mean (measured)",
    "shuffled": "shuffled (measured)",
}


def error_table(
    properties: Sequence[PropertyResult],
    requests: Sequence[RequestResult],
    rows: Sequence[ConditionalRow],
    name: str,
) -> str:
    """Mean absolute errors, a column for each property: the report's, baselines, other rows."""
    tasks = list(dict.fromkeys(result.task for result in properties))
    body: list[tuple[str, dict[str, str]]] = []
    for label, results in _groups(properties, requests, name):
        body.append((label, {task: with_error(r) for task, r in results.items()}))
        body.append(("  median", {t: number(r.median) for t, r in results.items()}))
        body.append(("  valid ones only", {t: number(r.valid_mae) for t, r in results.items()}))
        seconds = {task: r.second for task, r in results.items() if r.second is not None}
        if seconds:
            body.append(("  by second oracle", {t: with_error(r) for t, r in seconds.items()}))
            apart = {task: number(r.disagreement) for task, r in seconds.items()}
            body.append(("  between oracles", apart))
    for key, label in BASELINES.items():
        found = [result for result in properties if key in result.baselines]
        errors = {result.task: number(result.baselines[key]) for result in found}
        if errors:
            body.append((label, errors))
    for row in rows:
        if any(task in row.errors for task in tasks):
            body.append((row.label, {task: number(error) for task, error in row.errors.items()}))
    head = ["mean absolute error", *map(heading, tasks)]
    return aligned(head, [[label, *(cells.get(t, "-") for t in tasks)] for label, cells in body])


def share_table(properties: Sequence[PropertyResult], requests: Sequence[RequestResult]) -> str:
    """Percent of molecules, a row for each request."""
    body = []
    for request in requests:
        results = [find_result(properties, task, request.asked) for task in request.asked]
        shares = [_percent(getattr(request, key)) for key in SHARES]
        tolerances = ", ".join(f"{number(r.tolerance)} {r.unit}".strip() for r in results)
        body.append([" + ".join(request.asked), *shares, tolerances])
    return aligned(["% of molecules", *SHARES.values(), "tolerance"], body)


def _groups(
    properties: Sequence[PropertyResult], requests: Sequence[RequestResult], name: str
) -> list[tuple[str, dict[str, PropertyResult]]]:
    """Properties asked for one by one as one row, each request of several as another."""
    alone = [request for request in requests if len(request.asked) == 1]
    together = [request for request in requests if len(request.asked) > 1]
    groups = []
    if alone:
        sizes = {request.n for request in alone}
        n = "/".join(f"{size:,}" for size in sorted(sizes))
        results = {r.task: r for r in properties if len(r.asked) == 1}
        groups.append((f"{name} (n={n})", results))
    for request in together:
        results = {r.task: r for r in properties if r.asked == request.asked}
        groups.append((f"{name}, {' + '.join(request.asked)} (n={request.n:,})", results))
    return groups


def heading(task: str) -> str:
    """Column heading of a property with its unit."""
    unit = field_unit(task).symbol
    name = {"Cv_edm": "Cv (EDM)"}.get(task, task)
    return f"{name}, {unit}" if unit else name


def number(value: float | None) -> str:
    """An error as tables show it."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def with_error(result: PropertyResult | SecondOpinion) -> str:
    """A mean absolute error and its standard error."""
    if math.isnan(result.standard_error):
        return number(result.mae)
    error = result.standard_error
    return f"{number(result.mae)} ± {f'{error:,.0f}' if error >= 10 else f'{error:.2g}'}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"

"""What was asked for against what came, as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.metrics.conditional_table import heading, number
from deepchem_ead.metrics.property_units import field_unit

if TYPE_CHECKING:
    from deepchem_ead.metrics import ConditionalReport

_VALID, _INVALID, _LINE = "#1f6f8b", "#c98a2b", "#555555"
_COLUMNS = 3
_MARGIN = 0.25
#: Share of the requests, at either end, that the axes need not reach.
_OUTERMOST = 0.001
#: Molecules of a panel, size of a point in square points, and how opaque it is.
_POINTS = ((0, 9.0, 0.6), (2000, 2.0, 0.25))


def plot_targets(report: ConditionalReport, path: str | os.PathLike) -> Path:
    """Write a PNG of predicted against requested values, one panel a property and request.

    The line is where they agree, the band around it the tolerance. Invalid molecules (EDM's
    protocol) are drawn in another colour. The axes span the requests (but the outermost thousandth
    at either end) and a quarter more; the title counts molecules beyond. What could not be judged
    is in no panel.

    Parameters
    ----------
    report : ConditionalReport
    path : path
        PNG file, written atomically.

    Returns
    -------
    Path
    """
    from matplotlib.figure import Figure

    panels = [r for r in report.properties if r.task in r.asked]
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.5 * rows), layout="constrained")
    for k, result in enumerate(panels):
        axes = figure.add_subplot(rows, columns, k + 1)
        chosen = (report.records.asked == "+".join(result.asked)) & (
            report.records.task == result.task
        )
        factor = field_unit(result.task).factor
        records = report.records[chosen]
        target, predicted = factor * records.target, factor * records.prediction
        low, high = target.quantile([_OUTERMOST, 1 - _OUTERMOST])
        # Not the range of the predictions: those of broken molecules may be anything.
        _, size, alpha = [points for points in _POINTS if len(records) >= points[0]][-1]
        margin = max(_MARGIN * (high - low), 5 * result.tolerance)
        limits = np.array([low - margin, high + margin])
        axes.fill_between(
            limits,
            limits - result.tolerance,
            limits + result.tolerance,
            color=_LINE,
            alpha=0.2,
            lw=0,
        )
        axes.plot(limits, limits, color=_LINE, lw=0.8)
        for valid, colour in ((False, _INVALID), (True, _VALID)):
            kind = records.valid == valid
            label = f"{'valid' if valid else 'invalid'} ({predicted[kind].count():,})"
            axes.scatter(
                target[kind], predicted[kind], s=size, lw=0, alpha=alpha, color=colour, label=label
            )
        outside = [(values < limits[0]) | (values > limits[1]) for values in (target, predicted)]
        beyond = int((outside[0] | outside[1]).sum())
        title = f"{heading(result.task)}\nmean error {number(result.mae)}"
        axes.set_title(title + (f", {beyond:,} beyond" if beyond else ""), fontsize=9)
        axes.set(xlim=limits, ylim=limits, xlabel="asked for", ylabel="predicted", aspect="equal")
        axes.locator_params(nbins=5)
        legend = axes.legend(fontsize=7, loc="upper left", frameon=False, markerscale=3 / size**0.5)
        for handle in legend.legend_handles:
            handle.set_alpha(0.6)
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    return path

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


def plot_targets(report: ConditionalReport, path: str | os.PathLike) -> Path:
    """Write a PNG of predicted against requested values, one panel a property and request.

    The line is where they agree, the band around it the tolerance. Invalid molecules (EDM's
    protocol) are drawn in another colour. The axes span the requests and a quarter more on either
    side; the title counts predictions beyond. What could not be judged is in no panel.

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
        low, high = target.min(), target.max()
        # Not the range of the predictions: those of broken molecules may be anything.
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
                target[kind], predicted[kind], s=9, lw=0, alpha=0.6, color=colour, label=label
            )
        beyond = int(((predicted < limits[0]) | (predicted > limits[1])).sum())
        title = f"{heading(result.task)}\nmean error {number(result.mae)}"
        axes.set_title(title + (f", {beyond:,} beyond" if beyond else ""), fontsize=9)
        axes.set(xlim=limits, ylim=limits, xlabel="asked for", ylabel="predicted", aspect="equal")
        axes.locator_params(nbins=5)
        axes.legend(fontsize=7, loc="upper left", frameon=False)
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    return path

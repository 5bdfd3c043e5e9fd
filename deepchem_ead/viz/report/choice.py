"""Which molecules a page shows: the worst, the best, an example of each failure, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.viz.report.shown import Shown

if TYPE_CHECKING:
    import pandas as pd


def ranked(report: Shown) -> np.ndarray:
    """Rows that could be read, the worst first.

    Unsound ones come first, those with more failed checks before; then the average rank in the
    columns of which one way is better (`ranking_columns`) decides, and then the order of the input.
    """
    import pandas as pd

    frame = report.per_molecule
    ranks = [
        frame[name].rank(pct=True, ascending=better == "lower").fillna(0.5).to_numpy()
        for name, better in ranking_columns(report).items()
    ]
    order = pd.DataFrame(
        {
            "sound": frame["sound"].to_numpy(bool),
            "failed": -n_failed(frame),
            "rank": -np.mean(ranks, axis=0) if ranks else 0.0,
        }
    ).iloc[report.rows_read]
    return order.sort_values(["sound", "failed", "rank"], kind="stable").index.to_numpy()


def ranking_columns(report: Shown) -> dict[str, str]:
    """Numbers of molecules of which one way is better, and which."""
    suite, frame = report.suite, report.per_molecule
    return {
        name: column.better
        for part in suite.of_molecules
        for name, column in part.columns.items()
        if column.better and name in frame and frame[name].dtype.kind == "f"
    }


def n_failed(frame: pd.DataFrame) -> np.ndarray:
    """Reasons of each row."""
    reasons = frame["reasons"]
    return np.where(reasons == "", 0, reasons.str.count(";") + 1).astype(int)


def examples(report: Shown) -> dict[str, int | None]:
    """A row for each reason of failure, one that has no other reason where there is one."""
    reasons = report.per_molecule["reasons"].iloc[report.rows_read]
    found: dict[str, int | None] = {}
    for name in report.failures:
        alone = reasons.index[reasons == name]
        among = reasons.index[[name in text.split(";") for text in reasons]]
        rows = alone if len(alone) else among
        found[name] = int(rows[0]) if len(rows) else None
    return found


def some_rows(order: np.ndarray, wanted: list[int], most: int) -> np.ndarray:
    """At most so many rows in their own order: the wanted ones, then evenly through the ranking."""
    if len(order) <= most:
        return np.sort(order)
    first = np.array(wanted[:most], int)
    left = order[~np.isin(order, first)]
    even = np.linspace(0, len(left) - 1, most - len(first)).round().astype(int)
    return np.sort(np.concatenate([first, left[even]]))

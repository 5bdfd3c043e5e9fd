"""Markdown tables of scored runs, shared by the benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.paired import Difference, binary_difference, holm, share_difference
from benchmarks.parts import Scored
from deepchem_ead.metrics.reference_rows import QM9_STRICT_ROW, ReferenceRow

COLUMNS = {
    "atom_stability": "atom",
    "molecule_stability": "molecule",
    "validity": "valid",
    "uniqueness": "unique",
    "valid_unique": "V*U",
    "novelty": "novel",
    "connected": "connected",
}

#: Columns of molecules that have bonds of their own, judged by these.
OWN = {"own bonds: stable": "molecule_stability", "valid, one piece": "validity"}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with these cells."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def mean_and_error(values: Sequence[float]) -> str:
    """Mean and standard error over seeds, in percent."""
    percent = 100 * np.asarray(values, dtype=float)
    if len(percent) < 2:
        return f"{percent.mean():.1f}"
    return f"{percent.mean():.1f} ± {percent.std(ddof=1) / np.sqrt(len(percent)):.1f}"


def metrics_table(
    scored: Sequence[Scored], runs: Iterable[str], others: Sequence[ReferenceRow] = ()
) -> str:
    """Metrics of runs, mean and standard error over seeds, above rows from elsewhere."""
    body = []
    for name in runs:
        seeds = [row for row in scored if row.run == name]
        if not seeds:
            continue
        reports = [[getattr(row.edm, key) for row in seeds] for key in COLUMNS]
        n = sum(row.edm.n_molecules for row in seeds)
        body.append(
            [
                f"{name} (n={n:,}, {len(seeds)} seed{'s' * (len(seeds) > 1)})",
                *("-" if None in values else mean_and_error(values) for values in reports),
                mean_and_error([row.strict.validity for row in seeds]),
                *own_cells(seeds),
                f"{np.mean([row.evaluations for row in seeds]):.0f}",
                f"{np.mean([row.seconds for row in seeds]):.2f}",
            ]
        )
    body += [_reference_cells(row) for row in others]
    head = ["%", *COLUMNS.values(), "strict valid", *OWN, "evaluations", "s / molecule"]
    return markdown(head, body)


def own_cells(seeds: Sequence[Scored]) -> list[str]:
    """Mean and error of the metrics of molecules' own bonds."""
    reports = [row.own for row in seeds]
    if None in reports:
        return ["-"] * len(OWN)
    return [mean_and_error([getattr(report, key) for report in reports]) for key in OWN.values()]


def _reference_cells(row: ReferenceRow) -> list[str]:
    values = [getattr(row, key, None) for key in COLUMNS]
    data = row.name == "QM9 itself"  # the only one that the strict protocol has judged, too
    values.append(QM9_STRICT_ROW.validity if data else None)
    cells = ["-" if value is None else f"{100 * value:.2f}" for value in values]
    return [f"{row.name} ({row.kind})", *cells, *["-"] * len(OWN), row.evaluations or "-", "-"]


def paired_table(scored: Sequence[Scored], pairs: Iterable[tuple[str, str]]) -> str:
    """Differences of the same molecules (equal seed and number), in percentage points.

    The p-values of a column are corrected for the number of its rows.
    """
    head = ["difference (n)", "stable share of a molecule's atoms", "molecule stable", "valid"]
    names, found = [], []
    for pair in pairs:
        runs = [{row.seed: row.per_molecule for row in scored if row.run == name} for name in pair]
        seeds = sorted(set(runs[0]) & set(runs[1]))
        if not seeds:
            continue
        n = {seed: min(len(run[seed]) for run in runs) for seed in seeds}
        one, other = (np.concatenate([run[s][: n[s]] for s in seeds]) for run in runs)
        tests = (share_difference, binary_difference, binary_difference)
        names.append(f"{pair[0]} - {pair[1]} ({len(one):,})")
        found.append([test(one[:, k], other[:, k]) for k, test in enumerate(tests)])
    columns = []
    for differences in zip(*found, strict=True):
        corrected = holm([difference.p for difference in differences])
        columns.append(list(map(_points, differences, corrected)))
    return markdown(head, zip(names, *columns, strict=True))


def _points(difference: Difference, p: float) -> str:
    low, mean, high = (100 * getattr(difference, name) for name in ("low", "mean", "high"))
    shown = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}], {shown}"


PAIRED_NOTE = (
    "Means, 95 % bootstrap intervals over molecules, two-sided p-values: Wilcoxon's signed ranks "
    "for the share, McNemar's exact test for the others; those of a column are corrected for their "
    "number (Holm)."
)

"""Several sets side by side: a report each, and tests of their numbers against the first set."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.judging.report import Report
from deepchem_ead.judging.run import judge
from deepchem_ead.metrics.suites.suite import Suite
from deepchem_ead.metrics.text_table import aligned
from deepchem_ead.viz.report import Tested, figure, readings, write_report

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class SideBySide:
    """Judgements of several sets.

    Attributes
    ----------
    reports : dict of str to Report
        By the name of the set.
    tests : dict of (str, str) to Tested
        By set and number: against the same number of the first set.
    """

    reports: Mapping[str, Report]
    tests: Mapping[tuple[str, str], Tested]

    def __str__(self) -> str:
        return self.table()

    @cached_property
    def pooled(self) -> Report:
        """The molecules of all sets as one report, ``source`` telling the set; no numbers."""
        import pandas as pd

        frames = []
        for name, report in self.reports.items():
            frame = report.per_molecule.drop(columns="source", errors="ignore")
            frame.insert(1, "source", name)
            frames.append(frame)
        one = next(iter(self.reports.values()))
        frame = pd.concat(frames, ignore_index=True)
        frame.index.name = "molecule"
        entries = [entry for report in self.reports.values() for entry in report.entries]
        return Report(frame, one.summary.iloc[:0], entries, one.suite, one.info)

    def table(self) -> str:
        """A line a number: each set with its error, p against the first set, held-out molecules."""
        one = next(iter(self.reports.values()))
        first, *others = self.reports
        known = readings(one.suite)
        head = ["", first]
        for name in others:
            head += [name, "p"]
        body = []
        for metric, row in one.summary.iterrows():
            is_share = known[str(metric)].is_share
            line = [str(metric), figure(row["value"], row["error"], is_share)]
            for name in others:
                own = self.reports[name].summary
                there = metric in own.index
                value, error = own.loc[metric, ["value", "error"]] if there else (math.nan,) * 2
                test = self.tests.get((name, str(metric)))
                line += [figure(value, error, is_share), "" if test is None else f"{test.p:.2g}"]
            body.append([*line, figure(row["ceiling"], row["ceiling_error"], is_share)])
        return aligned([*head, "held-out"], body)

    def to_html(self, path: str | os.PathLike, title: str | None = None) -> Path:
        """Write one page that opens without network, atomically."""
        return write_report(self.reports, path, title, self.tests)

    def to_json(self, path: str | os.PathLike) -> Path:
        """Write everything but the coordinates as JSON, atomically; NaN becomes null."""
        tests = [
            {"set": name, "metric": metric}
            | {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in test._asdict().items()
            }
            for (name, metric), test in self.tests.items()
        ]
        found = {
            "sets": {name: report.to_dict() for name, report in self.reports.items()},
            "tests": tests,
        }
        with atomic_path(Path(path)) as temporary:
            temporary.write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
        return Path(path)


def side_by_side(
    sets: Mapping[str, Any] | Sequence[str | os.PathLike],
    reference: Any = None,
    suite: str | os.PathLike | Mapping[str, Any] | Suite = "standard",
    **options: Any,
) -> SideBySide:
    """Judge several sets by the same suite, and test the others against the first one.

    Where two sets have molecules of the same names, as those of one request with two settings
    have, tests are of pairs: McNemar's exact one for shares, Wilcoxon's signed ranks for values.
    Otherwise they are Fisher's exact test and Mann and Whitney's. Numbers of a set as a whole are
    compared by their errors. All p are corrected for their number (Holm).

    Parameters
    ----------
    sets : mapping of str to molecules, or sequence of paths
        At least two; see `judge`.
    reference, suite, **options
        See `judge`.
    """
    named = dict(sets) if isinstance(sets, Mapping) else _by_file_name(sets)
    if len(named) < 2:
        raise ValueError("one set has nothing to stand beside; give two or more, or use judge")
    reports = {name: judge(each, reference, suite, **options) for name, each in named.items()}
    first, *others = reports
    tests = {
        (name, metric): test
        for name in others
        for metric, test in _tests(reports[first], reports[name]).items()
    }
    corrected = holm(np.array([test.p for test in tests.values()]))
    return SideBySide(
        reports,
        {
            key: test._replace(p=float(p))
            for (key, test), p in zip(tests.items(), corrected, strict=True)
        },
    )


def _by_file_name(paths: Sequence[str | os.PathLike]) -> dict[str, Path]:
    """Files by name; by path where two have the same name."""
    files = [Path(path) for path in paths]
    names = [path.name for path in files]
    if len(set(names)) < len(names):
        names = [str(path) for path in files]
    if len(set(names)) < len(names):
        raise ValueError(f"{max(names, key=names.count)} is given twice")
    return dict(zip(names, files, strict=True))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's correction of n probabilities: the k-th smallest times n - k + 1, never falling."""
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    found = np.empty(len(p))
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return found


def _tests(first: Report, other: Report) -> dict[str, Tested]:
    names = [set(r.per_molecule["name"]) for r in (first, other)]
    paired = names[0] == names[1] and len(names[0]) == len(first) == len(other)
    frames = [first.per_molecule, other.per_molecule]
    if paired:
        frames = [frame.set_index("name").loc[list(frames[0]["name"])] for frame in frames]
    found = {}
    for metric in first.summary.index.intersection(other.summary.index):
        if metric in ("readable", "judged"):
            continue
        if metric in frames[0].columns:
            values = [
                frame[metric].astype("Float64").to_numpy(float, na_value=np.nan) for frame in frames
            ]
            test = compare_values(values[0], values[1], paired)
        else:
            test = _by_errors(first.summary.loc[metric], other.summary.loc[metric])
        if test is not None:
            found[str(metric)] = test
    return found


def _by_errors(first: pd.Series, other: pd.Series) -> Tested | None:
    """The test of numbers that are known with their errors only."""
    from scipy.stats import norm

    difference = float(other["value"] - first["value"])
    error = math.hypot(first["error"], other["error"])
    if not error > 0:
        return None
    p = float(2 * norm.sf(abs(difference) / error))
    return Tested(difference, error, p, "difference over its standard error")


def compare_values(first: np.ndarray, other: np.ndarray, paired: bool) -> Tested | None:
    """The test of a column, shape (n,), of two sets; NaN where a molecule has no value."""
    from scipy import stats

    if paired:
        kept = np.isfinite(first) & np.isfinite(other)
        first, other = first[kept], other[kept]
    else:
        first, other = first[np.isfinite(first)], other[np.isfinite(other)]
    if min(len(first), len(other)) < 2:
        return None
    is_truth = bool(np.isin(first, (0, 1)).all() and np.isin(other, (0, 1)).all())
    difference = float(other.mean() - first.mean())
    if paired:
        change = other - first
        error = float(change.std(ddof=1) / np.sqrt(len(change)))
        if not change.any():
            return Tested(0.0, 0.0, 1.0, f"{len(change):,} pairs, all equal")
        if is_truth:
            n_changed = int((change != 0).sum())
            p = stats.binomtest(int((change > 0).sum()), n_changed).pvalue
            return Tested(difference, error, float(p), f"McNemar, {len(change):,} pairs")
        p = stats.wilcoxon(change).pvalue
        return Tested(difference, error, float(p), f"Wilcoxon, {len(change):,} pairs")
    error = math.sqrt(first.var(ddof=1) / len(first) + other.var(ddof=1) / len(other))
    if is_truth:
        counts = [[int(v.sum()), int(len(v) - v.sum())] for v in (first, other)]
        return Tested(difference, error, float(stats.fisher_exact(counts)[1]), "Fisher")
    p = stats.mannwhitneyu(first, other).pvalue
    return Tested(difference, error, float(p), "Mann and Whitney")

"""From rows of molecules to the table of them and the numbers of the set."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.judging.inputs import Entry
from deepchem_ead.judging.rows import Row
from deepchem_ead.metrics.sets.number import SUMMARIES, Number, SetNumbers, errors_of, share
from deepchem_ead.metrics.sets.sample import Sample
from deepchem_ead.metrics.suites.suite import Suite

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Known:
    """Features of a reference.

    Attributes
    ----------
    whole : Sample
        Of all its molecules, for what asks whether it has something.
    part : Sample
        Of some of them, for distributions.
    """

    whole: Sample
    part: Sample


def sample_of(rows: Sequence[Row], names: Iterable[str]) -> Sample:
    """Features of rows by name; None where one could not be computed."""
    return Sample({name: [row.features.get(name) for row in rows] for name in names}, len(rows))


def compare(rows: Sequence[Row], suite: Suite, known: Known | None) -> list[Row]:
    """The rows with what comparisons with the reference, and with other known molecules, say."""
    if not suite.comparisons:
        return list(rows)
    sample, whole = sample_of(rows, suite.features), Sample({}, 0) if known is None else known.whole
    new = [replace(row, outcomes=dict(row.outcomes), seconds=dict(row.seconds)) for row in rows]
    for comparison in suite.comparisons:
        began = time.process_time()
        outcomes = comparison(sample, whole)
        seconds = (time.process_time() - began) / max(1, len(rows))
        for row, outcome in zip(new, outcomes, strict=True):
            row.outcomes[comparison.name] = outcome
            row.seconds[comparison.name] = seconds
    return new


def table(entries: Sequence[Entry], rows: Sequence[Row], suite: Suite) -> pd.DataFrame:
    """One row a molecule: name, ``sound``, ``reasons``, ``details``, then every check's columns."""
    import pandas as pd

    parts = suite.judging
    columns: dict[str, Any] = {"name": [entry.name for entry in entries]}
    if any(entry.source for entry in entries):
        columns["source"] = [entry.source for entry in entries]
    pairs = list(zip(entries, rows, strict=True))
    failures = [_failures(entry, row, suite) for entry, row in pairs]
    columns["sound"] = [
        not any(name not in suite.uncounted for name in failed) for failed in failures
    ]
    columns["reasons"] = _text([";".join(failed) for failed in failures])
    columns["details"] = _text(
        ["; ".join(f"{n}: {why}" if why else n for n, why in f.items()) for f in failures]
    )
    for part in parts:
        found = [row.outcomes.get(part.name) for row in rows]
        if part.judges:
            columns[part.name] = pd.array(
                [None if each is None else each.passed for each in found], dtype="boolean"
            )
        for name in part.columns:
            columns[name] = _column(
                [None if each is None else each.columns.get(name) for each in found]
            )
    frame = pd.DataFrame(columns)
    frame.index.name = "molecule"
    return frame


def _failures(entry: Entry, row: Row, suite: Suite) -> dict[str, str]:
    """Names of what a molecule failed, with reasons: unreadable, failed checks, no answer."""
    if entry.molecule is None:
        return {"unreadable": entry.problem}
    failed = {
        part.name: row.outcomes[part.name].reason
        for part in suite.judging
        if part.name in row.outcomes and row.outcomes[part.name].passed is False
    }
    for stage, problem in row.problems.items():
        kind, _, what = problem.partition(": ")
        failed[kind] = "; ".join(filter(None, [failed.get(kind), f"{stage} {what}"]))
    return failed


def _text(values: list[str | None]) -> Any:
    import pandas as pd

    return pd.Series(values, dtype=object)


def _column(values: list[Any]) -> Any:
    import pandas as pd

    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool | np.bool_) for value in known):
        return pd.array([None if v is None else bool(v) for v in values], dtype="boolean")
    if all(isinstance(value, int | float | np.number) for value in known):
        return np.array([np.nan if value is None else value for value in values], float)
    return _text(values)


def numbers(
    frame: pd.DataFrame, entries: Sequence[Entry], rows: Sequence[Row], suite: Suite,
    known: Known | None,
) -> dict[str, Number]:  # fmt: skip
    """Every number of a set: shares and averages of columns, then those of the set as a whole."""
    readable = np.array([entry.molecule is not None for entry in entries])
    answered = np.array([not row.problems for row in rows])
    found = {
        "sound": share(frame["sound"].to_numpy(bool), 0.0),
        "readable": share(readable, 0.0),
        "judged": share(answered, 0.0),
    }
    seconds: dict[str, float] = {}
    for row in rows:
        for name, cost in row.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + cost
    for part in suite.judging:
        cost = seconds.get(part.name, 0.0)
        wanted = {part.name: "share"} if part.judges else {}
        wanted |= {name: column.summary for name, column in part.columns.items()}
        for name, summary in wanted.items():
            if summary:
                values = frame[name].dropna().to_numpy(float)
                found[name] = SUMMARIES[summary](values, cost)
    sample = sample_of(rows, suite.features)
    for each in suite.sets:
        reference = Sample({}, 0)
        if known is not None and "reference" in each.needs:
            reference = known.whole if each.whole_reference else known.part
        cost = sum(seconds.get(name, 0.0) for name in each.features)
        found |= _set_numbers(each, sample, reference, cost)
    return found


def _set_numbers(
    each: SetNumbers, sample: Sample, reference: Sample, cost: float
) -> dict[str, Number]:
    began = time.process_time()
    values = each(sample, reference)
    cost += time.process_time() - began
    errors = errors_of(each, sample, reference)
    return {
        name: Number(float(value), errors.get(name, np.nan), len(sample), cost)
        for name, value in values.items()
    }

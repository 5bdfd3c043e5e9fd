"""What `judge` has found."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.judging.conformers import ConformersJudged
from deepchem_ead.judging.inputs import Entry
from deepchem_ead.metrics.sets.number import Number
from deepchem_ead.metrics.suites.suite import Suite
from deepchem_ead.metrics.text_table import aligned
from deepchem_ead.viz.report import write_report

if TYPE_CHECKING:
    import pandas as pd

#: Names that `Report.keep` knows besides the columns.
ALIASES = {"pb_pass": "posebusters", "strain": "strain_kcal"}


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A judgement of a set of molecules.

    Attributes
    ----------
    per_molecule : pandas.DataFrame
        One row a row of the input: ``name``; ``sound``: no check that counts has failed;
        ``reasons``: names of failed checks joined by ";", or "unreadable", "timeout", "crash",
        "error"; ``details``: the same with the reason of each; then the columns of every check.
        A cell is empty where a check had nothing to judge.
    summary : pandas.DataFrame
        One row a number: ``value`` and ``error`` (one standard error), the same of held-out
        molecules as ``ceiling`` and ``ceiling_error``, ``n`` (molecules it is computed of) and
        ``seconds`` (CPU time of the check or of the features and the number). The row of a check
        is the share of molecules that pass it, of those that have something to judge.
    entries : sequence of Entry
        The input, a row each.
    suite : Suite
    info : dict
        Settings and versions.
    held_out : Report, optional
        Of the held-out molecules that the ceiling is made of; cells of slow checks are empty where
        these saw only some of them.
    conformers : ConformersJudged, optional
        How the molecules, as conformers, cover a reference: see `judge_conformers`.
    """

    per_molecule: pd.DataFrame
    summary: pd.DataFrame
    entries: Sequence[Entry]
    suite: Suite
    info: dict[str, Any] = field(default_factory=dict)
    held_out: Report | None = None
    conformers: ConformersJudged | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        sound = int(self.per_molecule["sound"].sum())
        return f"Report({len(self)} molecules, {sound} sound, suite {self.suite.name!r})"

    def __str__(self) -> str:
        return self.table()

    @cached_property
    def failures(self) -> dict[str, int]:
        """Molecules by reason, the most frequent first."""
        reasons = self.per_molecule["reasons"].str.split(";").explode()
        counts = reasons[reasons != ""].value_counts()
        return {str(name): int(count) for name, count in counts.items()}

    @cached_property
    def rows_read(self) -> np.ndarray:
        """Rows of the input that could be read."""
        return np.flatnonzero([entry.molecule is not None for entry in self.entries])

    @cached_property
    def molecules(self) -> MoleculeBatch:
        """The molecules of `rows_read`, with the columns of `per_molecule` as properties."""
        batches = [self.entries[i].molecule for i in self.rows_read]
        bare = [replace(batch, properties={}, ids=None) for batch in batches]
        batch = MoleculeBatch.concatenate(bare)
        frame = self.per_molecule.iloc[self.rows_read]
        names = [self.entries[i].name for i in self.rows_read]
        return replace(batch, ids=names, properties=_properties(frame))

    def keep(self, condition: str) -> pd.DataFrame:
        """Rows of `per_molecule` for which a condition on its columns holds.

        Parameters
        ----------
        condition : str
            As in ``DataFrame.query``: ``"posebusters and strain_kcal < 5"``. An empty cell makes a
            comparison false. ``pb_pass`` is ``posebusters``, ``strain`` is ``strain_kcal``.

        Raises
        ------
        ValueError
            If the condition cannot be read, or names a column that there is not.
        """
        frame = self.per_molecule.copy()
        for column in frame.columns:
            if str(frame[column].dtype) == "boolean":
                frame[column] = frame[column].fillna(False).astype(bool)
        for alias, column in ALIASES.items():
            if column in frame and alias not in frame:
                frame[alias] = frame[column]
        try:
            chosen = frame.eval(condition)
        except Exception as error:
            raise ValueError(
                f"the condition {condition!r} cannot be used ({error}); columns are "
                f"{', '.join(map(str, self.per_molecule.columns))}"
            ) from error
        return self.per_molecule[np.asarray(chosen, bool)]

    def table(self) -> str:
        """The summary as aligned text."""
        head = ["", "value", "error", "ceiling", "error", "n", "seconds"]
        body = [
            [str(name), *(_digits(v) for v in row[:4]), f"{row[4]:,.0f}", f"{row[5]:.1f}"]
            for name, row in zip(self.summary.index, self.summary.to_numpy(float), strict=True)
        ]
        return aligned(head, body)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        found = {
            "info": self.info,
            "summary": {str(k): _plain(v) for k, v in self.summary.to_dict("index").items()},
            "failures": self.failures,
            "per_molecule": [_plain(row) for row in self.per_molecule.to_dict("records")],
        }
        if self.conformers is not None:
            found["conformers"] = _plain_conformers(self.conformers)
        return found

    def to_json(self, path: str | os.PathLike) -> Path:
        """Write everything but the coordinates as JSON, atomically; NaN becomes null."""
        path = Path(path)
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    def to_csv(self, path: str | os.PathLike, keep: str | None = None) -> Path:
        """Write `per_molecule` as CSV, atomically; only rows that meet a condition, see `keep`."""
        path = Path(path)
        frame = self.per_molecule if keep is None else self.keep(keep)
        with atomic_path(path) as temporary:
            frame.to_csv(temporary)
        return path

    def to_sdf(self, path: str | os.PathLike, keep: str | None = None) -> Path:
        """Write the molecules that could be read, columns as tags, atomically.

        Parameters
        ----------
        keep : str, optional
            Only those for which a condition holds, see `keep`.
        """
        path = Path(path)
        batch = self.molecules
        if keep is not None:
            rows = self.keep(keep).index
            batch = batch[np.isin(self.rows_read, rows)]
        batch.to_sdf(path)
        return path

    def to_html(self, path: str | os.PathLike, title: str | None = None) -> Path:
        """Write one page that opens without network, atomically; see `write_report`."""
        return write_report(self, path, title)


def summary_frame(values: Mapping[str, Number], ceiling: Mapping[str, Number] | None) -> Any:
    """The table of numbers beside those of held-out molecules."""
    import pandas as pd

    nothing = Number(math.nan, math.nan, 0, 0.0)
    rows = {}
    for name, number in values.items():
        best = (ceiling or {}).get(name, nothing)
        rows[name] = {
            "value": number.value, "error": number.error, "ceiling": best.value,
            "ceiling_error": best.error, "n": number.n, "seconds": number.seconds,
        }  # fmt: skip
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "metric"
    return frame


def versions(suite: Suite) -> dict[str, str]:
    """Versions of what a suite computes with."""
    packages = {package for part in suite.parts for package in part.packages}
    found = {"python": platform.python_version()}
    for name in ("deepchem_ead", "rdkit", "numpy", "scipy", *sorted(packages)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _digits(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): _plain_value(value) for key, value in row.items()}


def _plain_value(value: Any) -> Any:
    import pandas as pd

    if value is None or value is pd.NA:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain_conformers(judged: ConformersJudged) -> dict[str, Any]:
    frames = {"summary": judged.report.summary, "per_molecule": judged.report.per_molecule}
    found: dict[str, Any] = {
        name: [_plain(row) for row in frame.reset_index().to_dict("records")]
        for name, frame in frames.items()
    }
    return found | {"without_reference": judged.without_reference}


def _properties(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns as a batch keeps them: empty truth values and text become ""."""
    found = {}
    for name in frame.columns.drop("name"):
        column = frame[name]
        if str(column.dtype) == "boolean" and column.isna().any():
            found[name] = np.array(
                [
                    "" if v is None else "T" if v else "F"
                    for v in column.astype(object).where(column.notna(), None)
                ]
            )
        elif str(column.dtype) in ("boolean", "bool"):
            found[name] = column.to_numpy(bool)
        elif column.dtype == object:
            found[name] = np.array(["" if v is None else str(v) for v in column])
        else:
            found[name] = column.to_numpy()
    return found

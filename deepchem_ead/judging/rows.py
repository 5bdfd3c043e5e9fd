"""Checks and features of many molecules, in guarded processes, kept in a file for the next time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rdkit import rdBase
from tqdm import tqdm

from deepchem_ead.judging.inputs import Entry
from deepchem_ead.metrics.checks.check import Check, Outcome
from deepchem_ead.metrics.sets.sample import FEATURES
from deepchem_ead.metrics.suites.suite import describe, digest
from deepchem_ead.metrics.view import MoleculeView
from deepchem_ead.workers import Failure, guarded

#: Raise the first when a feature changes its answer, the second when a check or feature does.
FEATURES_VERSION, VERSION = 2, 3
_ATTEMPTS = 4  # of a molecule, each without the parts that failed before


@dataclass
class Row:
    """What is known of one molecule.

    Attributes
    ----------
    outcomes : dict of str to Outcome
        By check.
    features : dict
    seconds : dict of str to float
        CPU time of checks and features.
    problems : dict of str to str
        By check or feature that gave no answer: "timeout: ...", "crash: ...", "error: ...".
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _Item(NamedTuple):
    view: MoleculeView
    checks: tuple[str, ...]
    features: tuple[str, ...]


class _Work:
    """Runs the parts of an item one after another."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = {check.name: check for check in checks}

    def __call__(self, item: _Item, enter: Callable[[int], None]) -> Row:
        row = Row()
        with rdBase.BlockLogs():
            for k, name in enumerate((*item.checks, *item.features)):
                enter(k)
                began = time.process_time()
                try:
                    if k < len(item.checks):
                        row.outcomes[name] = self.checks[name](item.view)
                    else:
                        row.features[name] = FEATURES[name](item.view)
                except Exception as error:
                    row.problems[name] = f"error: {type(error).__name__}: {error}"
                row.seconds[name] = time.process_time() - began
        return row


def run_rows(
    entries: Sequence[Entry],
    checks: Sequence[Check],
    features: Sequence[str],
    vocabulary: str | None,
    *,
    n_workers: int,
    time_limit: float,
    cache: Path | None = None,
    label: str = "Molecules",
    progress: bool = True,
) -> list[Row]:
    """Judge molecules one by one.

    Parameters
    ----------
    entries : sequence of Entry
    checks : sequence of Check
    features : sequence of str
        Names in `FEATURES`.
    vocabulary : str or None
        See `MoleculeView`.
    n_workers, time_limit
        See `guarded`.
    cache : Path, optional
        File of rows that are known already; new ones are added as they come. Rows of molecules
        that made a part fail are not kept.

    Returns
    -------
    list of Row
        In the order of the entries. What hung or crashed in one check was tried again without it;
        what did so twice, without any slow check.
    """
    if not checks and not features:
        return [Row() for _ in entries]
    work = _Work(checks)
    names = tuple(work.checks)
    slow = {check.name for check in checks if check.slow}
    version = VERSION if checks else FEATURES_VERSION
    plan = digest([describe(checks), list(features), _versions(checks), version])
    keys = [f"{plan}-{entry.key(vocabulary)}" for entry in entries]
    rows: dict[int, Row] = {}
    with _Cache(cache) as known:
        for i, key in enumerate(keys):
            if key in known:
                rows[i] = known[key]
        todo = [i for i in range(len(entries)) if i not in rows]
        items = {i: _Item(entries[i].view(vocabulary), names, tuple(features)) for i in todo}
        problems: dict[int, dict[str, str]] = {i: {} for i in todo}
        bar = tqdm(
            total=len(entries), initial=len(rows), desc=label, unit="mol", disable=not progress,
            delay=1.0, mininterval=0.5, dynamic_ncols=True,
        )  # fmt: skip
        with bar:
            for _ in range(_ATTEMPTS):
                again = []
                places = list(todo)
                for place, row in guarded(work, [items[i] for i in places], n_workers, time_limit):
                    i = places[place]
                    if isinstance(row, Failure):
                        items[i] = _without_stage(items[i], row, problems[i], slow)
                        again.append(i)
                        continue
                    row.problems |= problems[i]
                    rows[i] = row
                    if not row.problems:
                        known.add(keys[i], row)
                    bar.update()
                todo = again
            for i in todo:
                rows[i] = Row(problems=problems[i])
                bar.update()
    return [rows[i] for i in range(len(entries))]


def _without_stage(
    item: _Item, failure: Failure, problems: dict[str, str], slow: set[str]
) -> _Item:
    """The item without the part that it failed in, the second time without slow checks."""
    stages = (*item.checks, *item.features)
    stage = stages[failure.stage] if failure.stage >= 0 else "start"
    is_first = not problems
    problems[stage] = f"{failure.kind}: {failure.what}"
    if not is_first:
        for name in (name for name in item.checks if name in slow and name != stage):
            problems[name] = f"{failure.kind}: was not tried after that"
    return item._replace(
        checks=tuple(name for name in item.checks if name not in problems),
        features=tuple(name for name in item.features if name not in problems),
    )


def _versions(checks: Iterable[Check]) -> dict[str, str]:
    """Versions that answers depend on."""
    from importlib.metadata import version

    packages = sorted({package for check in checks for package in check.packages})
    return {"rdkit": rdBase.rdkitVersion} | {name: version(name) for name in packages}


class _Cache:
    """Lines of JSON, one a molecule; a last one cut off by an interruption is left out.

    Several processes may add to one file: every line is one write at its end.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}
        self._file: FileIO | None = None

    def __enter__(self) -> _Cache:
        if self._path is None:
            return self
        if self._path.exists():
            with open(self._path, encoding="utf-8") as lines:
                for line in lines:
                    try:
                        found = json.loads(line)
                        self._rows[found["key"]] = _from_plain(found)
                    except (ValueError, KeyError, TypeError):
                        continue
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._file = FileIO(self._path, "a")
        if file.tell() and not _ends_with_newline(self._path):
            file.write(b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def add(self, key: str, row: Row) -> None:
        if self._file is not None:
            line = json.dumps({"key": key} | _plain(row), default=_number) + "\n"
            self._file.write(line.encode())


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()


def _plain(row: Row) -> dict[str, Any]:
    outcomes = {
        name: [each.passed, each.reason, dict(each.columns)] for name, each in row.outcomes.items()
    }
    return {"outcomes": outcomes, "features": row.features, "seconds": row.seconds}


def _from_plain(found: dict[str, Any]) -> Row:
    outcomes = {name: Outcome(*each) for name, each in found["outcomes"].items()}
    return Row(outcomes, found["features"], found["seconds"])

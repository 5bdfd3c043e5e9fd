"""Labels of a user's molecules: from tags or a CSV file, checked before anything trains on them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import numpy as np

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.values import number
from deepchem_ead.molnet.tables import read_table

#: Above this magnitude float32 resolves no better than 8 units.
MAX_LABEL = 1e8
_LISTED_ROWS = 10
#: In median distances from the median; a normal distribution never comes near.
_FAR = 100.0
_FEW = 10
#: How other programs write that there is no value.
_MISSING = {"", "na", "n/a", "#n/a", "nan", "none", "null", "nil", "<na>", "#value!"}


def labels_from_tags(
    tags: Sequence[dict[str, str]], tasks: Sequence[str], rows: Sequence[str]
) -> np.ndarray:
    """Labels (N, T) float64 from the text tags of N molecules; NaN where a tag is missing.

    Parameters
    ----------
    tags : sequence of dict
        SDF tags or extended-XYZ keys of each molecule.
    tasks : sequence of str
        Tags to take.
    rows : sequence of str
        How error messages name each molecule.

    Raises
    ------
    ValueError
        If no molecule has a task's tag, or a value is not a number.
    """
    for task in tasks:
        if not any(task in entry for entry in tags):
            known = sorted(set().union(*tags))
            raise ValueError(
                f"no molecule has the property {task!r}; the file has: {', '.join(known) or 'none'}"
            )
    return _numbers([[entry.get(task, "") for task in tasks] for entry in tags], tasks, rows)


def labels_from_csv(
    path: str | os.PathLike,
    tasks: Sequence[str],
    id_column: str | None,
    names: Sequence[str],
    records: Sequence[int],
    n_records: int,
) -> np.ndarray:
    """Labels (N, T) float64 of N molecules from a CSV file; NaN where a value is missing.

    Parameters
    ----------
    path : path
        CSV file with a header.
    tasks : sequence of str
        Columns to take.
    id_column : str or None
        Column with the molecules' names. None: the rows follow the records of the molecule file.
    names : sequence of str
        Name of each molecule (SDF title line, extended-XYZ key ``id``).
    records : sequence of int
        Record number of each molecule in its file, from 1.
    n_records : int
        Records in the molecule file, unreadable ones included.

    Raises
    ------
    ValueError
        If the file is not UTF-8, a row has more or fewer fields than the header, a column is
        missing or occurs twice, an id occurs twice or not at all, the number of rows does not fit,
        or a value is not a number.
    """
    wanted = [*tasks] if id_column is None else [id_column, *tasks]
    found_table = read_table(path, wanted)
    table, lines = found_table.rows, found_table.lines
    if id_column is None:
        if len(table) != n_records:
            raise ValueError(
                f"{path} has {len(table)} rows for {n_records} records; without id_column there "
                "must be one row for each record, in order. Name the column with the molecules' ids"
            )
        found = [table[record - 1] for record in records]
        rows = [f"{path}, line {lines[record - 1]}" for record in records]
    else:
        by_id: dict[str, dict[str, str]] = {}
        line_of: dict[str, int] = {}
        for line, entry in zip(lines, table, strict=True):
            key = entry[id_column].strip()
            if key in by_id:
                raise ValueError(
                    f"{path}, line {line}: the id {key!r} occurs twice (before in line "
                    f"{line_of[key]}); keep one"
                )
            by_id[key], line_of[key] = entry, line
        if not any(name in by_id for name in names):
            raise ValueError(
                f"no molecule is named in column {id_column!r} of {path}; the molecules are "
                f"called {', '.join(repr(name) for name in names[:3])}, ..."
            )
        _warn_of_unnamed(path, id_column, by_id, names)
        found = [by_id.get(name, {}) for name in names]
        rows = [f"{path}, line {line_of.get(name)} (id {name})" for name in names]
    return _numbers([[entry.get(task) or "" for task in tasks] for entry in found], tasks, rows)


def _warn_of_unnamed(
    path: str | os.PathLike, id_column: str, by_id: Collection[str], names: Sequence[str]
) -> None:
    """Say which molecules the table does not name; leading zeros are lost in many programs."""
    unnamed = [name for name in names if name not in by_id]
    if unnamed:
        known = set(names)
        others = [key for key in by_id if key not in known]
        rest = f"; rows that name no molecule: {_some(others)}" if others else ""
        warn_caller(
            f"{path}: {len(unnamed)} of {len(names)} molecules are not named in the column "
            f"{id_column!r} and have no label: {_some(unnamed)}{rest}"
        )


def check_labels(
    y: np.ndarray, tasks: Sequence[str], rows: Sequence[str], allow_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Refuse labels that would ruin a training run.

    Parameters
    ----------
    y : ndarray (N, T) float64
        Labels; NaN where missing.
    tasks : sequence of str
        Name of each column.
    rows : sequence of str
        How error messages name each molecule.
    allow_missing : bool
        Give missing labels the value 0 and the weight 0 instead of refusing them.

    Returns
    -------
    y : ndarray (N, T) float64
        Labels without NaN.
    w : ndarray (N, T) float32
        1, or 0 where a label is missing.

    Raises
    ------
    ValueError
        If labels are NaN (unless allowed), infinite, above 1e8 in magnitude, or all the same; the
        message names the task and the rows.

    Warns
    -----
    UserWarning
        If a label lies a hundred times farther from the median than half of them do.
    """
    missing = np.isnan(y)
    for k, task in enumerate(tasks):
        values = y[:, k]
        known = values[~missing[:, k]]
        if missing[:, k].any() and not allow_missing:
            raise ValueError(
                f"label {task!r} is missing or NaN in {_listed(missing[:, k], rows)}; complete it, "
                "remove these molecules, or pass allow_missing=True (weight 0)"
            )
        if not len(known):
            raise ValueError(f"label {task!r} is missing in every molecule; remove the task")
        if np.isinf(known).any():
            raise ValueError(f"label {task!r} is infinite in {_listed(np.isinf(values), rows)}")
        huge = np.abs(values) > MAX_LABEL
        if huge.any():
            raise ValueError(
                f"label {task!r} is above {MAX_LABEL:g} in {_listed(huge, rows)}, where float32 "
                "loses it; correct the value or choose a larger unit"
            )
        if len(values) > 1 and (known == known[0]).all():
            raise ValueError(
                f"label {task!r} is {known[0]:g} in all of {_listed(~missing[:, k], rows)}: there "
                "is nothing to learn from it; remove the task"
            )
        _warn_of_outliers(task, values, rows)
    return np.where(missing, 0.0, y), (~missing).astype(np.float32)


def _numbers(texts: list[list[str]], tasks: Sequence[str], rows: Sequence[str]) -> np.ndarray:
    values = np.full((len(texts), len(tasks)), np.nan)
    for i, row in enumerate(texts):
        for k, text in enumerate(row):
            try:
                values[i, k] = np.nan if text.strip().lower() in _MISSING else number(text)
            except ValueError:
                remedy = "; write a decimal point" if "," in text else ""
                raise ValueError(
                    f"label {tasks[k]!r} is {text!r} in {rows[i]}, which is not a number{remedy}"
                ) from None
    return values


def _warn_of_outliers(task: str, values: np.ndarray, rows: Sequence[str]) -> None:
    known = values[np.isfinite(values)]
    if len(known) < _FEW:
        return
    distance = np.abs(values - np.median(known))
    typical = np.median(distance[np.isfinite(values)])
    far = distance > _FAR * typical
    if typical > 0 and far.any():
        first = int(np.flatnonzero(far)[0])
        warn_caller(
            f"label {task!r} lies far from the others in {_listed(far, rows)} (the first is "
            f"{values[first]:g}, the median {np.median(known):g}); training follows such values "
            "most of all: correct them, remove them if they stand for missing ones, or take the "
            "logarithm"
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED_ROWS} more" if len(names) > _LISTED_ROWS else ""
    return ", ".join(map(repr, names[:_LISTED_ROWS])) + more


def _listed(chosen: np.ndarray, rows: Sequence[str]) -> str:
    indices = np.flatnonzero(chosen)
    shown = ", ".join(rows[i] for i in indices[:_LISTED_ROWS])
    more = len(indices) - _LISTED_ROWS
    return shown + (f" and {more} more" if more > 0 else "")

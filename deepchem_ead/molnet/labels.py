"""Labels of a user's molecules: from tags or a CSV file, checked before anything trains on them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from deepchem_ead.chem.values import number
from deepchem_ead.molnet.tables import read_table

#: Above this magnitude float32 resolves no better than 8 units.
MAX_LABEL = 1e8
_LISTED_ROWS = 10


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
    table = read_table(path, wanted).rows
    if id_column is None:
        if len(table) != n_records:
            raise ValueError(
                f"{path} has {len(table)} rows for {n_records} records; without id_column there "
                "must be one row for each record, in order. Name the column with the molecules' ids"
            )
        found = [table[record - 1] for record in records]
        rows = [f"row {record}" for record in records]
    else:
        by_id: dict[str, dict[str, str]] = {}
        for row, entry in enumerate(table, start=1):
            key = (entry[id_column] or "").strip()
            if key in by_id:
                raise ValueError(f"{path}: the id {key!r} of row {row} occurs twice")
            by_id[key] = entry
        if not any(name in by_id for name in names):
            raise ValueError(
                f"no molecule is named in column {id_column!r} of {path}; the molecules are "
                f"called {', '.join(repr(name) for name in names[:3])}, ..."
            )
        found = [by_id.get(name, {}) for name in names]
        rows = [f"id {name}" for name in names]
    return _numbers([[entry.get(task) or "" for task in tasks] for entry in found], tasks, rows)


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
    return np.where(missing, 0.0, y), (~missing).astype(np.float32)


def _numbers(texts: list[list[str]], tasks: Sequence[str], rows: Sequence[str]) -> np.ndarray:
    values = np.full((len(texts), len(tasks)), np.nan)
    for i, row in enumerate(texts):
        for k, text in enumerate(row):
            try:
                values[i, k] = number(text) if text.strip() else np.nan
            except ValueError:
                remedy = "; write a decimal point" if "," in text else ""
                raise ValueError(
                    f"label {tasks[k]!r} is {text!r} in {rows[i]}, which is not a number{remedy}"
                ) from None
    return values


def _listed(chosen: np.ndarray, rows: Sequence[str]) -> str:
    indices = np.flatnonzero(chosen)
    shown = ", ".join(rows[i] for i in indices[:_LISTED_ROWS])
    more = len(indices) - _LISTED_ROWS
    return shown + (f" and {more} more" if more > 0 else "")

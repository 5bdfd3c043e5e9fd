"""Predict the properties of the molecules in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.elements import parse_elements, symbol_of
from deepchem_ead.chem.files import file_format, scan_records
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.records import as_text, rounded
from deepchem_ead.chem.sdf import add_tags
from deepchem_ead.chem.text import open_lines
from deepchem_ead.commands.jobs.outputs import new_file
from deepchem_ead.generation.condition_values import find_unit
from deepchem_ead.metrics.text_table import aligned
from deepchem_ead.models.predictors import StructurePredictor, as_predictor
from deepchem_ead.models.property_ensemble import PropertyEnsemble
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.molnet.qm9 import QM9_UNITS

if TYPE_CHECKING:
    import pandas as pd


def load_predictor(names: Sequence[str], **options) -> StructurePredictor:
    """One property model, or several as an ensemble, by folder or name."""
    models = [EGNNPropertyModel.from_pretrained(name, **options) for name in names]
    return as_predictor(models[0] if len(models) == 1 else PropertyEnsemble(models))


def predict_file(
    path: Path,
    predictor: StructurePredictor,
    units: Mapping[str, str] | None = None,
    properties: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Predictions for every record of a file of structures.

    Parameters
    ----------
    path : Path
    predictor : StructurePredictor
    units : mapping of str to str, optional
        Units to convert to; native ones by default.
    properties : sequence of str, optional
        Those of the predictor's to have; all by default.

    Returns
    -------
    pandas.DataFrame
        One row a record of the file, readable or not: ``record`` (from 1), ``id``, ``smiles``, for
        each task ``NAME_predicted``, ``NAME_uncertainty`` and ``NAME_unit`` (if it has one), and
        ``problem``: why there is no prediction, "" if there is one.

    Raises
    ------
    ValueError
        If a unit is unknown, or the file holds no molecule at all.
    """
    import pandas as pd

    written = {task: (QM9_UNITS.get(task, ""), 1.0) for task in predictor.tasks}
    for task in (*(properties or ()), *(units or {})):
        if task not in written:
            raise ValueError(f"the model predicts {', '.join(predictor.tasks)}, not {task!r}")
    for task, unit in (units or {}).items():
        written[task] = find_unit(task, unit)
    good, numbers, bad = scan_records(path, on_error="skip")
    if not good and not bad:
        raise ValueError(f"{path} holds no molecules")
    molecules = MoleculeBatch.from_records(good)
    mean, std = predictor.predict_with_uncertainty(molecules)
    problems = {record.number: record.reason for record in bad}
    for i in np.flatnonzero(np.isnan(mean).any(1)):
        problems[numbers[i]] = _why_not(predictor, *molecules.atoms(i))

    n = len(good) + len(bad)
    rows = np.array(numbers, dtype=np.int64) - 1
    names, smiles = [""] * n, [""] * n
    for row, record, text in zip(rows, good, molecules.smiles, strict=True):
        names[row], smiles[row] = record.name, text or ""
    columns: dict[str, object] = {"record": np.arange(1, n + 1), "id": names, "smiles": smiles}
    for task in properties or predictor.tasks:
        k = list(predictor.tasks).index(task)
        unit, factor = written[task]
        for word, values in (("predicted", mean), ("uncertainty", std)):
            column = np.full(n, np.nan)
            column[rows] = values[:, k] / factor
            columns[f"{task}_{word}"] = column
        if unit:
            columns[f"{task}_unit"] = unit
    columns["problem"] = [problems.get(number, "") for number in range(1, n + 1)]
    return pd.DataFrame(columns)


def _why_not(predictor: StructurePredictor, numbers: np.ndarray, positions: np.ndarray) -> str:
    if not len(numbers):
        return "it has no atoms"
    if not np.isfinite(positions).all():
        return "a coordinate is not finite"
    unknown = sorted(set(numbers.tolist()) - set(parse_elements(predictor.model.elements)))
    if unknown:
        return f"the model does not know {', '.join(map(symbol_of, unknown))}"
    return f"the model does not know molecules of {len(numbers)} atoms"


def write_predictions(table: pd.DataFrame, source: Path, path: Path) -> None:
    """Write predictions as CSV, or as tags added to the records of the SDF file they are for.

    Records of the SDF file are kept as they are, those without a prediction, too.

    Raises
    ------
    ValueError
        For another kind of file, or SDF where the molecules came from another one.
    """
    if path.suffix.lower() == ".csv":
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        return
    tags = [
        {} if problem else {name: as_text(rounded(value)) for name, value in row.items()}
        for problem, row in zip(
            table["problem"],
            table.drop(columns=["record", "id", "smiles", "problem"]).to_dict("records"),
            strict=True,
        )
    ]
    with (
        open_lines(source, exact=True) as lines,
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as out,
    ):
        out.writelines(add_tags(lines, tags))


def check_design_file(path: Path) -> None:
    """Refuse, before anything is computed, a file that cannot be written."""
    if path.suffix.lower() != ".csv" and not path.is_dir():
        file_format(path)
    new_file(path)


def check_prediction_file(source: Path, path: Path) -> None:
    """Refuse, before anything is computed, a file that cannot be written."""
    if path.suffix.lower() not in (".csv", ".sdf") and not path.is_dir():
        raise ValueError(f"{path}: predictions are written to .csv, or .sdf")
    if path.suffix.lower() == ".sdf" and file_format(source) != "sdf":
        raise ValueError(f"{path}: only the records of an SDF file can be copied to one; use .csv")
    new_file(path)


def predictions_text(table: pd.DataFrame, tasks_: Sequence[str], n: int = 20) -> str:
    """The first rows of a table of predictions as text: value +- one standard deviation."""
    head = ["", *(_heading(table, task) for task in tasks_)]
    body = []
    for _, row in table.head(n).iterrows():
        label = row["id"] or row["smiles"] or f"record {row['record']}"
        cells = [_shown(row[f"{t}_predicted"], row[f"{t}_uncertainty"]) for t in tasks_]
        body.append([label, *cells])
    lines = aligned(head, body).splitlines()
    for i, problem in enumerate(table["problem"].head(n), start=len(lines) - len(body)):
        lines[i] += f"  {problem}" if problem else ""
    text = "\n".join(lines)
    more = len(table) - n
    return text + (
        f"\n... and {more:,} more; --out FILE.csv writes all of them" if more > 0 else ""
    )


def _heading(table: pd.DataFrame, task: str) -> str:
    unit = f"{task}_unit"
    return f"{task}/{table[unit].iloc[0]}" if unit in table else task


def _shown(value: float, std: float) -> str:
    """A value with as many digits as its standard deviation means."""
    if not np.isfinite(value):
        return "-"
    digits = int(np.clip(1 - np.floor(np.log10(std)), 0, 6)) if std > 0 else 4
    return f"{value:.{digits}f} +- {std:.{digits}f}"

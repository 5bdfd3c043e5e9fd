"""The report as one HTML page."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.molecules import MoleculeBatch

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Shown(Protocol):
    """The reading half of `deepchem_ead.judging.report.Report`, described there."""

    @property
    def per_molecule(self) -> pd.DataFrame: ...
    @property
    def summary(self) -> pd.DataFrame: ...
    @property
    def info(self) -> dict[str, Any]: ...
    @property
    def failures(self) -> dict[str, int]: ...
    @property
    def molecules(self) -> MoleculeBatch: ...
    @property
    def rows_read(self) -> np.ndarray: ...
    def __len__(self) -> int: ...


def write_page(report: Shown, path: str | os.PathLike) -> Path:
    """Write a report as a page; the file appears complete or not at all."""
    path = Path(path)
    body = [
        "<!DOCTYPE html><meta charset='utf-8'><title>Report</title>",
        f"<h1>{html.escape(repr(report))}</h1>",
        report.summary.to_html(float_format="%.4g"),
        "<h2>Failures</h2><ul>",
        *(f"<li>{html.escape(name)}: {count}</li>" for name, count in report.failures.items()),
        "</ul>",
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(body), encoding="utf-8")
    return path

"""The result of an evaluation and its table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.metrics.text_table import aligned

if TYPE_CHECKING:
    import pandas as pd

#: field -> column heading of :meth:`MetricsReport.table`.
COLUMNS: dict[str, str] = {
    "atom_stability": "atom sta",
    "molecule_stability": "mol sta",
    "validity": "valid",
    "uniqueness": "unique",
    "valid_unique": "V*U",
    "novelty": "novel",
    "connected": "connected",
}


@dataclass(frozen=True)
class MetricsReport:
    """Metrics of a set of generated molecules, as fractions.

    Attributes
    ----------
    atom_stability : float
        Share of all atoms, pooled over molecules, with an allowed valence.
    molecule_stability : float
        Share of molecules all of whose atoms are stable.
    validity : float
        Valid molecules over all molecules.
    uniqueness : float
        Distinct SMILES over valid molecules; 0 if none is valid.
    valid_unique : float
        Distinct SMILES over all molecules.
    novelty : float or None
        Share of the distinct SMILES that the reference lacks; None without a reference.
    connected : float
        Share of molecules whose bond graph is one fragment.
    n_molecules : int
    per_molecule : pandas.DataFrame
        One row a molecule: stable, n_stable, n_atoms, smiles (largest fragment, explicit [H]; None
        where invalid), valid, n_fragments, connected.
    protocol, vocabulary : str
    n_reference : int or None
        Number of distinct reference SMILES.
    """

    atom_stability: float
    molecule_stability: float
    validity: float
    uniqueness: float
    valid_unique: float
    novelty: float | None
    connected: float
    n_molecules: int
    per_molecule: pd.DataFrame = field(repr=False, compare=False)
    protocol: str = "edm"
    vocabulary: str = "qm9"
    n_reference: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the per-molecule rows, JSON-ready."""
        names = [*COLUMNS, "n_molecules", "protocol", "vocabulary", "n_reference"]
        return {name: getattr(self, name) for name in names}

    def deviations(self, n_parts: int = 5) -> dict[str, float]:
        """Standard deviations of shares over consecutive parts of equal size.

        Parameters
        ----------
        n_parts : int
            What does not fill the last part is left out.

        Returns
        -------
        dict of str to float
            Of atom_stability, molecule_stability, validity and connected.

        Raises
        ------
        ValueError
            If there are fewer molecules than parts.
        """
        size = self.n_molecules // n_parts
        if n_parts < 2 or size < 1:
            raise ValueError(f"{n_parts} parts of {self.n_molecules} molecules: none, or too small")
        rows = self.per_molecule.iloc[: n_parts * size]
        parts = rows.groupby(np.arange(len(rows)) // size)
        shares = {
            "atom_stability": parts["n_stable"].sum() / parts["n_atoms"].sum(),
            "molecule_stability": parts["stable"].mean(),
            "validity": parts["valid"].mean(),
            "connected": parts["connected"].mean(),
        }
        return {name: float(values.std(ddof=0)) for name, values in shares.items()}

    def table(self, others: Mapping[str, Any] | Iterable[Any] = (), name: str = "generated") -> str:
        """Aligned text table in percent, this report first.

        Parameters
        ----------
        others : mapping or iterable
            Rows to stand beside it: ``{label: row}``, or rows with a ``label`` of their own (see
            :mod:`deepchem_ead.metrics.reference_rows`). A row is another report or anything with
            some of its fields, as attributes or keys; what is missing shows as ``-``.
        name : str
            Label of this report's row.

        Returns
        -------
        str

        Raises
        ------
        TypeError
            A row without a label.
        """
        return format_table([(f"{name} (n={self.n_molecules:,})", self), *_labelled(others)])

    def __str__(self) -> str:
        return self.table()


def _labelled(rows: Mapping[str, Any] | Iterable[Any]) -> list[tuple[str, Any]]:
    if isinstance(rows, Mapping):
        return list(rows.items())
    labelled = []
    for row in rows:
        label = _get(row, "label")
        if label is None:
            raise TypeError(f"{type(row).__name__} has no label; pass rows as {{label: row}}")
        labelled.append((label, row))
    return labelled


def _get(row: Any, key: str) -> Any:
    return row.get(key) if isinstance(row, Mapping) else getattr(row, key, None)


def _percent(value: Any) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.2f}"


def format_table(rows: Iterable[tuple[str, Any]]) -> str:
    """Text table of labelled rows (see :meth:`MetricsReport.table`), fractions shown in percent."""
    head = ["%", *COLUMNS.values()]
    body = [[label, *(_percent(_get(row, key)) for key in COLUMNS)] for label, row in rows]
    return aligned(head, body)

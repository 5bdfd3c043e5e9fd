"""Published results, and the data's own, to stand beside a report.

Published rows are what the papers print; measured rows are EDM's protocol run on the data itself.
Fractions, not percent.
"""

from __future__ import annotations

from dataclasses import dataclass

_EAD = "EAD, arXiv:2603.10093"
_EDM = "EDM, Hoogeboom et al., arXiv:2203.17003"


@dataclass(frozen=True)
class ReferenceRow:
    """One row of results; fields that were not given are None.

    Attributes
    ----------
    name : str
        Model or data set.
    kind : {"published", "measured"}
    source : str
        Paper, or how it was measured.
    atom_stability, molecule_stability, validity, uniqueness, valid_unique : float or None
    evaluations : str
        Network evaluations a molecule, as stated there.
    """

    name: str
    kind: str
    source: str
    atom_stability: float | None = None
    molecule_stability: float | None = None
    validity: float | None = None
    uniqueness: float | None = None
    valid_unique: float | None = None
    evaluations: str = ""

    @property
    def label(self) -> str:
        """Row label for :meth:`deepchem_ead.metrics.MetricsReport.table`."""
        steps = f", {self.evaluations} evals" if self.evaluations else ""
        return f"{self.name} ({self.kind}{steps})"


def _published(name, atom, molecule, valid, valid_unique, evaluations="", source=_EAD):
    values = [None if v is None else round(v / 100, 6) for v in (atom, molecule, valid)]
    both = None if valid_unique is None else round(valid_unique / 100, 6)
    unique = both / values[2] if both is not None and values[2] else None
    return ReferenceRow(name, "published", source, *values, unique, both, evaluations)


def _measured(name, atom, molecule, valid, valid_unique, protocol="EDM's"):
    values = [round(v / 100, 6) for v in (atom, molecule, valid, valid_unique)]
    source = f"{protocol} protocol on the coordinates of the 130,831 characterised molecules"
    return ReferenceRow(name, "measured", source, *values[:3], values[3] / values[2], values[3])


#: The ceiling: QM9's own molecules, by EDM's protocol.
QM9_ROW = _measured("QM9 itself", 99.36, 95.28, 97.68, 97.62)

#: The same by the strict protocol; only to stand beside strict reports.
QM9_STRICT_ROW = _measured("QM9 itself, strict", 99.95, 99.53, 99.53, 99.41, "the strict")

QM9_ROWS: tuple[ReferenceRow, ...] = (
    QM9_ROW,
    _measured("QM9 train", 99.36, 95.29, 97.67, 97.63),
    _measured("QM9 test", 99.34, 95.22, 97.74, 97.74),
    _published("EDM", 98.7, 82.0, 91.9, 90.7, "1000", _EDM),
    _published("GeoLDM", 98.9, 89.4, 93.8, 92.7, "1000"),
    _published("UniGEM", 99.0, 89.8, 95.0, 93.2),
    _published("EAD adaptive", 99.0, 90.3, 95.1, 93.2, "~1050"),
    _published("EAD synchronous", 98.7, 81.9, 91.9, 90.2, "1000"),
    _published("EAD manual staircase", 90.5, 64.0, 87.2, 81.7),
    _published("GeoBFN", None, 85.11, None, None, "50", "GeoBFN's paper"),
    _published("GeoBFN", None, 87.21, None, None, "100", "GeoBFN's paper"),
    _published("GeoBFN", 99.08, 90.87, 95.31, 92.96, "1000", "GeoBFN's paper"),
    _published("GeoBFN", 99.31, 93.32, 96.88, 92.41, "2000", "GeoBFN's paper"),
    _published("MolFLAE", 99.4, 92.0, 96.8, None, "100", "MolFLAE's paper"),
)

GEOM_ROWS: tuple[ReferenceRow, ...] = (
    _published("GEOM-Drugs itself", 86.5, None, 99.9, None),
    _published("EDM", 81.3, None, 92.6, None, "1000", _EDM),
    _published("GeoLDM", 84.4, None, 99.3, None),
    _published("UniGEM", 85.1, None, 98.4, None),
    _published("EAD", 86.3, None, 99.1, None),
)

#: Rows by vocabulary.
REFERENCE_ROWS: dict[str, tuple[ReferenceRow, ...]] = {"qm9": QM9_ROWS, "geom": GEOM_ROWS}

"""Metrics of generated molecules, a file each (numpy, RDKit and, for strict charges, scipy)."""

from deepchem_ead.metrics.conditional import evaluate_conditional
from deepchem_ead.metrics.conditional_report import ConditionalReport
from deepchem_ead.metrics.conditional_rows import CONDITIONAL_ROWS, ConditionalRow
from deepchem_ead.metrics.conformers import ConformersReport, evaluate_conformers
from deepchem_ead.metrics.evaluate import (
    atom_stability,
    connected,
    evaluate_molecules,
    molecule_stability,
    novelty,
    uniqueness,
    valid_unique,
    validity,
)
from deepchem_ead.metrics.generative import GenerativeMetric
from deepchem_ead.metrics.metric import METRICS, Metric, Views
from deepchem_ead.metrics.reference import reference_smiles
from deepchem_ead.metrics.reference_rows import (
    GEOM_ROWS,
    QM9_ROW,
    QM9_ROWS,
    QM9_STRICT_ROW,
    REFERENCE_ROWS,
    ReferenceRow,
)
from deepchem_ead.metrics.report import MetricsReport, format_table

__all__ = [
    "CONDITIONAL_ROWS",
    "GEOM_ROWS",
    "METRICS",
    "QM9_ROW",
    "QM9_ROWS",
    "QM9_STRICT_ROW",
    "REFERENCE_ROWS",
    "ConditionalReport",
    "ConditionalRow",
    "ConformersReport",
    "GenerativeMetric",
    "Metric",
    "MetricsReport",
    "ReferenceRow",
    "Views",
    "atom_stability",
    "connected",
    "evaluate_conditional",
    "evaluate_conformers",
    "evaluate_molecules",
    "format_table",
    "molecule_stability",
    "novelty",
    "reference_smiles",
    "uniqueness",
    "valid_unique",
    "validity",
]

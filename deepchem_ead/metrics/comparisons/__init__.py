"""Comparisons of molecules with known ones, a file each, registered by name."""

from deepchem_ead.metrics.comparisons import copies, drug_rings, foreign, neighbours, novel
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison, Comparison

__all__ = [
    "COMPARISONS",
    "BaseComparison",
    "Comparison",
    "copies",
    "drug_rings",
    "foreign",
    "neighbours",
    "novel",
]

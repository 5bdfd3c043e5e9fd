"""Comparisons of molecules with those of a reference, a file each, registered by name."""

from deepchem_ead.metrics.comparisons import copies, foreign, neighbours, novel
from deepchem_ead.metrics.comparisons.comparison import COMPARISONS, BaseComparison, Comparison

__all__ = [
    "COMPARISONS",
    "BaseComparison",
    "Comparison",
    "copies",
    "foreign",
    "neighbours",
    "novel",
]

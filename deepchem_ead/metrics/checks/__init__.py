"""Checks of single molecules, a file each, registered by name."""

from deepchem_ead.metrics.checks import (
    connected,
    edm,
    strict,
    structure,
)
from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Check, Column, Outcome, judged

__all__ = [
    "CHECKS",
    "BaseCheck",
    "Check",
    "Column",
    "Outcome",
    "connected",
    "edm",
    "judged",
    "strict",
    "structure",
]

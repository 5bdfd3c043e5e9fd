"""Reports on sets of molecules: suites run in guarded processes, beside held-out molecules."""

from deepchem_ead.judging.judge import judge
from deepchem_ead.judging.report import Report

__all__ = ["Report", "judge"]

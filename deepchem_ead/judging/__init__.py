"""Reports on sets of molecules: suites run in guarded processes, beside held-out molecules."""

from deepchem_ead.judging.report import Report
from deepchem_ead.judging.run import judge

__all__ = ["Report", "judge"]

"""Reports on sets of molecules: suites run in guarded processes, beside held-out molecules."""

from deepchem_ead.judging.beside import SideBySide, side_by_side
from deepchem_ead.judging.conformers import ConformersJudged, judge_conformers
from deepchem_ead.judging.report import Report
from deepchem_ead.judging.run import judge

__all__ = [
    "ConformersJudged",
    "Report",
    "SideBySide",
    "judge",
    "judge_conformers",
    "side_by_side",
]

"""Judgements as one HTML page without network: numbers, distributions, molecules that turn."""

from deepchem_ead.viz.report.page import write_report
from deepchem_ead.viz.report.readings import figure, readings
from deepchem_ead.viz.report.shown import Tested

__all__ = ["Tested", "figure", "readings", "write_report"]

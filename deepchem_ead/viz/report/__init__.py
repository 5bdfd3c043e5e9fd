"""Judgements as one HTML page without network: numbers, distributions, molecules that turn."""

from deepchem_ead.viz.report.page import write_report

__all__ = ["write_report"]

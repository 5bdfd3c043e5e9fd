"""Suites of checks and numbers, a YAML file each."""

from deepchem_ead.metrics.suites.suite import Suite, load_suite, suite_names

__all__ = ["Suite", "load_suite", "suite_names"]

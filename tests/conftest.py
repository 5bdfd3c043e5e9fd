"""What all tests share."""

from __future__ import annotations

import os
import sys

# Before DeepChem is imported anywhere: caches of tests stay out of the user's folders, processes of
# the suite do not fight over threads, and Triton interprets, whatever imports it.
os.environ.setdefault("TRITON_INTERPRET", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # what the process that started them set is inherited

import numpy as np
import pytest

import deepchem_ead  # noqa: F401  (registers the names under deepchem and keeps it quiet)

# Collected only where a GPU is pretended from the start; see test_pretended_gpu.py.
if "pretend_gpu" not in sys.modules:
    collect_ignore = ["pretend_gpu.py", "gpu_cases.py", "gpu_compile_cases.py"]


@pytest.fixture(scope="session")
def qm9_sample():
    """Training part of the shipped sample: real QM9 molecules as a DeepChem dataset."""
    import deepchem as dc

    from deepchem_ead.molnet.sample import load_sample

    table, _ = load_sample()
    X = table.to_padded(29)
    return dc.data.NumpyDataset(X, np.zeros((len(X), 1)), np.ones((len(X), 1)), table.smiles)

"""Everything that a GPU would do, without one: see pretend_gpu.py for what that shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).parents[1]


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has real GPUs")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
@pytest.mark.parametrize("cases, interpret", [("gpu_cases", "1"), ("gpu_compile_cases", "0")])
def test_on_a_pretended_gpu(cases, interpret, which, tmp_path):
    environment = os.environ | {
        "DEEPCHEM_EAD_NATIVE": "0",
        "TRITON_INTERPRET": interpret,
        "TRITON_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",  # tensors are tiny
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pretend_gpu", "-m", which]
    done = subprocess.run(
        [*command, TESTS / f"{cases}.py"],
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""A run that changes machines: tests/data/elsewhere was begun on an ARM processor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.machines import compare, go_on, read_steps

ELSEWHERE = Path(__file__).parents[1] / "data" / "elsewhere"

#: How the run there was made: `python -m benchmarks.machines FOLDER --steps 6 --set ...`, twice,
#: with PyTorch 2.8 and its own operations. What is kept is the first checkpoint and all losses.
OPTIONS = {
    "preset": "qm9",
    "n_layers": 1,
    "n_features": 32,
    "n_heads": 4,
    "warmup_steps": 5,
    "batch_size": 8,
    "learning_rate": 2e-3,
}


@pytest.fixture
def relay(tmp_path):
    shutil.copytree(ELSEWHERE, tmp_path / "relay")
    (tmp_path / "relay" / "steps.csv").unlink()
    return tmp_path / "relay"


def test_a_run_begun_on_another_machine_goes_on_as_it_would_have_there(relay):
    go_on(relay, 6, OPTIONS)
    there = read_steps(ELSEWHERE)[6:]
    here = read_steps(relay)
    assert [row["step"] for row in here] == ["7", "8", "9", "10", "11", "12"]
    assert "aarch64" in there[0]["machine"]
    for one, other in zip(here, there, strict=True):
        assert one["first molecule"] == other["first molecule"]
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-6)


def test_runs_are_compared(tmp_path):
    """The same run in one and in two calls, and one that is another."""
    for name, calls, changes in (("one", 1, {}), ("two", 2, {}), ("other", 1, {"seed": 1})):
        for _ in range(calls):
            go_on(tmp_path / name, 4 // calls, OPTIONS | changes)
    same = compare(tmp_path / "two", tmp_path / "one")
    assert "4 steps" in same and "the same batches" in same
    assert "losses within 0.0e+00" in same and "weights 0.0e+00" in same
    assert "OTHER batches" in compare(tmp_path / "other", tmp_path / "one")

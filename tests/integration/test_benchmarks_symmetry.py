"""The benchmarks of rotations: exact moments, and trainings side by side that go on."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import pytest
import torch

from benchmarks import quotient_moments, symmetry
from deepchem_ead import EADModel


def test_moments_are_those_that_are_predicted(tmp_path):
    runs = {run[0]: run for run in quotient_moments.RUNS}
    for title in ("quotient (B3)", "B2 without curvature"):
        value, error = quotient_moments.ratio(runs[title], 4, n=100, steps=30)
        assert value == pytest.approx(runs[title][3](4), abs=3 * error + 0.1)
    trace = quotient_moments.chains(0, n=100, steps=3)
    assert len(trace) == 4 and float(trace[0]) == pytest.approx(9, abs=2)


@pytest.mark.slow
def test_trainings_go_on_and_are_measured_once(tmp_path, monkeypatch, capsys):
    tiny = ["--set", "n_layers=1", "n_features=32", "n_heads=4", "--data", "qm9-sample"]
    common = ["--out", str(tmp_path), "--seeds", "0", "--symmetries", "none", "averaged", *tiny]

    def told(*arguments):
        monkeypatch.setattr(sys, "argv", ["symmetry", *common, *arguments])
        symmetry.main()
        return capsys.readouterr().out

    told("--hours", "0.0003", "--turn", "0.01")
    record = tmp_path / "free-averaged-0" / "spent.json"
    first = json.loads(record.read_text())
    assert "free-averaged-0" not in told("--hours", "0.0003")  # it has had its time
    told("--hours", "0.0006", "--turn", "0.01", "--tasks", "free")
    assert json.loads(record.read_text())["steps"] > first["steps"]
    report = told("--report", "--n", "2")
    assert all(
        f"{task}, {name}" in report for task in symmetry.PRESETS for name in symmetry.STEPPERS
    )
    assert told("--report", "--n", "2") == report


@pytest.mark.parametrize("task", symmetry.STARTED)
def test_trainings_begin_from_weights(task, tmp_path):
    tiny = {"n_layers": 1, "n_features": 32, "n_heads": 4}
    start = EADModel("qm9-joint", **tiny)
    start.save_pretrained(tmp_path / "start")
    told = Namespace(out=tmp_path, start=str(tmp_path / "start"), options=tiny)
    model = symmetry.Run(task, "quotient", 0).training(told).model()
    assert model.config.symmetry == "quotient" and model.config.tasks == task
    known = start.model.denoiser.state_dict()
    found = model.model.denoiser.state_dict()
    # Saved weights are of half precision.
    assert all(torch.allclose(found[name], known[name], atol=2e-3) for name in known)

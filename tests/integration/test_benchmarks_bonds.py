"""The benchmark of bonds with noise and without: its judgement, and trainings that go on."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import bonds
from deepchem_ead import MoleculeBatch


def test_molecules_are_judged_by_their_own_bonds():
    """Methane, methane without a bond, two of them, and one whose bonds are not known."""
    x = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.63
    ch4, four = [6, 1, 1, 1, 1], [[0, k, 1] for k in (1, 2, 3, 4)]
    other = [[5, 5 + k, 1] for k in (1, 2, 3, 4)]
    batch = MoleculeBatch.from_arrays(
        [ch4, ch4, ch4 * 2, ch4], [x, x, np.concatenate([x, x + 9]), x],
        bonds=[four, four[:3], four + other, None], info={"sampled": True},
    )  # fmt: skip
    found = bonds.judged_by_own_bonds(batch)
    assert found[0] == (True, True, True) and found[2] == (True, True, False)
    assert not found[1][0] and not found[1][2] and found[3] == (False, False, False)


@pytest.mark.slow
def test_trainings_go_on_and_are_measured_once(tmp_path, monkeypatch, capsys):
    tiny = ["--set", "n_layers=1", "n_features=32", "n_heads=4", "--data", "qm9-sample"]
    common = ["--out", str(tmp_path), "--seeds", "0", "--n", "3", *tiny]

    def told(*arguments):
        monkeypatch.setattr(sys, "argv", ["bonds", *common, *arguments])
        bonds.main()
        return capsys.readouterr().out

    told("--hours", "0.0003", "--turn", "0.01")
    record = tmp_path / "diffused-0" / "spent.json"
    first = json.loads(record.read_text())
    assert "diffused-0" not in told("--hours", "0.0003")  # it has had its time
    told("--hours", "0.0006", "--turn", "0.01", "--candidates", "diffused")
    assert json.loads(record.read_text())["steps"] > first["steps"]
    report = told("--report")
    assert report.count("| told (1 seeds") == report.count("| diffused (1 seeds") == 3
    assert told("--report") == report

"""The benchmark of direct denoising measures what it says, of models that know nothing."""

from __future__ import annotations

import numpy as np
import pytest
from deepchem.data import NumpyDataset

from benchmarks.direct import EVALUATIONS, PRESETS, main, measure, references, rows_of, table
from deepchem_ead import EADModel, load_qm9_3d

TINY = {"n_layers": 1, "n_features": 32, "n_heads": 2}


@pytest.fixture(scope="module")
def molecules():
    _, (_, _, test), _ = load_qm9_3d(source="sample", bonds=True)
    return references(test.X, 3)


@pytest.mark.parametrize("objective", PRESETS)
def test_a_row_asks_the_network_as_often_as_it_says(objective, molecules):
    rows = list(rows_of(objective))
    assert {row.evaluations for row in rows} == set(EVALUATIONS) and len(set(rows)) == len(rows)
    model, found = EADModel(PRESETS[objective], **TINY), []
    for row in rows:
        if row.evaluations == 10:
            found.append({"seed": 0} | measure(model, row, *molecules))
            assert found[-1]["calls"] == 10 + 1
            assert np.isfinite([v for v in found[-1].values() if isinstance(v, float)]).all()
    assert len(table(found).splitlines()) == 2 + len(found) > 3


def test_what_is_there_is_not_made_again(tmp_path, monkeypatch, molecules, capsys):
    for name in ("EVALUATIONS", "SEGMENTS"):
        monkeypatch.setattr(f"benchmarks.direct.{name}", (1,))
    monkeypatch.setattr("benchmarks.direct.PRESETS", {"direct": PRESETS["direct"]})
    data = NumpyDataset(molecules[0].to_padded(29, with_formal_charges=True, with_bonds=True))
    monkeypatch.setattr("benchmarks.direct.load_qm9_3d", lambda **_: ([], (data, data, data), []))
    options = ["--out", str(tmp_path), "--minutes", "0.001", "--molecules", "2"]
    settings = [f"{name}={value}" for name, value in TINY.items()]
    main([*options, "--set", *settings])
    files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("direct-0/*")}
    first = (tmp_path / "rows.jsonl").read_text()
    assert first.count("\n") == 1 and files
    capsys.readouterr()
    main([*options, "--set", *settings])
    assert (tmp_path / "rows.jsonl").read_text() == first
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("direct-0/*")} == files
    assert (tmp_path / "direct.md").read_text() in capsys.readouterr().out

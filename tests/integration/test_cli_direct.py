"""Direct denoising at the command line."""

from __future__ import annotations

import pytest
from cli_data import assert_one_line

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.conformers.configuration import Configuration

pytestmark = pytest.mark.usefixtures("data_folder")
TINY = {"n_layers": 1, "n_features": 32, "n_heads": 2}


@pytest.mark.parametrize("objective", ["direct", "noise"])
def test_passes_are_asked_for_and_only_of_models_that_make_them(
    objective, deepchem_ead, tmp_path, monkeypatch
):
    preset = "conformers-qm9" + "-direct" * (objective == "direct")
    EADModel(preset, model_dir=str(tmp_path / "run"), **TINY).save_pretrained(tmp_path / "model")
    monkeypatch.setattr(Configuration, "righted", lambda self, positions, check: (positions, None))
    words = ["conformers", "CCO", "-m", tmp_path / "model", "--n", 2, "--prune", 0, "--steps", 1]
    passes = [5, 5, 20]
    found = []
    for k, n in enumerate(passes):
        out = tmp_path / f"{k}.sdf"
        result = deepchem_ead(*words, "--stepper", f"direct:passes={n}", "--out", out)
        if objective == "noise":
            assert_one_line(result, "objective='direct', and this one was trained with")
            assert not out.exists()
            return
        assert result.code == 0, result.err
        found.append(MoleculeBatch.read(out).coordinates)
    assert (found[0] == found[1]).all() and found[0].shape == found[2].shape == (18, 3)

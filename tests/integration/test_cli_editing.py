"""Commands of models that know bonds: training, edit, vary, conformers."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from cli_data import assert_one_line
from typer.testing import CliRunner

from deepchem_ead import EADModel, cli
from deepchem_ead.molnet import DATASETS

pytestmark = pytest.mark.usefixtures("data_folder")

SET_JOINT = [
    word
    for setting in ("n_layers=1", "n_features=32", "n_heads=4", "batch_size=16")
    for word in ("--set", setting)
] + ["--preset", "qm9-joint"]


@pytest.fixture(scope="module")
def joint_run(tmp_path_factory):
    """A run of a second that knows bonds, on molecules some of which are charged."""
    folder = tmp_path_factory.mktemp("joint")
    (folder / "mine.smi").write_text("C[N+](=O)[O-]\nC[NH3+]\nCC(=O)[O-]\nCC\nCO\nc1cc[o+]cc1\n")
    words = ["train", folder / "mine.smi", "--out", folder / "run", "--epochs", "1", *SET_JOINT]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of charges that are lost, for one
        result = CliRunner().invoke(cli.app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return folder / "run"


def test_a_model_with_bonds_trains_on_files_and_learns_their_charged_kinds(joint_run):
    config = EADModel.from_pretrained(joint_run / "model").config
    assert config.bonds and config.charged_kinds == "N+,O-,C-,N-,O+"


def test_charged_kinds_that_were_asked_for_are_kept(deepchem_ead, tmp_path):
    (tmp_path / "mine.smi").write_text("C[N+](=O)[O-]\nC\n")
    words = ["train", tmp_path / "mine.smi", "--out", tmp_path / "run", *SET_JOINT]
    result = deepchem_ead(*words, "--set", "charged_kinds=N+")
    assert_one_line(result, "charged_kinds=N+ leaves out O-, which the data holds")


def test_a_data_set_without_bonds_is_refused(deepchem_ead, tmp_path, monkeypatch):
    bare = replace(DATASETS["qm9-sample"], name="bare", load_with_bonds=None)
    monkeypatch.setitem(DATASETS._parts, "bare", bare)
    result = deepchem_ead("train", "bare", "--out", tmp_path / "run", *SET_JOINT)
    assert_one_line(result, "bare comes without bonds", "SDF", "bonds=false")

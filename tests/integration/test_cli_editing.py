"""Commands of models that know bonds: training, edit, vary, conformers."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from cli_data import assert_one_line
from rdkit import Chem
from rdkit.Chem import AllChem
from typer.testing import CliRunner

from deepchem_ead import EADModel, MoleculeBatch, cli
from deepchem_ead.conformers.configuration import Configuration
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


# ------------------------------------------------------------------------- edit, vary, conformers


@pytest.fixture(scope="module")
def ethanol(tmp_path_factory):
    path = tmp_path_factory.mktemp("mol") / "ethanol.sdf"
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    MoleculeBatch.from_rdkit([mol]).to_sdf(path)
    return path


QUICK = ["--steps", 2, "--n", 3]


def test_edit_writes_molecules_around_the_kept_atoms(deepchem_ead, joint_run, ethanol, tmp_path):
    out = tmp_path / "new.sdf"
    words = ["edit", ethanol, "-m", joint_run / "model", "--keep", "0-1", "--grow", "2-4", *QUICK]
    result = deepchem_ead(*words, "--out", out)
    assert result.code == 0, result.err
    assert "3 molecules in" in result.out and "first 7 atoms of each are the kept" in result.out
    found, source = MoleculeBatch.read(out), MoleculeBatch.read(ethanol)
    assert found.ids == [f"run-0-{i:06}" for i in range(3)]
    assert '"kept": 7' in out.read_text() and '"seed": 0' in out.read_text()
    assert np.allclose(found.positions[2][:2], source.positions[0][:2], atol=1e-3)
    assert_one_line(deepchem_ead(*words, "--out", out), "exists; remove it")
    out.unlink()
    words = [{"--grow": "--n-atoms", "2-4": 10}.get(word, word) for word in words]
    assert deepchem_ead(*words, "--out", out).code == 0
    assert MoleculeBatch.read(out).counts.tolist() == [10] * 3


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--keep", "c1ccccc1"], ["matches nothing in CCO"]),
        ([], ["nothing would change", "--attach"]),
        (["--keep", "0,x-1"], ["SMARTS"]),
        (["--keep", "1-"], ["write atom numbers"]),
        (["--attach", "C"], ["write atom numbers"]),
        (["--keep", "0", "--grow", "few"], ["--grow few", "4-10"]),
        (["--keep", "0", "--n-atoms", 3], ["to have 3 atoms, but 4 are given"]),
        (["--keep", "0", "--n-atoms", 9, "--grow", 2], ["grow and n_atoms both say"]),
        (["--keep", "0", "-m", "qm9-1"], ["have not learned to build", "take 'qm9'"]),
        (["--keep", "0", "-c", "gap=5eV"], ["knows no condition 'gap'", "--guide qm9-guide"]),
        (["--keep", "0", "-c", "gap=5eV", "--guide", "x"], ["no model 'x'", "radius-of-gyration"]),
    ],
)
def test_edit_refuses_in_one_line(words, parts, deepchem_ead, joint_run, ethanol, tmp_path):
    out = tmp_path / "new.sdf"
    result = deepchem_ead("edit", ethanol, "-m", joint_run / "model", *words, *QUICK, "-o", out)
    assert_one_line(result, *parts)
    assert not out.exists()


def test_a_bad_record_is_told_without_an_option_that_is_not_there(deepchem_ead, tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_text("1\n\nO 0 zero 0\n")
    for words in (["edit", path, "--keep", "0"], ["vary", path],
                  ["design", "-c", "gap=5eV", "--molecules", path]):  # fmt: skip
        result = deepchem_ead(*words, "--out", tmp_path / "new.sdf")
        assert_one_line(result, "record 1")
        assert "skip" not in result.err


def test_edit_is_steered_by_a_guide(deepchem_ead, joint_run, ethanol, tmp_path):
    words = ["edit", ethanol, "-m", joint_run / "model", "--keep", "0-1", "--grow", 3]
    words += ["--steps", 20, "--n", 2]  # a guide acts where there is little noise
    for name, more in (("free", []), ("steered", ["-c", "gap=5eV", "--guide", "qm9-guide"])):
        result = deepchem_ead(*words, *more, "--out", tmp_path / f"{name}.sdf")
        assert result.code == 0, result.err
    free, steered = (MoleculeBatch.read(tmp_path / f"{n}.sdf") for n in ("free", "steered"))
    assert np.array_equal(free.positions[0][:7], steered.positions[0][:7])
    assert not np.array_equal(free.coordinates, steered.coordinates)


def test_design_around_a_kept_part(deepchem_ead, joint_run, ethanol, tmp_path):
    """Whether one of these is any good does not matter here."""
    words = ["design", "-c", "gap=6eV", "-m", joint_run / "model", "--steps", 2, "--n", 3]
    words += ["--out", tmp_path / "best.sdf"]
    result = deepchem_ead(
        *words, "--start", ethanol, "--keep", "CO", "--grow", 3, "--guide", "none"
    )
    assert result.code in (0, 1) and "generated" in result.out, result.err
    wrong = deepchem_ead(*words, "--start", ethanol, "--keep", "S", "--guide", "none")
    assert_one_line(wrong, "matches nothing in CCO")
    assert_one_line(deepchem_ead(*words, "--keep", "CO"), "--start", "--top")
    assert_one_line(deepchem_ead(*words, "--grow", 3), "give it as start=")


def test_vary_takes_the_shipped_weights(deepchem_ead, ethanol, tmp_path):
    out = tmp_path / "near.sdf"
    result = deepchem_ead("vary", ethanol, "--level", 40, *QUICK, "--out", out)
    assert result.code == 0 and "3 molecules in" in result.out, result.err
    assert MoleculeBatch.read(out).smiles == ["CCO"] * 3
    asked = tmp_path / "asked.sdf"
    words = ["--condition", "gap=5eV", "--guide", "none", "--out", asked]
    result = deepchem_ead("vary", ethanol, "--level", 40, *QUICK, *words)
    assert result.code == 0, result.err
    near, other = MoleculeBatch.read(out).coordinates, MoleculeBatch.read(asked).coordinates
    assert not np.array_equal(near, other) and np.abs(near - other).max() < 0.5
    assert_one_line(
        deepchem_ead("vary", ethanol, "-c", "gap=wide", "--out", tmp_path / "no.sdf"), "gap='wide'"
    )


def test_conformers_are_named_or_refused(deepchem_ead, joint_run, tmp_path, monkeypatch):
    words = ["conformers", "CCO", "-m", joint_run / "model", *QUICK, "--tries", 1]
    result = deepchem_ead(*words, "--out", tmp_path / "none.sdf")
    assert result.code == 1 and not (tmp_path / "none.sdf").exists()
    assert "error: 'CCO': 0 of 3 conformers are right" in result.err and "apart (3)" in result.err
    monkeypatch.setattr(Configuration, "righted", lambda self, positions, check: (positions, None))
    result = deepchem_ead(*words, "--out", tmp_path / "c.sdf")
    assert result.code == 0 and "3 conformers of CCO in" in result.out, result.err
    assert len(MoleculeBatch.read(tmp_path / "c.sdf")) == 3

"""The command line: what it writes, what it says, and how it fails."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from chem_data import qm9
from cli_data import SET_TINY, TINY, assert_one_line
from rdkit import Chem
from rdkit.Chem import AllChem
from typer.testing import CliRunner

from deepchem_ead import EADModel, MoleculeBatch, choices, cli
from deepchem_ead.chem.files import MoleculeWriter
from deepchem_ead.commands.jobs import datasets, demo, molecule_file, runs
from deepchem_ead.generation import job as generation
from deepchem_ead.generator import pretrained
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.locks import hold
from deepchem_ead.sampling import REPEAT_RULES, SCHEDULES, STEPPERS
from deepchem_ead.training.curve import read_curve

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of a second on the sample that comes with the package."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    words = ["train", "qm9-sample", "--out", str(out), "--minutes", "0.02", *SET_TINY]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "1,539 molecules" in result.output
    return out


@pytest.fixture(scope="module")
def model_folder(run_folder):
    return str(run_folder / "model")


@pytest.fixture(scope="module")
def molecules_file(tmp_path_factory):
    """48 real molecules of QM9 as a file of the user's."""
    path = tmp_path_factory.mktemp("user") / "molecules.sdf"
    qm9()[0][:48].to_sdf(path)
    return str(path)


def embedded(*smiles: str) -> list[Chem.Mol]:
    mols = []
    for k, text in enumerate(smiles):
        mol = Chem.AddHs(Chem.MolFromSmiles(text))
        assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
        AllChem.MMFFOptimizeMolecule(mol)
        mol.SetProp("_Name", f"compound {k}")
        mols.append(mol)
    return mols


def write_sdf(path: Path, *smiles: str) -> Path:
    with Chem.SDWriter(str(path)) as writer:
        for mol in embedded(*smiles):
            writer.write(mol)
    return path


def write_extended_xyz(path: Path, *smiles: str) -> Path:
    text = ""
    for mol in embedded(*smiles):
        positions = mol.GetConformer().GetPositions()
        text += f'{mol.GetNumAtoms()}\nProperties=species:S:1:pos:R:3 energy=-1.5 pbc="F F F"\n'
        for atom, (x, y, z) in zip(mol.GetAtoms(), positions, strict=True):
            text += f"{atom.GetSymbol()} {x:.5f} {y:.5f} {z:.5f}\n"
    path.write_text(text)
    return path


# ---------------------------------------------------------------------------------------- train


def test_train_writes_a_run(run_folder):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    flat = EADConfig.flat(config)
    assert {name: flat[name] for name in TINY} == TINY
    assert list(run_folder.glob("checkpoint-*.safetensors"))
    assert (run_folder / "curve.csv").exists()
    model = EADModel.from_pretrained(run_folder / "model")
    assert model.config.n_features == 32
    assert runs.n_parameters(model) > 1000


def test_train_takes_a_yaml_file_as_preset(deepchem_ead, molecules_file, tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(yaml.safe_dump({**TINY, "variable_size": True}))
    result = deepchem_ead(
        "train", molecules_file, "--preset", preset, "--epochs", 1, "--out", tmp_path / "run"
    )
    assert result.code == 0
    assert "trained 3 steps" in result.out
    assert f"deepchem-ead generate --model {tmp_path / 'run' / 'model'}" in result.out
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["data"]["variable_size"] is True


def test_train_says_when_nothing_is_left(deepchem_ead, molecules_file, tmp_path):
    words = ["train", molecules_file, "--out", tmp_path, *SET_TINY, "--epochs"]
    assert "trained 6 steps" in deepchem_ead(*words, 2).out
    checkpoints = sorted(tmp_path.glob("checkpoint-*"))
    again = deepchem_ead(*words, 2)
    assert again.code == 0
    assert "going on from step 6" in again.out
    assert "nothing to train: 2 of 2 epochs are done; ask for more with --epochs" in again.out
    assert sorted(tmp_path.glob("checkpoint-*")) == checkpoints
    assert "trained 9 steps" in deepchem_ead(*words, 3).out


def test_a_packed_run_goes_on_elsewhere(deepchem_ead, molecules_file, tmp_path):
    words = ["train", molecules_file, *SET_TINY, "--epochs"]
    deepchem_ead(*words, 2, "--out", tmp_path / "run")
    (checkpoint, *_) = sorted((tmp_path / "run").glob("checkpoint-*"))[::-1]
    result = deepchem_ead("pack", tmp_path / "run", tmp_path / "packed")
    assert result.code == 0
    assert result.out.startswith(f"{tmp_path / 'packed' / checkpoint.name}: 0.")
    files = {path.name: path for path in (tmp_path / "packed").iterdir()}
    assert sorted(files) == [checkpoint.name, "config.yaml", "curve.csv"]
    assert files[checkpoint.name].stat().st_size < 0.7 * checkpoint.stat().st_size
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert files["config.yaml"].read_text() == config
    more = deepchem_ead(*words, 3, "--out", tmp_path / "packed")
    assert "going on from step 6" in more.out and "trained 9 steps" in more.out
    again = deepchem_ead("pack", tmp_path / "run", tmp_path / "packed")
    assert again.code == 1 and "holds checkpoints already; choose another folder" in again.err
    nothing = deepchem_ead("pack", tmp_path / "none", tmp_path / "other")
    assert nothing.code == 1 and "holds no checkpoint; it is not the folder of a run" in nothing.err


def test_fit_of_no_epochs_changes_nothing(qm9_sample, tmp_path):
    model = EADModel("qm9-small", model_dir=str(tmp_path), **TINY)
    model.fit(qm9_sample.select(range(32)), nb_epoch=1)
    checkpoints = model.get_checkpoints()
    position = str(model.training_position)
    assert model.fit(qm9_sample.select(range(32)), nb_epoch=0) == 0
    assert model.get_global_step() == 2
    assert model.get_checkpoints() == checkpoints
    assert str(model.training_position) == position


def test_minutes_count_the_time_before_an_interruption(
    deepchem_ead, molecules_file, tmp_path, monkeypatch
):
    words = ["train", molecules_file, "--out", tmp_path, *SET_TINY, "--epochs", 10**6]
    at_step(monkeypatch, 4, EADModel.stop_training)
    assert "stopped at step 4; the same command" in deepchem_ead(*words, "--minutes", 5).out
    monkeypatch.undo()
    rewind = EADModel("qm9-small", model_dir=str(tmp_path), **TINY)
    rewind.restore()
    rewind.training_position.elapsed = 90.0
    rewind.save_checkpoint()
    spent = deepchem_ead(*words, "--minutes", 1.25)
    assert "nothing to train: 1.5 of 1.25 minutes are done; ask for more" in spent.out
    began = time.monotonic()
    result = deepchem_ead(*words, "--minutes", 1.51)
    assert time.monotonic() - began < 30
    assert re.search(r"trained \d+ steps", result.out)


def at_step(monkeypatch, chosen: int, action) -> None:
    class Log(runs.CurveLog):
        def __call__(self, model, step, **kwargs):
            super().__call__(model, step, **kwargs)
            if step == chosen:
                action(model)

    monkeypatch.setattr(runs, "CurveLog", Log)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on(deepchem_ead, molecules_file, tmp_path, monkeypatch, number):
    """By Ctrl-C, or by a queue."""
    words = ["train", molecules_file, "--out", tmp_path, *SET_TINY, "--epochs", 10]
    at_step(monkeypatch, 4, lambda model: signal.raise_signal(number))
    before = signal.getsignal(number)
    stopped = deepchem_ead(*words)
    assert "stopped at step 4; the same command goes on from there" in stopped.out
    assert stopped.code == 128 + number and "Traceback" not in stopped.err
    assert signal.getsignal(number) is before
    assert (tmp_path / "model" / "model.safetensors").exists()

    monkeypatch.undo()
    result = deepchem_ead(*words)
    assert result.code == 0
    assert f"going on from step 4 of {tmp_path}" in result.out
    assert "trained 30 steps" in result.out
    assert [row["step"] for row in read_curve(tmp_path / "curve.csv")] == [*range(1, 31)]


def test_a_second_ctrl_c_stops_at_once(deepchem_ead, molecules_file, tmp_path, monkeypatch):
    def press_twice(model):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    at_step(monkeypatch, 2, press_twice)
    # A shell starts its background jobs with the signal ignored; a terminal does not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = deepchem_ead("train", molecules_file, "--out", tmp_path, *SET_TINY)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.code, result.err.splitlines()[-1]) == (130, "interrupted")


@pytest.mark.parametrize("write, suffix", [(write_sdf, ".sdf"), (write_extended_xyz, ".xyz")])
def test_elements_and_size_grow_with_the_users_molecules(
    write, suffix, deepchem_ead, tmp_path, caplog
):
    # decane has 32 atoms, thiophene sulfur: the preset ends at 29 atoms of H, C, N, O, F
    path = write(tmp_path / f"mine{suffix}", "CCCCCCCCCC", "c1ccsc1", "CCO")
    out = tmp_path / "run"
    result = deepchem_ead("train", path, "--out", out, *SET_TINY, "--epochs", 1)
    assert result.code == 0
    assert "the data also holds S: the model gets elements=H,C,N,O,F,S" in caplog.text
    assert "molecules of up to 32 atoms: the model gets max_atoms=32" in caplog.text
    config = EADModel.from_pretrained(out / "model").config
    assert (config.elements, config.max_atoms) == ("H,C,N,O,F,S", 32)
    again = deepchem_ead("train", path, "--out", out, *SET_TINY, "--epochs", 2)
    assert "trained 2 steps" in again.out


def test_a_resumed_run_keeps_its_structure(deepchem_ead, molecules_file, tmp_path):
    words = ["train", molecules_file, "--out", tmp_path, *SET_TINY]
    assert deepchem_ead(*words, "--epochs", 1).code == 0
    config = (tmp_path / "config.yaml").read_text()
    changed = deepchem_ead(*words, "--epochs", 2, "--set", "n_layers=3", "--set", "frame=edm")
    assert_one_line(
        changed, "another configuration", "n_layers is 3 here and 2 there",
        "frame is 'edm' here and 'quotient' there", "--restart",
    )  # fmt: skip
    assert_one_line(
        deepchem_ead("train", molecules_file, "--out", tmp_path, "--preset", "paper-qm9",
                     "--set", "n_layers=1", "--set", "n_features=8"),
        "n_features is 8 here and 32 there", "variable_size is True here and False there",
    )  # fmt: skip
    assert (tmp_path / "config.yaml").read_text() == config
    anew = deepchem_ead(*words, "--epochs", 1, "--set", "n_layers=3", "--restart")
    assert "trained 3 steps" in anew.out
    assert EADModel.from_pretrained(tmp_path / "model").config.n_layers == 3


def test_a_damaged_checkpoint_is_passed_over_and_damage_of_all_is_one_line(
    deepchem_ead, molecules_file, tmp_path, caplog
):
    words = ["train", molecules_file, "--out", tmp_path, *SET_TINY, "--checkpoint-interval", 2]
    assert deepchem_ead(*words, "--epochs", 1).code == 0
    older, newest = sorted(tmp_path.glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:1000])
    result = deepchem_ead(*words, "--epochs", 2)
    assert f"falling back to {older}" in caplog.text
    assert "going on from step 1 of" in result.out and "trained 6 steps" in result.out
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"nonsense")
    assert_one_line(deepchem_ead(*words, "--epochs", 3), "damaged", "--restart")


@pytest.mark.parametrize(
    "words, parts",
    [
        (["nowhere.sdf"], ["no file 'nowhere.sdf'", "'qm9-sample'"]),
        (["qm8"], ["no file 'qm8'"]),
        (["DATA", "--preset", "qm9-smal"], ["no preset 'qm9-smal'", "paper-qm9, qm9, "]),
        (["DATA", "--preset", "none.yaml"], ["no configuration file 'none.yaml'"]),
        (["DATA", "--set", "n_layer=2"], ["no option 'n_layer'", "did you mean 'n_layers'?"]),
        (["DATA", "--set", "n_layers"], ["--set n_layers", "NAME=VALUE"]),
        (["DATA", "--set", "n_layers=["], ["--set n_layers=[", "not a value"]),
        (["DATA", "--set", "n_layers=many"], ["n_layers must be of type int, not 'many'"]),
        (["DATA", "--set", "elements=H,C"], ["elements=H,C leaves out N, O"]),
        (["DATA", "--set", "max_atoms=5"], ["max_atoms=5 is too small", "up to"]),
    ],
)
def test_train_refuses_in_one_line(words, parts, deepchem_ead, molecules_file, tmp_path):
    words = [molecules_file if word == "DATA" else word for word in words]
    result = deepchem_ead("train", *words, "--out", tmp_path / "run", "--epochs", 1)
    assert_one_line(result, *parts)


@pytest.mark.parametrize(
    "name, text, parts",
    [
        ("table.csv", "a,b\n1,2\n", ["table.csv has no column 'smiles'", "--smiles-column"]),
        ("ragged.tsv", "smiles\tb\nC\n", ["ragged.tsv, line 2: 1 fields under a header of 2"]),
        ("list.smi", "CC(\n", ["none of 1 records", "not a SMILES"]),
        ("notes.txt", "CCO\n", ["notes.txt: unknown kind", ".sdf", ".smi", ".csv and .tsv"]),
        ("empty.sdf", "", ["empty.sdf"]),
        ("bad.xyz", "3\nwater\nO 0 0 0\n", ["bad.xyz", "3 atoms announced"]),
        ("nan.xyz", "1\n\nO 0 0 nan\n", ["NaN"]),
    ],
)
def test_train_refuses_files_without_molecules(name, text, parts, deepchem_ead, tmp_path):
    (tmp_path / name).write_text(text)
    result = deepchem_ead("train", tmp_path / name, "--out", tmp_path / "run", *SET_TINY)
    assert_one_line(result, *parts)


def test_smiles_train_from_weights_that_know_neither_their_elements_nor_columns(
    deepchem_ead, tmp_path, caplog
):
    table = tmp_path / "m.csv"
    table.write_text("SMILES,logP\nCCS,1\nCCCl,2\nbad(,3\n" + "CCO,0\n")
    words = ["train", table, "--from", "qm9-small", "--epochs", 1]
    result = deepchem_ead(*words, "--out", tmp_path / "a")
    assert result.code == 0 and "warning: " in result.err and "'bad(' is not" in result.err
    assert "3 molecules" in result.out and "made conformers of 3 of 4" in caplog.text
    assert EADModel.from_pretrained(tmp_path / "a" / "model").config.elements == "H,C,N,O,F,S,Cl"
    result = deepchem_ead(*words, "--out", tmp_path / "b", "--conditions", "logP")
    assert EADModel.from_pretrained(tmp_path / "b" / "model").config.conditions == "logP"


def test_a_folder_is_not_data_and_a_file_is_not_a_run(deepchem_ead, molecules_file, tmp_path):
    assert_one_line(deepchem_ead("train", tmp_path, *SET_TINY), str(tmp_path))
    (tmp_path / "file").write_text("")
    words = ["train", molecules_file, *SET_TINY, "--epochs", 1, "--out", tmp_path / "file"]
    assert_one_line(deepchem_ead(*words), "is a file)")


# ------------------------------------------------------------------------------------- generate


@pytest.mark.parametrize("suffix", [".sdf", ".xyz"])
def test_an_interrupted_file_is_completed_byte_for_byte(
    suffix, deepchem_ead, model_folder, tmp_path
):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    words = ["generate", "-m", model_folder, "-n", 7, "--batch-size", 3, "--seed", 5]
    result = deepchem_ead(*words, "-o", whole)
    assert result.code == 0 and result.out.startswith(f"7 molecules in {whole}\n")
    assert len(MoleculeBatch.read(whole)) == 7

    data = whole.read_bytes()
    for length in (len(data) // 2, len(data) - 3, 1, len(data)):
        cut.write_bytes(data[:length])
        result = deepchem_ead(*words, "-o", cut, "--resume")
        assert result.code == 0 and result.out.startswith(f"7 molecules in {cut}\n")
        assert cut.read_bytes() == data


def test_ctrl_c_keeps_finished_batches(deepchem_ead, model_folder, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.xyz", tmp_path / "molecules.xyz"
    words = ["generate", "-m", model_folder, "-n", 5, "--batch-size", 2]
    deepchem_ead(*words, "-o", whole)
    batches = molecule_file.generate_batches

    def interrupted(*arguments, **options):
        yield next(batches(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(molecule_file, "generate_batches", interrupted)
    result = deepchem_ead(*words, "-o", out)
    assert result.code == 130
    assert f"interrupted with 2 molecules in {out}; --resume adds the rest" in result.err
    assert len(MoleculeBatch.read(out)) == 2
    monkeypatch.setattr(molecule_file, "generate_batches", batches)
    assert deepchem_ead(*words, "-o", out, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_smiles_of_the_valid_molecules(deepchem_ead, model_folder, tmp_path):
    words = ["generate", "-m", model_folder, "-n", 4, "--n-atoms", 1]
    assert deepchem_ead(*words, "-o", tmp_path / "a.xyz").code == 0
    assert deepchem_ead(*words, "-o", tmp_path / "a.smi").code == 0
    smiles = MoleculeBatch.read(tmp_path / "a.xyz").smiles
    lines = [f"{text}\t{i}" for i, text in enumerate(smiles) if text is not None]
    assert (tmp_path / "a.smi").read_text().splitlines() == lines


def test_no_molecules_make_an_empty_file(deepchem_ead, model_folder, tmp_path):
    out = tmp_path / "none.sdf"
    result = deepchem_ead("generate", "-m", model_folder, "-n", 0, "-o", out)
    assert (result.code, result.out) == (0, f"0 molecules in {out}\n")
    assert out.read_bytes() == b""


def test_an_existing_file_is_never_overwritten(deepchem_ead, model_folder, tmp_path):
    out = tmp_path / "mine.sdf"
    words = ["generate", "-m", model_folder, "-o", out, "-n"]
    assert deepchem_ead(*words, 2).code == 0
    before = out.read_bytes()
    assert_one_line(deepchem_ead(*words, 3), "exists", "--resume")
    assert_one_line(deepchem_ead(*words, 1, "--resume"), "holds 2 molecules", "the 1 wanted")
    assert out.read_bytes() == before
    (tmp_path / "mine.smi").write_text("CC\t0\n")
    words = ["generate", "-m", model_folder, "-o", tmp_path / "mine.smi", "--resume"]
    assert_one_line(deepchem_ead(*words), "only an SDF or XYZ file can be resumed")


@pytest.mark.parametrize(
    "words, parts",
    [
        (["-m", "nowhere"], ["no model 'nowhere'"]),
        (["-m", "runs/nowhere"], ["no folder 'runs/nowhere'"]),
        (["-m", "RUN"], ["did you mean", "model'?"]),
        (["-m", "MODEL", "-o", "molecules.pdb"], ["molecules.pdb", ".sdf"]),
        (["-m", "MODEL", "--steps", "31"], ["steps must lie between 1 and 30", "not 31"]),
        (["-m", "MODEL", "--n-atoms", "0"], ["n_atoms must be at least 1, not 0"]),
        (["-m", "MODEL", "--n-atoms", "9.5"], ["--n-atoms 9.5: give a whole number", "9,12,12"]),
        (["-m", "MODEL", "--n-atoms", "9,8", "-n", "3"], ["2 entries for 3 molecules"]),
        (["-m", "MODEL", "-o", "."], [". is a folder; name a file in it"]),
    ],
)
def test_generate_refuses_in_one_line(
    words, parts, deepchem_ead, run_folder, model_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # the Hub is not asked
    folders = {"RUN": run_folder, "MODEL": model_folder}
    result = deepchem_ead("generate", *(folders.get(word, word) for word in words))
    assert_one_line(result, *parts)
    assert not list(tmp_path.iterdir())


def test_records_say_where_they_come_from(deepchem_ead, model_folder, tmp_path):
    out = tmp_path / "new" / "folders" / "molecules.sdf"
    words = ["generate", "-m", model_folder, "--n-atoms", "5,9,7", "--seed", 4, "-o", out]
    result = deepchem_ead(*words)
    assert result.code == 0
    molecules = MoleculeBatch.read(out)
    assert [len(numbers) for numbers in molecules.numbers] == [5, 9, 7]
    assert list(molecules.ids) == [f"tiny-4-00000{i}" for i in range(3)]
    assert "deepchem_ead_job" not in molecules.properties
    assert out.read_text().count("deepchem_ead_job") == 1
    n_valid = sum(smiles is not None for smiles in molecules.smiles)
    assert f"{n_valid} of 3 generated are valid ({100 * n_valid / 3:.1f} %)" in result.out
    assert (n_valid < 3) is ("invalid: " in result.out)
    assert [path.name for path in out.parent.iterdir()] == ["molecules.sdf"]


@pytest.mark.parametrize("suffix", [".sdf", ".xyz"])
def test_only_the_same_job_is_resumed(suffix, deepchem_ead, model_folder, tmp_path):
    out = tmp_path / f"moved{suffix}"
    words = ["generate", "-m", model_folder, "--steps", 5, "-o"]
    assert deepchem_ead(*words, tmp_path / f"begun{suffix}", "-n", 2).code == 0
    (tmp_path / f"begun{suffix}").rename(out)
    before = out.read_bytes()
    words += [out, "-n", 4, "--resume"]
    for other, said in {
        ("--seed", 1): "--seed is 1 here and 0 there",
        ("--steps", 6): "--steps is 6 here and 5 there",
        ("--n-atoms", 9): "--n-atoms is 9 here and the default there",
        ("--schedule", "synchronous"): "--schedule is SynchronousSchedule() here",
        ("--stepper", "ddim"): "--stepper is EtaStepper(eta=0.0",
        ("--precision", "fp32"): "--precision is fp32 here and auto there",
        ("-m", "qm9-small"): "--model is qm9-small here and tiny there",
    }.items():
        refused = deepchem_ead(*words, *other)
        assert_one_line(refused, f"{out} was begun by another job", said, "choose another name")
        assert out.read_bytes() == before
    assert deepchem_ead(*words, "--batch-size", 1).code == 0
    assert len(MoleculeBatch.read(out)) == 4


@pytest.mark.parametrize("suffix", [".sdf", ".xyz"])
def test_a_file_with_records_missing_or_moved_is_not_resumed(
    suffix, deepchem_ead, model_folder, tmp_path
):
    out = tmp_path / f"edited{suffix}"
    words = ["generate", "-m", model_folder, "--steps", 2, "--n-atoms", 5, "-o", out]
    assert deepchem_ead(*words, "-n", 4).code == 0
    text = out.read_text()
    if suffix == ".sdf":
        records = [record + "$$$$\n" for record in text.split("$$$$\n")[:-1]]
    else:
        lines = text.splitlines(keepends=True)
        records = ["".join(lines[i : i + 7]) for i in range(0, len(lines), 7)]
    assert len(records) == 4
    a, b, c, d = records
    for edited, said in {
        a + c + d: "record 2 is 'tiny-0-000002', where molecule 0-000001",
        a + b + d: "record 3 is 'tiny-0-000003'",
        a + c + b + d: "record 2 is 'tiny-0-000002'",
        a + b + b + c: "record 3 is 'tiny-0-000001'",
        a + b.replace("tiny-0-000001", "best") + c: "record 2 is ",
    }.items():
        out.write_text(edited)
        assert_one_line(deepchem_ead(*words, "-n", 6, "--resume"), f"{out}: {said}", "choose")
        assert out.read_text() == edited
    out.write_text(a + b + c[: len(c) // 2])
    assert deepchem_ead(*words, "-n", 4, "--resume").code == 0
    assert out.read_text() == text


def test_a_file_of_something_else_is_not_resumed(deepchem_ead, model_folder, molecules_file):
    python = Path(molecules_file).with_name("python.sdf")
    replace(MoleculeBatch.read(molecules_file), info={"sampled": True, "seed": 0}).to_sdf(python)
    for file in (molecules_file, python):
        before = Path(file).read_bytes()
        words = ["generate", "-m", model_folder, "-n", 60, "--resume", "-o", file]
        assert_one_line(deepchem_ead(*words), "does not say which job made it")
        assert Path(file).read_bytes() == before


def test_a_file_has_one_writer(deepchem_ead, model_folder, tmp_path, monkeypatch):
    out = tmp_path / "molecules.sdf"
    words = ["generate", "-m", model_folder, "-n", 2, "-o", out]
    with ThreadPoolExecutor(1) as pool, hold(out, "writing"):
        held = pool.submit(deepchem_ead, *words)
        assert_one_line(held.result(), f"{out} is in use: another process", "is writing molecules")
    assert deepchem_ead(*words).code == 0
    assert list(tmp_path.iterdir()) == [out]


def test_molecules_are_written_early(deepchem_ead, model_folder, tmp_path, monkeypatch):
    sizes = []
    write = MoleculeWriter.write

    def note(self, batch, *job):
        sizes.append(len(batch))
        write(self, batch, *job)

    monkeypatch.setattr(MoleculeWriter, "write", note)
    monkeypatch.setattr(generation, "PAIRS_PER_BATCH", 16 * 9**2)
    words = ["generate", "-m", model_folder, "--n-atoms", 9, "-n", 40, "--steps", 3]
    words += ["--schedule", "synchronous", "-o"]  # all of a batch finish together
    assert deepchem_ead(*words, tmp_path / "a.smi").code == 0
    assert sizes[:4] == [2, 4, 8, 16] and sum(sizes) == 40
    assert deepchem_ead(*words, tmp_path / "b.smi", "--batch-size", 40).code == 0
    assert (tmp_path / "a.smi").read_bytes() == (tmp_path / "b.smi").read_bytes()


@pytest.mark.parametrize("suffix", [".sdf", ".xyz"])
def test_a_full_disk_keeps_what_is_finished(suffix, deepchem_ead, model_folder, tmp_path):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"molecules{suffix}"
    words = ["generate", "-m", model_folder, "-n", 6, "--n-atoms", 1, "--batch-size", 1, "-o"]
    assert deepchem_ead(*words, whole).code == 0
    words += [out]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(0.9 * whole.stat().st_size), before[1]))
    try:
        result = deepchem_ead(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.code == 1 and "Traceback" not in result.err
    assert "error: File too large (free some space" in result.err
    assert result.err.endswith(f" molecules in {out}; --resume adds the rest\n")
    kept = len(MoleculeBatch.read(out, on_error="skip"))
    assert 0 < kept < 6
    assert deepchem_ead(*words, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


# ------------------------------------------------------------------------------------- evaluate


def strict_json(text: str) -> dict:
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_evaluate_prints_a_table_beside_qm9(deepchem_ead, molecules_file):
    result = deepchem_ead("evaluate", molecules_file)
    assert result.code == 0
    head, _, ours, ceiling = result.out.splitlines()
    assert head.split()[:3] == ["%", "atom", "sta"]
    assert ours.startswith("molecules.sdf (n=48)")
    assert ceiling.startswith("QM9 itself")
    assert ceiling.split()[-7:-4] == ["99.36", "95.28", "97.68"]
    strict = deepchem_ead("evaluate", molecules_file, "--protocol", "strict")
    assert strict.out.splitlines()[-1].startswith("QM9 itself, strict")


def test_evaluate_prints_json(deepchem_ead, molecules_file):
    result = deepchem_ead("evaluate", molecules_file, "--json", "--reference", molecules_file)
    report = strict_json(result.out)
    assert report["n_molecules"] == 48 and report["novelty"] == 0
    assert report["atom_stability"] > 0.9


def test_evaluate_of_broken_molecules_is_json_too(deepchem_ead, tmp_path):
    path = tmp_path / "broken.xyz"
    path.write_text("2\n\nC 0 0 0\nC 0 0 0.3\n2\n\nO 0 0 nan\nH 0 0 1\n")
    for words in ([], ["--reference", "qm9-sample"]):
        report = strict_json(deepchem_ead("evaluate", path, "--json", *words).out)
        assert report["validity"] < 1 and report["molecule_stability"] == 0


def test_evaluate_reads_molecules_of_other_programs(deepchem_ead, tmp_path):
    path = write_sdf(tmp_path / "foreign.sdf", "CCO", "CC(C)=O", "C1CC1", "CCO")
    report = strict_json(deepchem_ead("evaluate", path, "--json").out)
    assert report["validity"] == report["molecule_stability"] == 1
    assert report["uniqueness"] == 0.75


def test_evaluate_names_elements_outside_the_vocabulary(deepchem_ead, tmp_path):
    path = write_sdf(tmp_path / "bromide.sdf", "CCO", "CBr")
    wrong = deepchem_ead("evaluate", path, "--vocabulary", "qm9")
    assert_one_line(wrong, "Br", "compound 1", "use --vocabulary geom")
    assert deepchem_ead("evaluate", path, "--vocabulary", "geom").code == 0
    assert deepchem_ead("evaluate", path).code == 0


def test_evaluate_can_leave_out_bad_records(deepchem_ead, tmp_path):
    path = tmp_path / "some.xyz"
    path.write_text("1\n\nO 0 0 0\n1\n\nO 0 zero 0\n2\n\nO 0 0 0\nH 0 0 1\n")
    assert_one_line(deepchem_ead("evaluate", path), "record 2", "--skip-bad leaves bad records out")
    result = deepchem_ead("evaluate", path, "--skip-bad")
    assert "some.xyz (n=2)" in result.out
    assert re.fullmatch(r"warning: .*left out 1 of 3 records.*\n", result.err)


@pytest.mark.parametrize("name", ["missing.sdf", "missing.xyz", "file.pdb", "."])
def test_evaluate_refuses_bad_names(name, deepchem_ead):
    assert_one_line(deepchem_ead("evaluate", name), name)


# --------------------------------------------------------------------------------- info and demo


def test_info_describes_the_installation(deepchem_ead):
    result = deepchem_ead("info")
    assert result.code == 0
    versions = f"deepchem {metadata.version('deepchem')}"
    for part in (versions, "kernel", "GPU", "qm9-small", "trained models", "QM9"):
        assert part in result.out


@pytest.mark.parametrize("command", [[], ["train"], ["generate"], ["evaluate"], ["demo"]])
def test_help_is_text_for_people(command, deepchem_ead):
    result = deepchem_ead(*command, "--help")
    assert result.code == 0
    assert "None" not in result.out and "StrEnum" not in result.out


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_the_list_of_commands_is_not_cut(columns, deepchem_ead, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    out = deepchem_ead("--help").out.partition("Commands:")[2]
    assert "..." not in out
    assert "score and draw them." in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["generate", "--scaffold", "c1ccccc1"], "see docs/limits.md"),
        (["generate", "--smiles", "CCO"], "see docs/limits.md"),
        (["generate", "--temperature", 0.5], "did you mean --noise-scale?"),
        (["design", "--formula", "C6H6"], "no formula can be given"),
        (["train", "qm9", "--epoch", 3], "did you mean --epochs?"),
        (["draw", "--zzzz"], "No such option: --zzzz"),
    ],
)
def test_unknown_options_are_answered(words, answer, deepchem_ead):
    result = deepchem_ead(*words)
    assert result.code == 2
    assert answer in " ".join((result.out + result.err).split())


def test_demo_shows_the_shipped_model(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not ours")
    for n in (2, 3):  # a second demo replaces the first
        demo.run_demo(tmp_path, n, "fp32", steps=10)
        out = capsys.readouterr().out
        assert [line[:3] for line in out.splitlines() if line[1:3] == "/3"] == [
            "1/3", "2/3", "3/3",
        ]  # fmt: skip
        assert "QM9 itself" in out and f"{choices.DEFAULT_MODEL} (n={n})" in out
        assert re.search(r"all of it took \d+ s", out)
    assert len(MoleculeBatch.read(tmp_path / "molecules.sdf")) == 3
    assert (tmp_path / "molecules.smi").exists()
    assert (tmp_path / "molecules.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "notes.txt").exists()


def test_demo_takes_its_options(deepchem_ead, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(demo, "run_demo", lambda *arguments: given.extend(arguments))
    words = ["--out", tmp_path, "-n", 3, "--precision", "fp32", "--steps", 20]
    assert deepchem_ead("demo", *words).code == 0
    assert given == [tmp_path, 3, "fp32", 20]


def test_the_demo_model_and_the_commands_it_names_exist(deepchem_ead):
    info = deepchem_ead("info").out
    assert choices.DEFAULT_MODEL in info
    assert all(name in info for name in pretrained.ALIASES)
    source = Path(demo.__file__).read_text()
    for command in re.findall(r"deepchem-ead (train|generate) ", source):
        assert deepchem_ead(command, "--help").code == 0


def test_interrupting_before_training_is_no_traceback(deepchem_ead, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "training_data", interrupted)
    result = deepchem_ead("train", "qm9-sample")
    assert (result.code, result.err) == (130, "interrupted\n")


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The installed command, which is known by its name."""
    path = tmp_path_factory.mktemp("bin") / "deepchem-ead"
    path.write_text("from deepchem_ead.cli import main\nmain()\n")
    return [sys.executable, str(path)]


@pytest.mark.parametrize("words", [["--help"], ["design", "--help"], ["--version"]])
def test_help_is_quick_and_readable(words, program):
    watch = (
        "import resource, atexit; atexit.register(lambda: print(resource.getrusage(0).ru_utime))"
    )
    path = program[-1]
    code = f"{watch}; import runpy, sys; sys.argv = {[path, *words]}; "
    code += f"runpy.run_path({path!r}, run_name='__main__')"
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    *lines, seconds = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert float(seconds) < 1
    assert 0 < len(lines) <= 80
    # Only lines to be copied may be longer.
    assert all(len(line) <= 80 or line.startswith("    deepchem-ead ") for line in lines)


def test_ctrl_c_while_loading_is_one_line(tmp_path):
    path = tmp_path / "deepchem-ead"
    path.write_text(
        "import signal, sys, time\n"
        # A shell lets its background processes ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from deepchem_ead.cli import main\n"
        "class Slow:  # loading PyTorch takes seconds; here, as long as is needed\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            print(flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, path, "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_the_help_knows_what_there_is():
    assert choices.SCHEDULES == tuple(name for name in SCHEDULES if name != "replay")
    assert choices.REPEAT_RULES == tuple(REPEAT_RULES)
    assert choices.STEPPERS == tuple(STEPPERS)


def test_the_shell_command_fails_in_one_line():
    """As `test_train_refuses_in_one_line`, in a process of its own with all its noise."""
    program = "from deepchem_ead.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "evaluate", "nowhere.sdf"],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nowhere.sdf: No such file or directory\n"


def test_shells_are_closed_unless_any_are_asked_for(deepchem_ead, tmp_path):
    """The shipped model's default, and the flag that leaves it."""
    shares = []
    for word in ("--closed-shell", "--any-shell"):
        out = tmp_path / f"{word[2:]}.xyz"
        code, _, error = deepchem_ead(
            "generate", "--model", "qm9", "--n", 24, "--steps", 20, "--noise-scale", 1, word,
            "--out", out,
        )  # fmt: skip
        assert code == 0, error
        molecules = MoleculeBatch.read(out)
        shares.append(sum(int(m.atomic_numbers.sum()) % 2 for m in molecules) / 24)
    assert shares[0] < 0.1 < shares[1]


@pytest.mark.parametrize(
    ("name", "count"), [("a.html", 3), ("a.svg", 3), ("a.png", 2), ("a.jpg", 3)]
)
def test_draw_writes_what_the_suffix_says(deepchem_ead, tmp_path, name, count):
    molecules, _ = qm9()
    molecules[:3].to_sdf(tmp_path / "a.sdf")
    options = [] if count == 3 else ["-n", str(count)]
    result = deepchem_ead("draw", tmp_path / "a.sdf", "--out", tmp_path / name, *options)
    assert result.code == 0 and result.out == f"{count} molecules drawn in {tmp_path / name}\n"
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", "a.gif"], ".svg"),
        (["--out", "a.html", "--columns", "3"], "--columns is for pictures"),
        (["--out", "a.png", "--title", "x"], "--title is for pages"),
        ([], "no_such.sdf"),
    ],
)
def test_draw_refuses(deepchem_ead, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    result = deepchem_ead("draw", "no_such.sdf", *options)
    assert result.code == 1 and reason in result.err and not list(tmp_path.iterdir())

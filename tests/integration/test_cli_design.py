"""The commands about properties: asking for them, predicting them, choosing by them."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import yaml
from chem_data import qm9
from cli_data import SET_TINY, TINY, assert_one_line
from rdkit import Chem

from deepchem_ead import EADModel, EGNNPropertyModel, MoleculeBatch
from deepchem_ead.commands.jobs import predictions
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.molnet.sample import load_sample

pytestmark = pytest.mark.usefixtures("data_folder")

TINY_PREDICTOR = {"n_layers": 1, "n_features": 32, "batch_size": 16, "warmup_steps": 0}
SET_PREDICTOR = [w for name, value in TINY_PREDICTOR.items() for w in ("--set", f"{name}={value}")]
SET_QUICK = [*SET_TINY, "--set", "n_heads=4"]


@pytest.fixture(scope="module")
def labelled_file(tmp_path_factory):
    """60 molecules of QM9 with two properties; one of the second is missing."""
    table, _ = load_sample()
    properties = {name: table.properties[name][-60:].astype(float) for name in ("gap", "mu")}
    batch = MoleculeBatch.from_padded(table.to_padded(29)[-60:], properties=properties)
    path = tmp_path_factory.mktemp("user") / "labelled.sdf"
    batch.to_sdf(path)
    text = path.read_text()
    cut = text.index(">  <mu>")
    path.write_text(text[:cut] + text[text.index("$$$$", cut) :])
    return str(path)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory, labelled_file):
    """A conditional model that has seen 60 molecules for a moment."""
    folder = tmp_path_factory.mktemp("models") / "conditional"
    table, _ = load_sample()
    properties = {name: table.properties[name][-60:].astype(float) for name in ("gap", "mu")}
    batch = MoleculeBatch.from_padded(table.to_padded(29)[-60:], properties=properties)
    sizes = {"variable_size": True, "dummy_padding": "random", "p_fixed_size": 0.5}
    model = EADModel("qm9-small", conditions=["gap", "mu"], **sizes, **TINY)
    model.fit(batch.to_dataset(29, tasks=["gap", "mu"]), nb_epoch=1, checkpoint_interval=0)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A property model that has seen 200 molecules for a moment."""
    folder = tmp_path_factory.mktemp("models") / "predictor"
    table, _ = load_sample()
    rows = np.arange(0, 2000, 10)
    properties = {name: table.properties[name][rows].astype(float) for name in ("gap", "alpha")}
    batch = MoleculeBatch.from_padded(table.to_padded(29)[rows], properties=properties)
    model = EGNNPropertyModel(["gap", "alpha"], **TINY_PREDICTOR)
    model.fit(batch.to_dataset(29, tasks=["gap", "alpha"]), nb_epoch=3, checkpoint_interval=0)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def mixed_file(tmp_path):
    """Six molecules: the third cannot be read, the fifth has an element no model here knows."""
    path = tmp_path / "mixed.sdf"
    qm9()[0][20:26].to_sdf(path)
    records = path.read_text().split("$$$$\n")
    records[2] = records[2].replace(" C  ", " Xx ", 1)
    records[4] = records[4].replace(" C  ", " S  ", 1)
    path.write_text("$$$$\n".join(records))
    return path


def tags(path) -> list[dict[str, str]]:
    return [
        {} if mol is None else mol.GetPropsAsDict(autoConvertStrings=False)
        for mol in Chem.SDMolSupplier(str(path), sanitize=False)
    ]


# ------------------------------------------------------------------------------------- generate


def test_generate_for_conditions_and_go_on(deepchem_ead, conditional, tmp_path):  # noqa: F811
    whole, cut = tmp_path / "whole.sdf", tmp_path / "cut.sdf"
    words = ["generate", "-m", conditional, "-n", 5, "--batch-size", 2, "--seed", 3]
    words += ["--condition", "gap=5.4eV", "-c", "mu=2", "--guidance-scale", 1]
    assert deepchem_ead(*words, "-o", whole).code == 0
    for record in tags(whole):
        assert record["gap_requested"] == "5.4" and record["gap_unit"] == "eV"
        assert record["mu_requested"] == "2.0" and record["mu_unit"] == "Debye"
    text = whole.read_text()
    cut.write_text(text[: text.index("$$$$", len(text) // 2)])
    assert deepchem_ead(*words, "-o", cut, "--resume").code == 0
    assert cut.read_text() == text

    cut.write_text(text[: text.rindex("$$$$")])
    others = ["generate", "-m", conditional, "-n", 5, "-o", cut, "--resume"]
    assert_one_line(
        deepchem_ead(*others, "-c", "gap=5.5eV"), "asked for gap=5.4 eV, mu=2.0 Debye",
        "not gap=5.5 eV", "same conditions",
    )  # fmt: skip
    assert_one_line(deepchem_ead(*others), "not nothing")
    free = tmp_path / "free.xyz"
    assert deepchem_ead("generate", "-m", conditional, "-n", 2, "-o", free).code == 0
    words = ["generate", "-m", conditional, "-n", 3, "-o", free, "--resume", "-c", "mu=2"]
    assert_one_line(deepchem_ead(*words), "asked for nothing, not mu=2.0 Debye")


def test_conditions_guidance_and_sizes_change_the_molecules(
    deepchem_ead,  # noqa: F811
    conditional,
    predictor,
    tmp_path,
):
    found = {}
    for k, extra in enumerate(
        [[], ["-c", "mu=2"], ["-c", "mu=2", "--guidance-scale", 2],
         ["-c", "alpha=70", "--guide", predictor], ["-c", "mu=2", "--n-atoms", "from-conditions"],
         ["--n-atoms", "histogram"], ["--n-atoms", "7"]]
    ):  # fmt: skip
        out = tmp_path / f"{k}.xyz"
        assert deepchem_ead("generate", "-m", conditional, "-n", 2, "-o", out, *extra).code == 0
        found[k] = MoleculeBatch.read(out)
    assert found[6].counts.tolist() == [7, 7]
    blobs = {batch.coordinates.tobytes() for batch in found.values()}
    assert len(blobs) == len(found)


@pytest.mark.parametrize(
    "words, used",
    [
        ([], None),
        (["-c", "gap=5.4eV"], "qm9-guide"),
        (["-c", "gap=5.4eV", "--guide", "none"], None),
        (["-c", "gap=5.4eV", "--guidance-scale", "1"], None),
    ],
)
def test_the_guide_of_the_weights_is_the_default(
    words,
    used,
    deepchem_ead,  # noqa: F811
    tmp_path,
):
    out = tmp_path / "a.sdf"
    common = ["generate", "-n", 1, "--steps", 2, "--n-atoms", 5, "--autoguidance", 0, "-o", out]
    result = deepchem_ead(*common, *words)
    assert result.code == 0
    assert json.loads(tags(out)[0]["deepchem_ead_job"])["guide"] == used
    assert ("steering to gap with qm9-guide" in result.err) is (used is not None)


def test_a_value_outside_the_training_data_is_a_warning(
    deepchem_ead,  # noqa: F811
    conditional,
    tmp_path,
):
    words = ["generate", "-m", conditional, "-n", 1, "-o", tmp_path / "a.sdf", "-c", "gap=50eV"]
    result = deepchem_ead(*words)
    assert result.code == 0
    assert re.search(r"warning: gap=1.837\d* lies outside the training data", result.err)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["-c", "gpa=1"], ["no condition 'gpa'", "trained with gap, mu"]),
        (["-c", "gap=5.4MeV"], ["the unit 'MeV' is none of Hartree", "eV, meV"]),
        (["-c", "gap=high"], ["gap='high' is not a number"]),
        (["-c", "gap"], ["--condition gap: must be of the form NAME=VALUE"]),
        (["-c", "gap=1", "-c", "gap=2"], ["gap is given twice"]),
        (["--guidance-scale", "1"], ["guidance_scale needs conditions"]),
        (["--n-atoms", "many"], ["--n-atoms 'many'", "free, histogram, from-conditions"]),
        (["--n-atoms", "from-conditions"], ["needs conditions"]),
        (["--n-atoms", "0"], ["n_atoms must be at least 1, not 0"]),
    ],
)
def test_generate_refuses_conditions_in_one_line(
    words,
    parts,
    deepchem_ead,  # noqa: F811
    conditional,
    tmp_path,
):
    out = tmp_path / "none.sdf"
    result = deepchem_ead("generate", "-m", conditional, "-n", 2, "-o", out, *words)
    assert_one_line(result, *parts)
    assert not out.exists()


# ---------------------------------------------------------------------------------------- train


def test_train_on_properties_of_a_file(deepchem_ead, labelled_file, tmp_path):  # noqa: F811
    words = ["train", labelled_file, "--out", tmp_path, "--epochs", 1, *SET_TINY]
    result = deepchem_ead(*words, "--conditions", "mu,gap")
    assert result.code == 0 and "trained 4 steps" in result.out
    model = EADModel.from_pretrained(tmp_path / "model")
    assert model.config.condition_names == ("mu", "gap")
    # One label of mu is missing and does not count as 0: the least is that of the others.
    table, _ = load_sample()
    known = table.properties["mu"][-59:]
    assert np.isclose(model.model.statistics.mean[0], known.mean(), rtol=1e-4)
    again = deepchem_ead(*words)
    assert_one_line(again, "another configuration", "conditions is '' here and 'mu,gap' there")
    missing = deepchem_ead(*words, "--conditions", "logP", "--restart")
    assert_one_line(missing, "no molecule has the property 'logP'; the file has: ", "gap, mu")


def test_train_takes_conditions_of_the_preset_from_qm9(
    deepchem_ead,  # noqa: F811
    tmp_path,
):
    words = ["train", "qm9-sample", "--preset", "qm9-conditional", "--minutes", 0.01, *SET_QUICK]
    assert deepchem_ead(*words, "--out", tmp_path / "a").code == 0
    names = EADModel.from_pretrained(tmp_path / "a" / "model").config.condition_names
    assert names == ("alpha", "gap", "homo", "lumo", "mu", "Cv")
    words += ["--conditions", "r2", "--out", tmp_path / "b"]
    assert deepchem_ead(*words).code == 0
    model = EADModel.from_pretrained(tmp_path / "b" / "model")
    assert model.config.condition_names == ("r2",) and model.model.statistics.mean[0] > 500


def test_train_from_trained_weights(
    deepchem_ead,  # noqa: F811
    labelled_file,
    conditional,
    tmp_path,
):
    words = ["train", labelled_file, "--from", conditional, "--epochs", 1]
    result = deepchem_ead(*words, "--out", tmp_path / "a", "--set", "learning_rate=1e-9")
    assert result.code == 0
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    config = EADConfig.flat(config)
    assert {name: config[name] for name in TINY} == TINY and config["conditions"] == "gap,mu"
    old, new = (
        EADModel.from_pretrained(name).model.sampling_denoiser.state_dict()
        for name in (conditional, tmp_path / "a" / "model")
    )
    assert all((old[name] - new[name]).abs().max() < 1e-5 for name in old)

    thiophene = tmp_path / "s.xyz"
    thiophene.write_text("2\ngap=1 mu=2\nH 0 0 0\nS 0 0 1.3\n2\ngap=2 mu=1\nH 0 0 0\nF 0 0 1\n")
    result = deepchem_ead("train", thiophene, "--from", conditional, "--out", tmp_path / "b")
    assert result.code == 0
    grown = EADModel.from_pretrained(tmp_path / "b" / "model")
    assert grown.config.elements == "H,C,N,O,F,S" and grown.config.conditions == "gap,mu"
    result = deepchem_ead(*words, "--preset", "paper-qm9", "--out", tmp_path / "c")
    assert_one_line(result, "n_layers")
    assert_one_line(deepchem_ead("train", labelled_file, "--from", "nowhere"), "no model 'nowhere'")


# ------------------------------------------------------------------------------ train-predictor


def test_train_predictor_and_predict_with_it(
    deepchem_ead,  # noqa: F811
    labelled_file,
    tmp_path,
):
    words = ["train-predictor", labelled_file, "--out", tmp_path, *SET_PREDICTOR]
    result = deepchem_ead(*words, "--tasks", "gap, mu", "--epochs", 2)
    assert result.code == 0, result.err
    assert "54 molecules to learn gap, mu from" in result.out
    assert re.search(r"error on 6 other molecules: gap [\d.]+ meV, mu [\d.]+ D", result.out)
    assert "trained 8 steps" in result.out
    assert f"deepchem-ead predict molecules.sdf --model {tmp_path / 'model'}" in result.out
    again = deepchem_ead(*words, "--tasks", "gap,mu", "--epochs", 2)
    assert "nothing to train: 2 of 2 epochs are done" in again.out
    # What is repeated is the calibration: it must not add up.
    assert again.out.splitlines()[1] == result.out.splitlines()[1]
    shown = deepchem_ead("predict", labelled_file, "--model", tmp_path / "model")
    assert shown.code == 0
    assert "gap/Hartree" in shown.out and "mu/Debye" in shown.out
    assert "... and 40 more; --out FILE.csv writes all of them" in shown.out


def test_train_predictor_of_qm9(deepchem_ead, tmp_path):  # noqa: F811
    words = ["train-predictor", "qm9-sample", "--tasks", "r2", "--minutes", 0.01]
    result = deepchem_ead(*words, "--out", tmp_path, *SET_PREDICTOR)
    assert result.code == 0, result.err
    assert re.search(r"error on 264 other molecules: r2 [\d.]+ Bohr\^2", result.out)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["DATA", "--tasks", "logP"], ["no molecule has the property 'logP'", "gap, mu"]),
        (["qm9-sample", "--tasks", "gpa"], ["gpa", "gap"]),
        (["DATA", "--tasks", "gap", "--set", "n_layer=1"], ["did you mean 'n_layers'"]),
        (["DATA", "--tasks", "gap", "--preset", "big"], ["no preset 'big'", "oracle-small"]),
        (["DATA", "--tasks", "gap", "--set", "max_atoms=5"], ["max_atoms=5 is too small"]),
        (["nowhere.sdf", "--tasks", "gap"], ["no file 'nowhere.sdf'"]),
    ],
)
def test_train_predictor_refuses_in_one_line(
    words,
    parts,
    deepchem_ead,  # noqa: F811
    labelled_file,
    tmp_path,
):
    words = [labelled_file if word == "DATA" else word for word in words]
    result = deepchem_ead("train-predictor", *words, "--out", tmp_path / "run")
    assert_one_line(result, *parts)


def test_a_file_of_few_molecules_is_trained_on_whole(
    deepchem_ead,  # noqa: F811
    labelled_file,
    tmp_path,
):
    MoleculeBatch.read(labelled_file)[:9].to_sdf(tmp_path / "nine.sdf")
    words = ["train-predictor", tmp_path / "nine.sdf", "--tasks", "gap", "--epochs", 1]
    result = deepchem_ead(*words, "--out", tmp_path / "run", *SET_PREDICTOR)
    assert result.code == 0 and "9 molecules to learn" in result.out
    assert "other molecules" not in result.out


# -------------------------------------------------------------------------------------- predict


def test_predict_prints_a_table(deepchem_ead, predictor, mixed_file):  # noqa: F811
    result = deepchem_ead("predict", mixed_file, "--model", predictor, "--unit", "gap=eV")
    assert result.code == 0
    head, _, *rows = result.out.splitlines()
    assert head.split() == ["gap/eV"]
    assert len(rows) == 6 and rows[0].startswith("gdb_") and rows[2].startswith("record 3")
    assert re.search(r" -  atom \d+: ", rows[2])
    assert rows[4].endswith(" -  the model does not know S")
    both = deepchem_ead(
        "predict", mixed_file, "-m", predictor, "--unit", "gap=eV", "--property", "alpha"
    )
    assert both.out.splitlines()[0].split() == ["alpha/Bohr^3", "gap/eV"]
    assert deepchem_ead("predict", mixed_file, "-m", predictor).out.startswith(" ")
    assert result.err.startswith("warning: no prediction for 2 of 6 records: record 3: atom ")
    assert "record 5: the model does not know S" in result.err and result.err.count("\n") == 1


def test_predict_writes_every_record_to_a_table(
    deepchem_ead,  # noqa: F811
    predictor,
    mixed_file,
    tmp_path,
):
    out = tmp_path / "out.csv"
    result = deepchem_ead("predict", mixed_file, "-m", predictor, "-o", out)
    assert (result.code, result.out) == (0, f"predictions for 4 molecules in {out}\n")
    with open(out, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["record"] for row in rows] == list("123456")
    assert [row["gap_predicted"] == "" for row in rows] == [i in (2, 4) for i in range(6)]
    assert [row["problem"] != "" for row in rows] == [i in (2, 4) for i in range(6)]
    assert {row["gap_unit"] for row in rows} == {"Hartree"}
    # Aligned with the molecules: each alone gives the same.
    model = EGNNPropertyModel.from_pretrained(predictor)
    batch = qm9()[0][20:26]
    for i in (0, 1, 3, 5):
        mean, std = model.predict_molecules_uncertainty(batch[i])
        assert np.isclose(float(rows[i]["gap_predicted"]), mean[0, 0], rtol=1e-4)
        assert np.isclose(float(rows[i]["alpha_uncertainty"]), std[0, 1], rtol=1e-3)
        assert rows[i]["id"] == batch.ids[i] and rows[i]["smiles"] == batch.smiles[i]
    assert_one_line(deepchem_ead("predict", mixed_file, "-m", predictor, "-o", out), "exists")


def test_predict_adds_tags_to_the_records_as_they_are(
    deepchem_ead,  # noqa: F811
    predictor,
    mixed_file,
    tmp_path,
):
    out, second = tmp_path / "out.sdf", tmp_path / "second.sdf"
    words = ["predict", "-m", predictor, "--unit", "gap=eV"]
    assert deepchem_ead(*words, mixed_file, "-o", out).code == 0
    old, new = mixed_file.read_text().split("$$$$\n"), out.read_text().split("$$$$\n")
    assert len(old) == len(new) == 7
    for i, (before, after) in enumerate(zip(old, new, strict=True)):
        assert after == before if i in (2, 4, 6) else after.startswith(before)
    assert tags(out)[0]["gap_unit"] == "eV" and 2 < float(tags(out)[0]["gap_predicted"]) < 15
    # Once more: predictions are replaced, not repeated.
    assert deepchem_ead(*words[:3], out, "-o", second).code == 0
    assert second.read_text().count("<gap_predicted>") == 4
    assert tags(second)[0]["gap_unit"] == "Hartree" and tags(second)[0]["charge"] == "0"


def test_several_models_are_averaged(
    deepchem_ead,  # noqa: F811
    predictor,
    mixed_file,
    tmp_path,
):
    other = tmp_path / "other"
    model = EGNNPropertyModel(["gap", "alpha"], **TINY_PREDICTOR, seed=1)
    table, _ = load_sample()
    properties = {name: table.properties[name][:80].astype(float) for name in ("gap", "alpha")}
    batch = MoleculeBatch.from_padded(table.to_padded(29)[:80], properties=properties)
    model.fit(batch.to_dataset(29, tasks=["gap", "alpha"]), nb_epoch=1, checkpoint_interval=0)
    model.save_pretrained(other)
    values = []
    for k, models in enumerate(([predictor], [other], [predictor, other])):
        words = [word for name in models for word in ("-m", name)]
        deepchem_ead("predict", mixed_file, *words, "-o", tmp_path / f"{k}.csv")
        with open(tmp_path / f"{k}.csv", newline="") as stream:
            values.append(float(next(csv.DictReader(stream))["alpha_predicted"]))
    assert abs(values[0] - values[1]) > 1e-3
    assert np.isclose(values[2], (values[0] + values[1]) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["FILE", "-m", "nowhere"], ["no model 'nowhere'"]),
        (["FILE", "-m", "CONDITIONAL"], ["holds an EADModel, not an EGNNPropertyModel"]),
        (["missing.sdf", "-m", "MODEL"], ["missing.sdf: No such file"]),
        (["FILE", "-m", "MODEL", "-o", "a.xyz"], ["a.xyz: predictions are written to .csv"]),
        (["FILE", "-m", "MODEL", "--unit", "gap=D"], ["'D' is none of Hartree"]),
        (["FILE", "-m", "MODEL", "--property", "mu"], ["predicts gap, alpha, not 'mu'"]),
        (["FILE", "-m", "MODEL", "-o", "."], [". is a folder; name a file in it"]),
        (["FILE", "-m", "MODEL", "--unit", "mu=D"], ["predicts gap, alpha, not 'mu'"]),
        (["FILE", "-m", "MODEL", "--unit", "eV"], ["--unit eV: must be of the form NAME=VALUE"]),
    ],
)
def test_predict_refuses_in_one_line(
    words,
    parts,
    deepchem_ead,  # noqa: F811
    predictor,
    conditional,
    mixed_file,
    tmp_path,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    names = {"FILE": mixed_file, "MODEL": predictor, "CONDITIONAL": conditional}
    assert_one_line(deepchem_ead("predict", *(names.get(w, w) for w in words)), *parts)


def test_predict_of_xyz_and_of_nothing(deepchem_ead, predictor, tmp_path):  # noqa: F811
    path = tmp_path / "a.xyz"
    path.write_text("1\n\nO 0 0 zero\n")
    result = deepchem_ead("predict", path, "-m", predictor)
    assert result.code == 0 and "no prediction for 1 of 1 records" in result.err
    words = ["predict", path, "-m", predictor, "-o", tmp_path / "a.sdf"]
    assert_one_line(deepchem_ead(*words), "only the records of an SDF file")
    path.write_text("")
    assert_one_line(deepchem_ead("predict", path, "-m", predictor), "holds no molecules")


def test_digits_follow_the_uncertainty():
    assert predictions._shown(0.21034, 0.0243) == "0.210 +- 0.024"
    assert predictions._shown(71.331, 1.28) == "71.3 +- 1.3"
    assert predictions._shown(-8123.4, 250.0) == "-8123 +- 250"
    assert predictions._shown(1.5, 0.0) == "1.5000 +- 0.0000"
    assert predictions._shown(float("nan"), float("nan")) == "-"


# --------------------------------------------------------------------------------------- design


@pytest.fixture(scope="module")
def many_molecules(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "many.sdf"
    table, _ = load_sample()
    MoleculeBatch.from_padded(table.to_padded(29)[::40]).to_sdf(path)
    return str(path)


def test_design_from_a_file(deepchem_ead, predictor, many_molecules, tmp_path):  # noqa: F811
    out = tmp_path / "designs.sdf"
    words = ["design", "--molecules", many_molecules, "--predictor", predictor, "--top", 12]
    result = deepchem_ead(
        *words, "-c", "gap=6.5eV", "-c", "alpha=75", "--tolerance", "gap=2eV",
        "--max-sa", 6, "--reference", many_molecules, "-o", out,
    )  # fmt: skip
    assert result.code == 1 and not out.exists()
    assert "passes 'novel'; generate more" in result.err
    result = deepchem_ead(
        *words, "-c", "gap=6.5eV", "-c", "alpha=75", "--tolerance", "gap=2eV", "--max-sa", 6,
        "-o", out,
    )  # fmt: skip
    assert result.code == 0, result.err
    stages = re.findall(r"^(\w.*?) {2,}(\d+) +[\d.]+%$", result.out, re.M)
    assert [name for name, _ in stages] == [
        "generated", "valid (strict)", "unique", "SA score up to 6", "predictable",
        "within the tolerance", "kept",
    ]  # fmt: skip
    assert stages[0][1] == "50" and stages[-1][1] == "12"
    assert "gap/eV" in result.out and "alpha/Bohr^3" in result.out
    assert "... and 2 more" in result.out and f"12 molecules in {out}" in result.out
    found = tags(out)
    assert len(found) == 12
    for record in found:
        assert (record["gap_requested"], record["gap_unit"]) == ("6.5", "eV")
        assert abs(float(record["gap_predicted"]) - 6.5) <= 2
        assert float(record["sa_score"]) <= 6 and 0 <= float(record["chance_within"]) <= 1
        assert float(record["gap_uncertainty"]) > 0 and Chem.MolFromSmiles(record["SMILES"])
    assert_one_line(deepchem_ead(*words, "-c", "gap=6.5eV", "-o", out), "exists")


def test_design_generates(deepchem_ead, conditional, predictor, tmp_path):  # noqa: F811
    """The tiny model makes nothing valid: the funnel is printed, and why nothing is written."""
    out = tmp_path / "designs.sdf"
    words = ["design", "-m", conditional, "--predictor", predictor, "-o", out]
    words += ["-n", 4, "--n-atoms", 12, "--steps", 5]
    result = deepchem_ead(*words, "-c", "gap=6.5eV", "--guidance-scale", 1)
    assert result.code == 1 and not out.exists()
    assert re.search(r"generated +4 +100.0%", result.out)
    assert "no molecule is left: none of 4 passes 'valid (strict)'" in result.err
    assert "--protocol edm" in result.err and "cannot be asked" not in result.out
    result = deepchem_ead(*words, "-c", "alpha=70")
    assert f"{conditional} cannot be asked for alpha: only chosen by it" in result.out
    result = deepchem_ead(*words, "-c", "alpha=70", "--guide", predictor)
    assert result.code == 1 and "cannot be asked" not in result.out


@pytest.mark.parametrize(
    "words, parts",
    [
        (["-c", "gpa=1"], ["the predictor knows no 'gpa'; it predicts gap, alpha"]),
        (["-c", "gap=1parsec"], ["the unit 'parsec' is none of Hartree"]),
        (["-c", "gap=1", "--tolerance", "-1"], ["tolerance of gap must be positive"]),
        (["-c", "gap=1", "--tolerance", "mu=1"], ["the tolerance is for 'mu'"]),
        (["-c", "gap=1", "-c", "alpha=1", "--tolerance", "1"], ["give one by name"]),
        (["-c", "gap=1", "-o", "a.pdb"], ["a.pdb: unknown kind"]),
        (["-c", "gap=1", "-o", "."], [". is a folder; name a file in it"]),
        (["-c", "gap=1", "--reference", "qm8"], ["no file 'qm8'"]),
    ],
)
def test_design_refuses_in_one_line(
    words,
    parts,
    deepchem_ead,  # noqa: F811
    predictor,
    many_molecules,
    tmp_path,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    words = ["design", "--molecules", many_molecules, "--predictor", predictor, *words]
    assert_one_line(deepchem_ead(*words), *parts)
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------- info


@pytest.mark.parametrize("command", ["train-predictor", "predict", "design"])
def test_help_is_text_for_people(command, deepchem_ead):  # noqa: F811
    result = deepchem_ead(command, "--help")
    assert result.code == 0
    assert "None" not in result.out and "StrEnum" not in result.out


def test_info_lists_both_kinds_of_models(deepchem_ead):  # noqa: F811
    result = deepchem_ead("info")
    lines = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert "qm9-small" in lines["trained models"] and "oracle-small" in lines["predictor presets"]
    assert "qm9-small" not in lines["trained predictors"]

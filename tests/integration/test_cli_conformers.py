"""``deepchem-ead conformers``: files in, conformers out, every record answered for."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from cli_data import assert_one_line
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import EADModel, MoleculeBatch

pytestmark = pytest.mark.usefixtures("data_folder")

SMILES = """C[C@H](O)c1ccccc1 alpha
CC.O a salt
notsmiles bad

[H]OC([H])([H])C explicit
F/C=C/CC(=O)[O-]
"""
ETKDG = ["--method", "etkdg", "--n", 5]


def read(path):
    return [mol for mol in Chem.SDMolSupplier(str(path), removeHs=False)]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_of_smiles_is_answered_for(deepchem_ead, tmp_path):
    (tmp_path / "in.smi").write_text(SMILES)
    out = tmp_path / "confs.sdf"
    words = ["conformers", tmp_path / "in.smi", *ETKDG, "--relax", "mmff94", "--out", out]
    result = deepchem_ead(*words)
    assert result.code == 0, result.err
    assert (
        "conformers of 5 molecules" in result.out and "ETKDGv3, relaxed with mmff94s" in result.out
    )
    assert "without conformers: 2" in result.out
    assert "warning: record 2: 'CC.O' consists of 2 parts" in result.err
    table = rows(tmp_path / "confs.csv")
    assert [row["status"] for row in table] == ["ok", "failed", "failed", "ok", "ok"]
    assert "is not a SMILES" in table[2]["reason"] and table[1]["name"] == "a salt"
    found = read(out)
    assert [mol.GetIntProp("input_record") for mol in found] == sorted(
        int(row["record"]) for row in table for _ in range(int(row["conformers"]))
    )
    for mol in found:
        row = table[mol.GetIntProp("input_record") - 1]
        assert mol.GetProp("_Name") == (row["name"] or f"molecule-{row['record']}")
        assert mol.GetProp("SMILES") == row["smiles"] and mol.GetProp("input") == row["input"]
        assert (mol.GetProp("method"), mol.GetProp("relaxed")) == ("ETKDGv3", "mmff94s")
        assert mol.GetDoubleProp("relative_energy_kcal_mol") >= 0
    explicit = next(mol for mol in found if mol.GetProp("_Name") == "explicit")
    assert "".join(atom.GetSymbol() for atom in explicit.GetAtoms()) == "HOCHHCHHH"
    assert_one_line(deepchem_ead(*words), "exists; remove it")


def test_an_sdf_keeps_its_numbers_and_its_conformers_take_part(deepchem_ead, tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)CN"))
    AllChem.EmbedMolecule(mol, randomSeed=3)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    mol = Chem.RenumberAtoms(mol, order)
    mol.SetProp("_Name", "mine")
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        writer.write(mol)
    text = (tmp_path / "in.sdf").read_text()
    wrong = text.replace(" C  ", " Xx ")
    (tmp_path / "in.sdf").write_text(text + wrong + "\n".join(["x", "$$$$", ""]))
    words = ["conformers", tmp_path / "in.sdf", *ETKDG, "--prune", 0]
    result = deepchem_ead(*words, "--out", tmp_path / "a.sdf", "--start")
    assert result.code == 0 and "without conformers: 2" in result.out, result.err
    found = read(tmp_path / "a.sdf")
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    assert all([a.GetAtomicNum() for a in each.GetAtoms()] == numbers for each in found)
    assert [each.GetProp("origin") for each in found] == ["start"] + ["drawn"] * 4
    own = mol.GetConformer().GetPositions()
    assert np.allclose(found[0].GetConformer().GetPositions(), own, atol=1e-3)
    assert deepchem_ead(*words, "--out", tmp_path / "b.sdf").code == 0
    note = "ETKDGv3 does not begin at coordinates: those given take part as conformers"
    assert f"{note} (1 of 3 molecules)" in result.out and found[1].GetProp("start") == note
    assert rows(tmp_path / "a.csv")[0]["start"] == note
    assert "coordinates were not used" in rows(tmp_path / "b.csv")[0]["notes"]


def test_forms_and_selection(deepchem_ead, tmp_path):
    out = tmp_path / "c.sdf"
    words = ["conformers", "CC(O)C(F)N", *ETKDG, "--for", "screening", "--keep", 1]
    result = deepchem_ead(*words, "--enumerate", "stereo", "--out", out)
    assert result.code == 0, result.err
    found = read(out)
    assert len(found) == 4 and len({mol.GetProp("SMILES") for mol in found}) == 4
    assert min(mol.GetDoubleProp("relative_energy_kcal_mol") for mol in found) == 0
    weights = sum(mol.GetDoubleProp("boltzmann_weight") for mol in found)
    assert weights == pytest.approx(1, abs=1e-5)


def test_a_molecule_does_not_depend_on_the_others(deepchem_ead, tmp_path):
    (tmp_path / "in.csv").write_text("name,smiles\na,CCCO\nb,CC(N)C=O\n")
    assert (
        deepchem_ead("conformers", tmp_path / "in.csv", *ETKDG, "-o", tmp_path / "c.sdf").code == 0
    )
    assert deepchem_ead("conformers", "CC(N)C=O", *ETKDG, "-o", tmp_path / "one.sdf").code == 0
    both = [m for m in read(tmp_path / "c.sdf") if m.GetProp("_Name") == "b"]
    alone = read(tmp_path / "one.sdf")
    assert len(both) == len(alone) > 0
    for one, other in zip(both, alone, strict=True):
        x, y = one.GetConformer().GetPositions(), other.GetConformer().GetPositions()
        assert np.array_equal(x, y)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["CCO", "--model", "qm9-1"],
            "have not learned to find conformers of a graph: they do not know",
        ),
        (["CC.O", *ETKDG], "error: 'CC.O' consists of 2 parts"),
        (["none.smi", *ETKDG], "No such file"),
        (["mol.xyz", *ETKDG], "files do not hold; give a SMILES"),
        ([__file__, *ETKDG], ".py: unknown kind of file; use .smi, .csv"),
        (["CCO", *ETKDG, "--enumerate", "salts"], "choose protonation, tautomers, stereo"),
        (["CBr", *ETKDG, "--relax", "ani2xt"], "ANI-2xt does not know Br"),
        (["CCO", *ETKDG, "--start-level", 100], "is for a model that begins at coordinates"),
        (["CCO", *ETKDG, "--steps", 9], "--steps is for a model, and ETKDGv3 is none"),
        (["CCO", *ETKDG, "--stepper", "ddim"], "--stepper is for a model"),
        (["CCO", *ETKDG, "--ph", 5], "--ph is for comparing protonation states: give --enumerate"),
    ],
)
def test_what_cannot_be_done_is_one_line(deepchem_ead, tmp_path, monkeypatch, words, message):
    """With nothing written."""
    small = EADModel("qm9-small", n_layers=1, n_features=32)
    monkeypatch.setattr(EADModel, "from_pretrained", lambda name: small)
    result = deepchem_ead("conformers", *words, "--out", tmp_path / "c.sdf")
    assert_one_line(result, message)
    if words == ["CCO"]:
        assert "or take --method etkdg" in result.err
    assert not list(tmp_path.iterdir())


def test_judge_compares_conformers_with_a_reference(deepchem_ead, tmp_path):
    for seed, name in ((0, "a.sdf"), (1, "b.sdf")):
        words = ["CCC(C)O", *ETKDG, "--prune", 0, "--seed", seed, "--out", tmp_path / name]
        assert deepchem_ead("conformers", *words).code == 0
    words = ["judge", tmp_path / "a.sdf", "--conformers", tmp_path / "b.sdf", "--suite", "fast"]
    result = deepchem_ead(*words, "--workers", 1)
    assert result.code == 0 and "cov_recall" in result.out and "left out" in result.out, result.err


# ----------------------------------------------------------------------------------- going on

MANY = "CCO one\nCC.O salt\nCC(O)F three\nnotsmiles four\nCCN five\n"


@pytest.mark.parametrize("suffix", [".sdf", ".xyz"])
def test_an_interrupted_file_is_completed_byte_for_byte(deepchem_ead, tmp_path, suffix):
    (tmp_path / "in.smi").write_text(MANY)
    words = ["conformers", tmp_path / "in.smi", *ETKDG, "--enumerate", "stereo", "--out"]
    whole = tmp_path / f"whole{suffix}"
    assert deepchem_ead(*words, whole).code == 0
    out, table = tmp_path / f"cut{suffix}", tmp_path / "cut.csv"
    data, rows_there = whole.read_bytes(), (tmp_path / "whole.csv").read_bytes()
    lines = [0, *np.cumsum([len(line) for line in rows_there.splitlines(keepends=True)]).tolist()]
    size = len(data)
    for of_out, of_table, kept in (
        (size, len(rows_there), 5), (size - 3, lines[-2], 4), (size // 2, lines[3] - 3, 1),
        (size, lines[4], 2), (size // 2, 0, 0),
    ):  # fmt: skip
        out.write_bytes(data[:of_out])
        table.write_bytes(rows_there[:of_table])
        result = deepchem_ead(*words, out, "--resume")
        assert result.code == 0, result.err
        assert (f"kept from before: those of {kept} molecules" in result.out) == (kept > 0)
        assert out.read_bytes() == data and table.read_bytes() == rows_there
        assert result.out.splitlines()[0].startswith(f"{len(MoleculeBatch.read(whole))} conformers")
    table.unlink()
    assert_one_line(deepchem_ead(*words, out, "--resume"), "there is no", "cannot be resumed")
    assert_one_line(deepchem_ead(*words, out), "exists; remove it", "or pass --resume")


def test_a_model_draws_a_file_together_and_goes_on_with_it(deepchem_ead, tmp_path, monkeypatch):
    from deepchem_ead.conformers.configuration import Configuration

    tiny = EADModel("conformers-qm9", n_layers=1, n_features=32, n_heads=4)
    monkeypatch.setattr(EADModel, "from_pretrained", lambda name: tiny)
    monkeypatch.setattr(Configuration, "righted", lambda self, x, check_bonds: (x, None))
    (tmp_path / "in.smi").write_text(MANY)
    options = ["--n", 2, "--steps", 2, "--prune", 0, "--out"]
    whole, cut = tmp_path / "whole.sdf", tmp_path / "cut.sdf"
    result = deepchem_ead("conformers", tmp_path / "in.smi", *options, whole)
    assert result.code == 0 and "6 conformers of 5 molecules" in result.out, result.err
    table = (tmp_path / "whole.csv").read_text()
    assert [row["status"] for row in rows(tmp_path / "whole.csv")].count("failed") == 2
    cut.write_bytes(whole.read_bytes()[:-9])
    (tmp_path / "cut.csv").write_text("".join(table.splitlines(keepends=True)[:3]))
    result = deepchem_ead("conformers", tmp_path / "in.smi", *options, cut, "--resume")
    assert "kept from before: those of 2 molecules" in result.out, result.err
    assert cut.read_bytes() == whole.read_bytes() and (tmp_path / "cut.csv").read_text() == table
    alone = tmp_path / "alone.sdf"
    assert deepchem_ead("conformers", "CC(O)F", *options, alone).code == 0
    for one, other in zip(read(alone), read(whole)[2:4], strict=True):
        x, y = one.GetConformer().GetPositions(), other.GetConformer().GetPositions()
        assert np.array_equal(x, y)


def test_ctrl_c_keeps_finished_molecules(deepchem_ead, tmp_path, monkeypatch):
    from deepchem_ead.commands.jobs import conformer_file as job

    generate = job.generate_conformers

    def interrupted(*arguments):
        yield next(generate(*arguments))
        raise KeyboardInterrupt

    (tmp_path / "in.smi").write_text("CCO\nCCN\n")
    out = tmp_path / "c.sdf"
    words = ["conformers", tmp_path / "in.smi", *ETKDG, "--prune", 0, "--out", out]
    monkeypatch.setattr(job, "generate_conformers", interrupted)
    result = deepchem_ead(*words)
    assert result.code == 130
    assert f"interrupted with 5 conformers in {out}; --resume adds the rest" in result.err
    monkeypatch.undo()
    assert deepchem_ead(*words, "--resume").code == 0
    assert [m.GetIntProp("input_record") for m in read(out)] == [1] * 5 + [2] * 5


def test_only_the_same_job_is_resumed(deepchem_ead, tmp_path):
    source, out = tmp_path / "in.smi", tmp_path / "c.sdf"
    source.write_text("CCO one\nCCN two\n")
    words = ["conformers", source, *ETKDG, "--out", out]
    assert deepchem_ead(*words).code == 0
    for more, said in (
        (["--seed", 3], "--seed is 3 here and 0 there"), (["--n", 6], "--n is 6 here and 5 there"),
        (["--relax", "mmff94"], "--relax is mmff94 here and the default there"),
        (["--enumerate", "stereo"], "--enumerate is stereo here and the default there"),
        (["--prune", 0], "--prune is 0.0 here and 0.1 there"), (["--start"], "--start is True"),
    ):  # fmt: skip
        assert_one_line(
            deepchem_ead(*words, *more, "--resume"), f"c.csv was begun by another job: {said}"
        )
    data = out.read_bytes()
    out.write_bytes(data[len(data) // 2 :])
    assert_one_line(deepchem_ead(*words, "--resume"), "cannot be resumed")
    out.write_bytes(data)
    source.write_text("CCO one\nCCC two\n")
    assert_one_line(
        deepchem_ead(*words, "--resume"), "its record 2 is 'two', where the input has 'two'"
    )
    source.write_text("CCO one\n")
    assert_one_line(deepchem_ead(*words, "--resume"), "it has more records than the 1 of the input")
    source.write_text("CCO one\nCCN two\nCCF three\n")  # an input that has grown
    assert deepchem_ead(*words, "--resume").code == 0
    assert out.read_bytes().startswith(data) and len(rows(tmp_path / "c.csv")) == 3

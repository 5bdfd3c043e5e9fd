"""Molecules chosen by predicted properties: what is filtered, how it is ranked, what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import deepchem as dc
import numpy as np
import pytest
from joint_data import QUICK, joint_model, sample_molecules
from property_data import labelled, small_model
from rdkit import Chem, RDConfig
from rdkit.Chem import AllChem
from rdkit.Chem.rdMolTransforms import SetDihedralDeg

import deepchem_ead
from deepchem_ead import MoleculeBatch
from deepchem_ead.chem.synthesis import sa_scores
from deepchem_ead.designs.design import design, select_molecules
from deepchem_ead.designs.targets import (
    Target,
    chance_within,
    distances_to,
    read_targets,
    within,
)
from deepchem_ead.generation.condition_values import parse_quantity
from deepchem_ead.metrics import strict
from deepchem_ead.models.predictors import as_predictor
from deepchem_ead.molnet.sample import load_sample

EV = 1 / 27.2114


def embedded(*smiles: str) -> MoleculeBatch:
    mols = []
    for text in smiles:
        mol = Chem.AddHs(Chem.MolFromSmiles(text))
        assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
        AllChem.MMFFOptimizeMolecule(mol)
        mols.append(mol)
    return MoleculeBatch.from_rdkit(mols)


@pytest.fixture(scope="module")
def alcohols():
    """Methanol to butanol: one to four carbon atoms."""
    return embedded("CO", "CCO", "CCCO", "CCCCO")


@pytest.fixture(scope="module")
def sample():
    table, _ = load_sample()
    return MoleculeBatch.from_padded(table.to_padded(29)[::20])


class Carbons:
    """Predicts the number of carbon and of hydrogen atoms; cannot judge methanol."""

    tasks = ["carbons", "hydrogens"]

    def predict(self, molecules):
        counts = [[(z == 6).sum(), (z == 1).sum()] for z in molecules.numbers]
        return np.where(np.array(counts)[:, :1] > 1, counts, np.nan)


class Gap:
    """As `Carbons`, as a property with units: 0.1 Hartree for each carbon, more or less."""

    tasks = ["gap"]
    has_uncertainty = True

    def predict(self, molecules):
        return self.predict_with_uncertainty(molecules)[0]

    def predict_with_uncertainty(self, molecules):
        carbons = np.array([[(z == 6).sum()] for z in molecules.numbers], float)
        return 0.1 * carbons, np.full_like(carbons, 0.01)


# ---------------------------------------------------------------------------------- SA score


def test_sa_score_is_rdkits():
    assert (Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py").exists()
    names = ["CC(=O)Oc1ccccc1C(=O)O", "CCO", "C1CC2CC1C2"]
    mols = [Chem.MolFromSmiles(name) for name in names]
    found = sa_scores(mols)
    assert found.round(2).tolist()[:2] == [1.58, 1.98]
    assert found[2] > 2.5  # a bridged ring is harder than a chain
    # Explicit hydrogens change nothing.
    assert np.array_equal(sa_scores([Chem.AddHs(mol) for mol in mols]), found)
    assert np.isnan(sa_scores([None, Chem.Mol()])).all()


def test_sa_scores_of_qm9_are_as_documented():
    table, _ = load_sample()
    scores = sa_scores([Chem.MolFromSmiles(text) for text in table.smiles[::4]])
    assert np.isfinite(scores).all() and (scores >= 1).all() and (scores <= 10).all()
    assert abs(np.median(scores) - 4.24) < 0.1
    assert abs((scores > 5).mean() - 0.22) < 0.03


# ------------------------------------------------------------------------- structures, bonds


def test_structure_is_what_the_strict_protocol_judged(sample):
    n = 0
    for numbers, positions in zip(sample.numbers, sample.positions, strict=True):
        score = strict.score(numbers, positions)
        mol = strict.structure(numbers, positions)
        assert (mol is not None) == score.valid
        if mol is not None:
            n += 1
            assert Chem.MolToSmiles(mol, isomericSmiles=False) == score.smiles
            assert np.array_equal(mol.GetConformer().GetPositions().astype(np.float32), positions)
    assert n > 90
    far = embedded("CO", "CC")
    fragments = np.concatenate([far.atoms(0)[0], far.atoms(1)[0]])
    apart = np.concatenate([far.atoms(0)[1], far.atoms(1)[1] + 20])
    assert strict.structure(fragments, apart) is None
    assert strict.structure(np.zeros(0, int), np.zeros((0, 3))) is None


def test_written_molecules_have_the_bonds_that_were_judged(sample, tmp_path):
    batch = sample[:40]
    result = select_molecules(batch, {"carbons": 5}, Carbons(), progress=False)
    assert len(result) > 30
    found = dict(zip(result.table["molecule"], result.molecules.smiles, strict=True))
    assert found == {k: batch.smiles[k] for k in found}
    assert result.table["smiles"].tolist() == result.molecules.smiles
    result.write(tmp_path / "designs.sdf")
    read = list(Chem.SDMolSupplier(str(tmp_path / "designs.sdf")))
    assert [Chem.MolToSmiles(mol) for mol in read] == result.molecules.smiles
    assert [mol.GetProp("SMILES") for mol in read] == result.molecules.smiles
    nitro = select_molecules(embedded("CC[N+](=O)[O-]"), {"carbons": 3}, Carbons(), progress=False)
    nitro.write(tmp_path / "nitro.sdf")
    assert Chem.MolToSmiles(Chem.MolFromMolFile(str(tmp_path / "nitro.sdf"))) == "CC[N+](=O)[O-]"


# ------------------------------------------------------------------------- funnel and ranking


def test_every_stage_of_the_funnel(alcohols):
    radical = MoleculeBatch.from_arrays([[6, 1]], [[[0, 0, 0], [1.09, 0, 0]]])
    empty = MoleculeBatch.from_arrays([[]], [np.zeros((0, 3))])
    broken = MoleculeBatch.from_arrays([[8, 1]], [[[0, 0, 0], [np.nan, 0, 0]]])
    batch = MoleculeBatch.concatenate([radical, alcohols, empty, alcohols[[1, 2]], broken])
    result = select_molecules(
        batch, {"carbons": 4}, Carbons(), top=1, tolerance=1.5, max_sa=6,
        reference=["CCO"], progress=False,
    )  # fmt: skip
    assert result.funnel == {
        "generated": 9,
        "valid (strict)": 6,  # the alcohols, two of them twice
        "unique": 4,
        "novel": 3,  # without ethanol
        "SA score up to 6": 3,
        "predictable": 2,  # without methanol
        "within the tolerance": 2,
        "kept": 1,
    }
    assert result.table["smiles"].tolist() == ["CCCCO"]
    assert result.table["molecule"].tolist() == [4]
    assert np.array_equal(result.molecules.atoms(0)[1], alcohols.atoms(3)[1])
    assert result.message == "" and len(result) == 1


def test_the_first_of_equal_molecules_counts(alcohols):
    moved = MoleculeBatch.from_arrays(alcohols.numbers, [x + 3 for x in alcohols.positions])
    batch = MoleculeBatch.concatenate([alcohols, moved])
    result = select_molecules(batch, {"carbons": 2}, Carbons(), progress=False)
    assert sorted(result.table["molecule"]) == [1, 2, 3]


def test_edm_validity_still_wants_one_molecule(alcohols):
    water = embedded("O")
    numbers = np.concatenate([alcohols.atoms(1)[0], water.atoms(0)[0]])
    positions = np.concatenate([alcohols.atoms(1)[1], water.atoms(0)[1] + 15])
    batch = MoleculeBatch.concatenate(
        [MoleculeBatch.from_arrays([numbers], [positions]), alcohols[2]]
    )
    result = select_molecules(batch, {"carbons": 2}, Carbons(), protocol="edm", progress=False)
    assert result.funnel["valid (edm)"] == 1
    assert result.table["smiles"].tolist() == ["CCCO"]


def test_a_suite_keeps_what_is_sound(alcohols):
    mols = alcohols.to_rdkit()
    SetDihedralDeg(mols[1].GetConformer(), 2, 1, 0, 3, 0.0)  # eclipsed
    given = MoleculeBatch.from_rdkit(mols)
    asked = ({"carbons": 2}, Carbons())
    assert select_molecules(given, *asked).funnel["unique"] == 4
    result = select_molecules(given, *asked, suite={"checks": ["rotors"]}, progress=False)
    assert result.funnel["sound (given)"] == 3
    assert "CCO" not in set(result.table["smiles"])
    with pytest.raises(ValueError, match="unknown suite 'fats'"):
        select_molecules(given, *asked, suite="fats")


def test_ranking_is_by_the_distance_to_all_targets(alcohols):
    result = select_molecules(alcohols, {"carbons": 3}, Carbons(), progress=False)
    assert result.table["carbons_predicted"].tolist() == [3, 2, 4]
    assert "carbons_uncertainty" not in result.table and "chance_within" not in result.table
    both = select_molecules(
        alcohols, {"carbons": 2, "hydrogens": 10}, Carbons(),
        tolerance={"carbons": 1, "hydrogens": 4}, progress=False,
    )  # fmt: skip
    # ethanol (2, 6), propanol (3, 8); butanol (4, 10) is two carbons off
    assert both.table["smiles"].tolist() == ["CCO", "CCCO"]
    expected = [np.sqrt((0 + 1) / 2), np.sqrt((1 + 0.25) / 2)]
    assert np.allclose(both.table["distance"], expected)


def test_values_are_shown_in_the_unit_they_were_asked_in(alcohols, tmp_path):
    result = select_molecules(
        alcohols, {"gap": "5.5 eV"}, Gap(), tolerance="0.1 Hartree", progress=False
    )
    assert result.table["smiles"].tolist() == ["CCO", "CCCO"]
    assert np.allclose(result.table["gap_predicted"] * EV, [0.2, 0.3])
    assert np.allclose(result.table["gap_uncertainty"] * EV, 0.01)
    assert result.table["chance_within"].is_monotonic_decreasing
    properties = result.molecules.properties
    assert properties["gap_requested"].tolist() == [5.5, 5.5]
    assert properties["gap_unit"].tolist() == ["eV", "eV"]
    assert result.molecules.ids == ["design 1", "design 2"]
    assert "gap/eV" in str(result) and "100.0%" in str(result)
    result.write(tmp_path / "designs.sdf")
    again = MoleculeBatch.read(tmp_path / "designs.sdf")
    assert np.allclose(again.properties["gap_predicted"], result.table["gap_predicted"], rtol=1e-5)
    assert again.properties["gap_unit"].tolist() == ["eV", "eV"]
    assert np.isfinite(again.properties["sa_score"]).all()


def target(value, tolerance=None, name="mu"):
    limit = np.nan if tolerance is None else tolerance
    return Target(name, parse_quantity(name, value), limit)


def test_distance_is_in_units_of_tolerance_uncertainty_or_spread():
    predicted = np.array([[1.0], [3.0], [4.0]])
    assert np.allclose(distances_to(predicted, None, [target(1.0, 0.5)]), [0, 4, 6])
    uncertainty = np.array([[0.1], [2.0], [5.0]])
    # The median, so that a molecule does not come closer by being uncertain.
    assert np.allclose(distances_to(predicted, uncertainty, [target(1.0)]), [0, 1, 1.5])
    spread = np.abs(predicted - predicted.mean()).mean()
    assert np.allclose(distances_to(predicted, None, [target(1.0)]) * spread, [0, 2, 3])
    assert distances_to(np.full((2, 1), 3.0), None, [target(1.0)]).tolist() == [2, 2]
    assert distances_to(np.zeros((0, 1)), None, [target(1.0)]).shape == (0,)


def test_the_tolerance_itself_is_inside_and_open_properties_do_not_count():
    predicted = np.array([[2.0, 9.0], [2.5, 9.0], [2.500001, 9.0]])
    assert within(predicted, [target(2.0, 0.5), target(0.0)]).tolist() == [True, True, False]


def test_chance_is_that_of_laplace_errors():
    rng = np.random.default_rng(0)
    targets = [target(2.0, 0.5), target(1.0, 1.0), target(7.0)]
    predicted = np.array([[2.2, 0.1, 99.0], [3.0, 1.0, 99.0], [2.0, 1.0, 0.0]])
    std = np.array([[0.3, 0.8, 1.0], [0.4, 0.5, 1.0], [0.0, 0.0, 0.0]])
    errors = rng.laplace(scale=1 / np.sqrt(2), size=(200_000, 1, 2))
    truth = predicted[:, :2] + std[:, :2] * errors
    hit = (np.abs(truth - [2.0, 1.0]) <= [0.5, 1.0]).all(2).mean(0)
    assert np.allclose(chance_within(predicted, std, targets), hit, atol=0.005)


# --------------------------------------------------------------------------- nothing is left


@pytest.mark.parametrize(
    "options, parts",
    [
        (dict(reference=["CCO", "CCCO", "CO", "CCCCO"]), ["none of 4 passes 'novel'", "reference"]),
        (dict(max_sa=1.1), ["none of 4 passes 'SA score up to 1.1'", "the lowest SA score is 1."]),
        (dict(tolerance=0.5), ["passes 'within the tolerance'", "carbons=4: raise the tolerance"]),
    ],
)
def test_an_empty_result_says_why_and_what_may_help(options, parts, alcohols, tmp_path):
    result = select_molecules(alcohols, {"carbons": 9}, Carbons(), progress=False, **options)
    assert len(result) == len(result.table) == len(result.molecules) == 0
    assert result.funnel["kept"] == 0
    for part in parts:
        assert part in result.message and part in str(result)
    with pytest.raises(ValueError, match="no molecules to draw: no molecule is left"):
        result.grid(tmp_path / "none.png")


def test_nothing_valid_and_nothing_predictable(alcohols):
    broken = MoleculeBatch.from_arrays([[6, 1]] * 2, [[[0, 0, 0], [1.09, 0, 0]]] * 2)
    result = select_molecules(broken, {"carbons": 1}, Carbons(), progress=False)
    assert "none of 2 passes 'valid (strict)'; generate more" in result.message
    methanol = select_molecules(alcohols[0], {"carbons": 1}, Carbons(), progress=False)
    assert "none of 1 passes 'predictable'; choose a predictor" in methanol.message


@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(conditions={}), "name at least one property"),
        (dict(conditions={"gap": 1}), "the predictor knows no 'gap'; it predicts carbons, hydro"),
        (dict(conditions={"carbons": "2 eV"}), "no unit is known for 'carbons'"),
        (dict(conditions={"carbons": "many"}), "'many' is not a number"),
        (dict(conditions={"carbons": None}), "carbons must be a number, not None"),
        (dict(conditions={"carbons": [1, 2]}), "carbons: give one value, not 2"),
        (dict(tolerance=0), "the tolerance of carbons must be positive, not 0"),
        (dict(tolerance={"gap": 1}), "the tolerance is for 'gap', but wanted: carbons"),
        (dict(conditions={"carbons": 1, "hydrogens": 2}, tolerance=1), "give one by name"),
        (dict(top=0), "top must be at least 1, not 0"),
        (dict(n=0), "n is 0"),
        (dict(max_sa=11), "max_sa must lie between 1 .* and 10"),
        (dict(protocol="loose"), "unknown protocol 'loose'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_generated(arguments, text):
    def generate(*args, **kwargs):
        raise AssertionError("generated")

    model = SimpleNamespace(config=SimpleNamespace(condition_names=()), generate=generate)
    arguments = {"conditions": {"carbons": 2}} | arguments
    with pytest.raises(ValueError, match=text):
        design(model, predictor=Carbons(), **arguments)


# ------------------------------------------------------------------- generators and predictors


def test_the_generator_is_asked_for_what_it_knows(alcohols):
    calls = []

    def generate(n, **options):
        calls.append((n, options))
        return alcohols

    model = SimpleNamespace(config=SimpleNamespace(condition_names=("carbons",)), generate=generate)
    wanted = {"carbons": 3, "hydrogens": 8}
    result = deepchem_ead.design(
        model, wanted, Carbons(), n=4, top=2, seed=5, guidance_scale=1.5, progress=False
    )
    options = {"conditions": {"carbons": 3}, "progress": False, "seed": 5, "guidance_scale": 1.5}
    options["guide"] = None
    assert calls == [(4, options)]
    assert result.table["smiles"][0] == "CCCO" and len(result) == 2
    guide = SimpleNamespace(tasks=["hydrogens"], property_of=None)
    deepchem_ead.design(model, wanted, Carbons(), n=4, guide=guide, progress=False)
    assert calls[1] == (4, {"conditions": wanted, "guide": guide, "progress": False})


def test_design_around_a_part_is_edit_and_then_the_same(alcohols):
    calls = []

    def edit(mol, **options):
        calls.append((mol, options))
        return replace(alcohols, info={"kept": 3})

    model = SimpleNamespace(config=SimpleNamespace(condition_names=("carbons",)), edit=edit)
    result = deepchem_ead.design(
        model, {"carbons": 3, "hydrogens": 8}, Carbons(), n=4, top=2, start=alcohols[0], keep="CO",
        grow=(2, 5), seed=5, progress=False,
    )  # fmt: skip
    mol, asked = calls[0]
    assert mol.smiles == alcohols[0].smiles and asked["conditions"] == {"carbons": 3}
    wanted = {"n": 4, "keep": "CO", "grow": (2, 5), "attach": None, "seed": 5, "guide": None}
    assert asked.items() >= wanted.items()
    assert len(result) == 2 and result.molecules.info["kept"] == 3


def test_design_around_a_part_with_a_guide(tmp_path):
    """A molecule made in two steps need not be any good."""
    oracle = small_model(["gap", "mu"], tmp_path)
    oracle.fit(labelled(["gap", "mu"], slice(64)), nb_epoch=1, checkpoint_interval=0)
    source, seen = sample_molecules()[[100]], []
    model = joint_model()
    result = deepchem_ead.design(
        model, {"gap": "6 eV"}, oracle, n=1, start=source, keep=[0, 1], guide=oracle,
        protocol="edm", callback=lambda step: seen.append(step["step"]), **QUICK,
    )  # fmt: skip
    assert result.funnel["generated"] == 1 and seen


def test_own_bonds_that_leave_electrons_unpaired_give_way_to_those_of_the_protocol(alcohols):
    graph = alcohols.graph(1)
    broken = MoleculeBatch.from_arrays(
        alcohols.numbers[1:2], alcohols.positions[1:2], bonds=[graph.bonds[1:]],
        info={"sampled": True},
    )  # fmt: skip
    result = select_molecules(broken, {"carbons": 2}, Carbons(), progress=False)
    assert result.table["smiles"].tolist() == ["CCO"]


def test_a_number_to_keep_is_called_top_now(alcohols):
    with pytest.warns(DeprecationWarning, match="keep=1 is called top=1 now"):
        result = select_molecules(alcohols, {"carbons": 4}, Carbons(), keep=1, progress=False)
    assert len(result) == 1
    model = SimpleNamespace(
        config=SimpleNamespace(condition_names=()), generate=lambda n, **_: alcohols
    )
    with pytest.warns(DeprecationWarning, match="keep=2 is called top=2 now"):
        result = deepchem_ead.design(model, {"carbons": 4}, Carbons(), keep=2, progress=False)
    assert len(result) == 2


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"keep": "CO"}, "keep='CO' names atoms .* give the molecule, start="),
        ({"attach": [0]}, r"attach=\[0\] is about a part of a molecule: give it as start="),
        ({"grow": 3}, "grow=3 is about a part"),
        ({"start": "mol", "keep": 5}, r"keep=5: .* keep=\[5\] for one; .* top=5"),
        ({"start": "mol", "keep": "CO", "keep_positions": [0]}, "give one of them"),
        ({"start": "mol", "keep": "S"}, "keep='S' matches nothing in"),
    ],
)
def test_parts_that_cannot_be_kept_are_refused(part, message):
    if "start" in part:
        part = {**part, "start": sample_molecules()[[100]]}
    with pytest.raises(ValueError, match=message):
        deepchem_ead.design(joint_model(), {"carbons": 4}, Carbons(), **part, **QUICK)


def test_a_real_generator_and_a_property_model(tmp_path):
    """From shipped weights to a result, whatever it is: three molecules in 9 steps are no good."""
    oracle = small_model(["gap", "mu"], tmp_path)
    oracle.fit(labelled(["gap", "mu"], slice(64)), nb_epoch=1, checkpoint_interval=0)
    options = dict(n=3, steps=9, n_atoms=5, seed=1, progress=False)
    result = deepchem_ead.design("qm9-small", {"gap": "7 eV"}, oracle, protocol="edm", **options)
    assert result.funnel["generated"] == 3
    assert len(result) == result.funnel["kept"] == len(result.mols)
    assert bool(result.message) == (len(result) == 0)


def test_predictions_of_a_property_model_with_uncertainty(sample, tmp_path):
    oracle = small_model(["gap", "mu"], tmp_path)
    oracle.fit(labelled(["gap", "mu"], slice(200)), nb_epoch=2, checkpoint_interval=0)
    result = select_molecules(sample, {"mu": "2 D"}, oracle, top=5, tolerance="3 D", progress=False)
    chosen = result.molecules
    mean, std = oracle.predict_molecules_uncertainty(chosen)
    assert np.allclose(result.table["mu_predicted"], mean[:, 1], atol=1e-5)
    assert np.allclose(result.table["mu_uncertainty"], std[:, 1], rtol=1e-4)
    assert len(result) == 5 and result.table["distance"].is_monotonic_increasing
    assert result.table["chance_within"].between(0, 1).all()


def test_any_deepchem_model_can_judge(sample, tmp_path):
    """MultitaskRegressor on fingerprints of the strict SMILES."""
    featurizer = dc.feat.CircularFingerprint(size=256, radius=2)
    smiles = [text for text in sample.smiles if text]
    y = np.array([[text.count("O")] for text in smiles], float)
    dataset = dc.data.NumpyDataset(np.array(featurizer.featurize(smiles)), y)
    model = dc.models.MultitaskRegressor(1, 256, layer_sizes=[64], dropouts=0.0)
    model.fit(dataset, nb_epoch=40)
    judge = as_predictor(model, featurizer, tasks=["oxygens"])
    result = select_molecules(sample, {"oxygens": 3}, judge, top=4, progress=False)
    assert len(result) == 4
    assert all(text.upper().count("O") >= 2 for text in result.table["smiles"])
    assert "oxygens_uncertainty" not in result.table


# -------------------------------------------------------------------------------------- files


def test_files_and_picture(alcohols, tmp_path):
    result = select_molecules(alcohols, {"gap": "5 eV"}, Gap(), progress=False)
    for name in ("a.sdf", "a.xyz", "a.smi", "a.csv"):
        result.write(tmp_path / name)
    assert len(MoleculeBatch.read(tmp_path / "a.xyz")) == 4
    lines = (tmp_path / "a.smi").read_text().splitlines()
    assert lines[0] == f"{result.table['smiles'][0]}\tdesign 1"
    assert (tmp_path / "a.csv").read_text().startswith("molecule,smiles,gap_predicted")
    assert result.grid(tmp_path / "a.png", n=3).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="unknown kind of molecule file"):
        result.write(tmp_path / "a.pdb")


def test_targets_read_units_and_tolerances():
    (gap, mu) = read_targets({"gap": "5.4eV", "mu": 2}, {"gap": "300 meV"}, ["gap", "mu"])
    assert np.isclose(gap.value, 5.4 * EV) and np.isclose(gap.tolerance, 0.3 * EV)
    assert (gap.unit, mu.unit) == ("eV", "Debye") and np.isnan(mu.tolerance)
    assert gap.show(0.2) == "5.442 eV" and gap.quantity.written == 5.4

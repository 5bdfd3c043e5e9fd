"""`Molecule3DFeaturizer`: geometry, alignment of labels, and what it refuses."""

from __future__ import annotations

import deepchem as dc
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat import Molecule3DFeaturizer
from deepchem_ead.molnet.sample import load_sample

# A triple bond in a three-membered ring: a valid SMILES without any conformer.
UNEMBEDDABLE = "C1#CC1"


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def test_smiles_become_padded_float32_with_hydrogens():
    X = Molecule3DFeaturizer().featurize(["CCO", "C"])
    assert X.shape == (2, 29, 4) and X.dtype == np.float32
    assert X[0, :, 3].astype(int).tolist() == [6, 6, 8] + 6 * [1] + 20 * [0]
    assert not X[0, 9:].any()
    np.testing.assert_allclose(X[0, :9, :3].mean(axis=0), 0, atol=1e-6)
    distances = np.linalg.norm(X[1, 1:5, :3] - X[1, 0, :3], axis=1)
    np.testing.assert_allclose(distances, 1.09, atol=0.05)


def test_given_conformer_is_kept_exactly_and_in_order():
    mol = embedded("OCC=O")
    positions = mol.GetConformer().GetPositions()
    X = Molecule3DFeaturizer().featurize(mol)[0]
    n = mol.GetNumAtoms()
    np.testing.assert_allclose(X[:n, :3], positions - positions.mean(axis=0), atol=1e-6)
    assert X[:n, 3].astype(int).tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]


def test_embed_mode_ignores_the_given_conformer():
    mol = embedded("OCC=O")
    kept = Molecule3DFeaturizer().featurize(mol)
    anew = Molecule3DFeaturizer(conformer="embed").featurize(mol)
    assert np.abs(kept - anew).max() > 0.01


def test_embedding_depends_on_the_seed_and_on_nothing_else():
    one = Molecule3DFeaturizer(seed=3).featurize("CC(N)C(=O)O")[0]
    among_others = Molecule3DFeaturizer(seed=3).featurize(["CCO", "N", "CC(N)C(=O)O"])[2]
    other_seed = Molecule3DFeaturizer(seed=4).featurize("CC(N)C(=O)O")[0]
    np.testing.assert_array_equal(one, among_others)
    assert np.abs(one - other_seed).max() > 0.01


def test_canonical_order_makes_atom_orders_equal():
    featurizer = Molecule3DFeaturizer(use_original_atoms_order=False)
    a, b = featurizer.featurize(["OCC#N", "N#CCO"])
    np.testing.assert_array_equal(a[:, 3], b[:, 3])


def test_flat_drawing_and_missing_hydrogens_are_not_taken_for_a_conformer():
    drawing = Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(drawing)
    np.testing.assert_array_equal(
        Molecule3DFeaturizer().featurize(drawing), Molecule3DFeaturizer().featurize("CCO")
    )
    without_hydrogens = Chem.RemoveHs(embedded("CCCCO"))
    with pytest.raises(MoleculeError, match="hydrogen"):
        Molecule3DFeaturizer(strict=True).featurize(without_hydrogens)


def test_real_qm9_geometries_pass_through():
    table, _ = load_sample()
    from deepchem_ead.chem.rdkit_io import bare_molecule

    mols = [bare_molecule(*table.numbers_and_positions(i)) for i in range(50)]
    X = Molecule3DFeaturizer(conformer="given").featurize(mols)
    np.testing.assert_allclose(X, table.select(np.arange(50)).to_padded(29), atol=1e-6)


def test_bad_molecules_are_skipped_and_reported_with_index_and_reason():
    featurizer = Molecule3DFeaturizer()
    with pytest.warns(UserWarning, match="skipped 3 of 5 molecules: molecule 1: 'not a smiles'"):
        X = featurizer.featurize(["C", "not a smiles", None, "", "N"])
    assert X.shape == (5, 29, 4) and X.dtype == np.float32
    assert not X[1:4].any() and X[0].any() and X[4].any()
    assert [i for i, _ in featurizer.failures] == [1, 2, 3]
    featurizer.featurize(["C"])
    assert featurizer.failures == []


def test_no_conformer_in_given_mode_is_skipped():
    featurizer = Molecule3DFeaturizer(conformer="given")
    with pytest.warns(UserWarning, match="no conformer"):
        X = featurizer.featurize(["CCO"])
    assert not X.any()


def test_failed_embedding_is_skipped():
    featurizer = Molecule3DFeaturizer()
    with pytest.warns(UserWarning, match="embedded"):
        featurizer.featurize(UNEMBEDDABLE)
    assert "embedded" in featurizer.failures[0][1]


def test_strict_mode_raises_naming_the_molecule():
    with pytest.raises(MoleculeError, match="molecule 1: 'C1CC' is not a SMILES"):
        Molecule3DFeaturizer(strict=True).featurize(["C", "C1CC"])


@pytest.mark.parametrize(
    ("options", "molecule", "message"),
    [
        ({"max_atoms": 8}, "CCO", r"molecule 0: 'CCO' has 9 atoms.*max_atoms=8"),
        ({}, "CCCl", r"molecule 0: 'CCCl' contains Cl.*elements='H,C,N,O,F'"),
        ({}, "CC*", r"contains '\*'"),
        ({}, Chem.Mol(), "has 0 atoms"),
    ],
)
def test_size_and_element_errors_always_raise(options, molecule, message):
    with pytest.raises(ValueError, match=message):
        Molecule3DFeaturizer(**options).featurize([molecule])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_coordinates_raise(value):
    mol = embedded("CO")
    mol.GetConformer().SetAtomPosition(2, [value, 0.0, 0.0])
    with pytest.raises(ValueError, match="molecule 0.*at atom 2"):
        Molecule3DFeaturizer().featurize([mol])


def test_fragments_charges_radicals_and_single_atoms_are_accepted():
    X = Molecule3DFeaturizer().featurize(["C.O", "[NH4+]", "[CH3]", "[H]", "F"])
    assert (X[..., 3] > 0).sum(axis=1).tolist() == [8, 5, 4, 1, 2]
    assert np.isfinite(X).all() and not X[3, 0, :3].any()


@pytest.mark.parametrize(
    "options",
    [{"max_atoms": 0}, {"conformer": "best"}, {"seed": -1}, {"elements": "H,Xx"}],
)
def test_wrong_arguments_raise(options):
    with pytest.raises(ValueError):
        Molecule3DFeaturizer(**options)


def test_names_of_cache_folders_tell_settings_apart():
    names = {
        str(Molecule3DFeaturizer(**options))
        for options in ({}, {"elements": "C,H"}, {"max_atoms": 9}, {"seed": 1})
    }
    assert len(names) == 4
    assert "max_atoms=29" in repr(Molecule3DFeaturizer())


def test_csv_loader_drops_bad_smiles_and_keeps_labels_aligned(tmp_path):
    smiles = ["C", "bad(", "CC", "CCC", "", UNEMBEDDABLE, "CCCC", "xyz", "O"]
    carbons = [s.count("C") if set(s) <= {"C"} else -1 for s in smiles]
    pd.DataFrame({"smiles": smiles, "carbons": carbons}).to_csv(tmp_path / "m.csv")
    loader = dc.data.CSVLoader(
        ["carbons"], feature_field="smiles", featurizer=Molecule3DFeaturizer()
    )
    with pytest.warns(UserWarning, match="skipped"):
        dataset = loader.create_dataset(str(tmp_path / "m.csv"), shard_size=4)
    assert dataset.ids.tolist() == ["C", "CC", "CCC", "CCCC", "O"]
    assert dataset.X.dtype == np.float32 and dataset.X.shape == (5, 29, 4)
    assert (dataset.X[:, :, 3] == 6).sum(axis=1)[:4].tolist() == dataset.y[:4, 0].tolist()
    assert (dataset.w == 1).all()


def test_csv_loader_does_not_hide_size_errors(tmp_path):
    pd.DataFrame({"smiles": ["CCO"], "y": [1.0]}).to_csv(tmp_path / "m.csv")
    loader = dc.data.CSVLoader(
        ["y"], feature_field="smiles", featurizer=Molecule3DFeaturizer(max_atoms=3)
    )
    with pytest.raises(ValueError, match="max_atoms=3"):
        loader.create_dataset(str(tmp_path / "m.csv"))

"""`Molecule3DFeaturizer`: geometry, alignment of labels, and what it refuses."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import warnings

import deepchem as dc
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Geometry import Point3D

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.rdkit_io import bare_molecule
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat import Molecule3DFeaturizer
from deepchem_ead.feat.embedding import embed
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


def test_fragments_charges_radicals_isotopes_and_single_atoms_are_accepted_and_said():
    with pytest.warns(UserWarning) as warned:
        X = Molecule3DFeaturizer().featurize(["C.O", "[NH4+]", "[CH3]", "[H]", "F", " [2H]O[2H] "])
    assert (X[..., 3] > 0).sum(axis=1).tolist() == [8, 5, 4, 1, 2, 3]
    assert np.isfinite(X).all() and not X[3, 0, :3].any()
    charges, radicals, isotopes = (str(w.message) for w in warned)
    assert "formal_charges=True" in charges and charges.endswith(": molecule 1 ('[NH4+]')")
    assert "unpaired electrons are left out: molecule 2 ('[CH3]'), molecule 3" in radicals
    assert "isotopes" in isotopes and "molecule 5" in isotopes


def test_formal_charges_are_a_fifth_column():
    featurizer = Molecule3DFeaturizer(formal_charges=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X = featurizer.featurize(["C[N+](=O)[O-]", "[NH3+]CC(=O)[O-]", "CC(=O)[O-]", "C"])
    assert X.shape == (4, 29, 5) and X.dtype == np.float32
    assert X[:, :, 4].sum(axis=1).tolist() == [0, 0, -1, 0]
    assert [X[0, i, 3:].tolist() for i in (1, 3)] == [[7, 1], [8, -1]]
    assert str(featurizer) != str(Molecule3DFeaturizer())


@pytest.mark.parametrize(
    "smiles", ["O.O", "CC(=O)O.CN", "c1ccccc1.F.F", "[H][H].[H][H]", ".".join(10 * "C"), "O.CCCO.N"]
)
def test_fragments_are_placed_side_by_side(smiles):
    featurizer = Molecule3DFeaturizer(max_atoms=60)
    X = featurizer.featurize([smiles])[0]
    positions = X[X[:, 3] > 0, :3]
    parts = Chem.GetMolFrags(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    gaps = [
        np.linalg.norm(positions[list(a), None] - positions[None, list(b)], axis=-1).min()
        for a, b in itertools.combinations(parts, 2)
    ]
    # Twice hydrogen's van der Waals radius; touching, not scattered.
    assert min(gaps) > 2.39 and min(gaps) < 4
    np.testing.assert_array_equal(X, featurizer.featurize(["C", smiles])[1])


def test_atoms_on_top_of_each_other_are_skipped_with_the_distance():
    mol = embedded("CCO")
    conformer = mol.GetConformer()
    conformer.SetAtomPosition(8, conformer.GetAtomPosition(2) + Point3D(0.1, 0, 0))
    featurizer = Molecule3DFeaturizer()
    with pytest.warns(UserWarning, match=r"2 \(O\) and 8 \(H\) are 0.10 Angstrom apart"):
        X = featurizer.featurize([mol, "C"])
    assert not X[0].any() and X[1].any() and featurizer.failures[0][0] == 0
    with pytest.raises(MoleculeError, match="on top of each other"):
        Molecule3DFeaturizer(strict=True).featurize(mol)


def test_a_search_without_end_is_a_failure_with_its_reason():
    # A triple bond in a five-membered ring; RDKit searches for minutes.
    featurizer = Molecule3DFeaturizer(max_atoms=100, time_limit=0.5)
    with pytest.warns(UserWarning, match="cannot be embedded in 3D within 0.5 s.*time_limit"):
        X = featurizer.featurize(["C1#CCCC1" + 20 * "C", "CCO"])
    assert not X[0].any() and X[1].any()
    np.testing.assert_array_equal(X[1], Molecule3DFeaturizer(max_atoms=100).featurize("CCO")[0])


# Charged, zwitterionic, nitro, sulfone, triple bonds, aromatic, in two pieces, and large.
WITH_BONDS = [
    "C[N+](C)(C)C", "[NH3+][C@@H](C)C(=O)[O-]", "O=[N+]([O-])c1ccccc1", "CS(=O)(=O)c1ccsc1",
    "C#CC#N", "C[n+]1cc[nH]c1", "c1ccc2[nH]ccc2c1", "[Na+].[Cl-]", "F/C=C/F",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)NCCc1c[nH]c2ccc(OCC#N)cc12",
]  # fmt: skip


def test_bonds_survive_files_featurizer_and_datasets(tmp_path):
    mols = [embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), seed=0) for smiles in WITH_BONDS]
    MoleculeBatch.from_rdkit(mols).to_sdf(tmp_path / "a.sdf")
    elements = "H,C,N,O,F,Na,S,Cl"
    featurizer = Molecule3DFeaturizer(max_atoms=64, elements=elements, bonds=True)
    read = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
    X = featurizer.featurize(read)
    assert X.shape == (len(mols), 64, 11) and X.dtype == np.float32 and not featurizer.failures
    plain = Molecule3DFeaturizer(max_atoms=64, elements=elements, formal_charges=True)
    np.testing.assert_array_equal(X[:, :, :5], plain.featurize(read))
    dataset = dc.data.DiskDataset.from_numpy(X, ids=WITH_BONDS, data_dir=str(tmp_path / "set"))
    MoleculeBatch.from_padded(dataset.X).to_sdf(tmp_path / "b.sdf")
    for smiles, before, after in zip(
        WITH_BONDS, mols, Chem.SDMolSupplier(str(tmp_path / "b.sdf"), removeHs=False), strict=True
    ):
        assert Chem.MolToInchi(after) == Chem.MolToInchi(before)
        assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(after))) == Chem.CanonSmiles(smiles)


def test_bonds_that_are_not_given_are_perceived_or_said_to_be_unknown():
    bare, radical = (MoleculeBatch.from_rdkit([embedded(s)]) for s in ("CC(=O)O", "C[CH2]"))
    mols = [bare_molecule(batch.atomic_numbers, batch.coordinates) for batch in (bare, radical)]
    featurizer = Molecule3DFeaturizer(bonds=True)
    with pytest.warns(UserWarning, match="bonds are not known.*molecule 1"):
        X = featurizer.featurize(mols)
    np.testing.assert_array_equal(X[0], bare.to_padded(29, with_bonds=True)[0])
    assert X[1, : len(radical.atomic_numbers), 5].tolist() == [-1] * len(radical.atomic_numbers)


def test_bonds_that_columns_cannot_hold_are_a_failure():
    ligand = embedded("N")
    complexed = Chem.RWMol(ligand)
    zinc = complexed.AddAtom(Chem.Atom("Zn"))
    complexed.AddBond(0, zinc, Chem.BondType.DATIVE)
    complexed.GetConformer().SetAtomPosition(zinc, Point3D(0, 0, 3))
    featurizer = Molecule3DFeaturizer(bonds=True, elements="H,N,Zn")
    with pytest.warns(UserWarning, match="skipped 1 of 2"):
        X = featurizer.featurize([complexed.GetMol(), ligand])
    assert not X[0].any() and X[1, 0, 5:8].tolist() == [9, 17, 25]
    assert [i for i, _ in featurizer.failures] == [0] and "dative" in featurizer.failures[0][1]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
@pytest.mark.parametrize("smiles", ["C1#CCCC1" + 20 * "C", UNEMBEDDABLE])
def test_ctrl_c_ends_a_search(smiles):
    featurizer = Molecule3DFeaturizer(max_atoms=100)
    ended = threading.Event()

    def press():
        # RDKit loses one in ten, so that people press again.
        while not ended.wait(0.3):
            os.kill(os.getpid(), signal.SIGINT)

    presses = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        presses.start()
        try:
            featurizer.featurize(1000 * [smiles])
        finally:
            ended.set()
    presses.join()


@pytest.mark.parametrize(
    "options",
    [{"max_atoms": 0}, {"time_limit": 0}, {"conformer": "b"}, {"seed": -1}, {"elements": "H,Xx"}],
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


SMILES = ["C", "bad(", "CC", "x(", "(", "CCC"]


@pytest.mark.parametrize("shard_size", [1, 2, 8192])
def test_deepchems_loaders_leave_out_skipped_molecules_in_any_shard(tmp_path, shard_size):
    featurizer = Molecule3DFeaturizer(max_atoms=12)
    carbons = [float(s.count("C")) for s in SMILES]
    pd.DataFrame({"smiles": SMILES, "y": carbons}).to_csv(tmp_path / "m.csv")
    table = dc.data.CSVLoader(["y"], feature_field="smiles", featurizer=featurizer)
    memory = dc.data.InMemoryLoader(["y"], featurizer=featurizer)
    with pytest.warns(UserWarning, match="skipped"):
        datasets = [
            table.create_dataset(str(tmp_path / "m.csv"), shard_size=shard_size),
            memory.create_dataset(
                [(s, [y], [1.0], s) for s, y in zip(SMILES, carbons, strict=True)],
                shard_size=shard_size,
            ),
        ]
    for dataset in datasets:
        assert dataset.ids.tolist() == ["C", "CC", "CCC"]
        assert (dataset.X[:, :, 3] == 6).sum(axis=1).tolist() == [1, 2, 3]
        assert dataset.y.ravel().tolist() == [1, 2, 3] and dataset.w.ravel().tolist() == [1, 1, 1]


def test_in_memory_loader_numbers_rows_without_ids_and_leaves_other_featurizers_alone():
    loader = dc.data.InMemoryLoader([], featurizer=Molecule3DFeaturizer())
    with pytest.warns(UserWarning, match="skipped 1 of 2"):
        dataset = loader.create_dataset(["C", "bad(", "N"], shard_size=2)
    assert dataset.ids.tolist() == [0, 2] and (dataset.X[:, 0, 3] == [6, 7]).all()
    other = dc.data.InMemoryLoader(["y"], featurizer=dc.feat.CircularFingerprint(size=8))
    assert other.create_dataset([("C", [1.0]), ("N", [2.0])]).X.shape == (2, 8)

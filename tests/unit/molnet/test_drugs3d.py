"""`load_drugs3d` and the shipped sample of drug-like molecules."""

from __future__ import annotations

from pathlib import Path

import deepchem as dc
import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead import cache
from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.databuild.collect import parts_of
from deepchem_ead.databuild.shards import scaffold_hash
from deepchem_ead.judging.references import find_reference
from deepchem_ead.molnet import Drugs3DTable, drugs3d, find_dataset, load_drugs3d
from deepchem_ead.molnet.drugs3d_table import ARRAYS


@pytest.fixture(scope="module")
def table():
    return Drugs3DTable.sample()


def test_sample_is_small_and_varied(table):
    file = Path(drugs3d.__file__).parent / "data" / "drugs3d_sample.npz"
    assert file.stat().st_size < 1_000_000
    assert len(set(table.all_smiles())) == len(table)
    assert {1, 6, 7, 8, 9, 16, 17, 35, 53} <= set(table.numbers.tolist())
    charges = table.to_batch().charges
    assert (charges > 0).any() and (charges < 0).any()
    assert (table.level == 1).mean() > 0.8
    energies_per_atom = table.ani2xt / table.n_atoms
    assert np.nanmax(energies_per_atom) < -2


def test_every_hundredth_molecule_of_the_sample_is_what_its_smiles_says(table):
    rows = np.arange(0, len(table), 100)
    some = table.select(rows)
    assert some.all_smiles() == [table.smiles_of(i) for i in rows]
    assert some.to_batch().smiles == some.all_smiles()
    assert parts_of(np.array([scaffold_hash(s) for s in some.all_smiles()])).tolist() == (
        some.part.tolist()
    )


def test_sample_loads_as_documented(tmp_path, table):
    tasks, parts, transformers = load_drugs3d(save_dir=str(tmp_path))
    assert tasks == ["ani2xt"] and transformers == []
    for k, dataset in enumerate(parts):
        rows = np.flatnonzero(table.part == k)
        assert isinstance(dataset, dc.data.DiskDataset) and dataset.get_number_shards() == 1
        assert dataset.X.shape == (len(rows), table.n_atoms.max(), 5)
        assert dataset.ids.tolist() == [table.smiles_of(i) for i in rows]
        known = np.isfinite(table.ani2xt[rows])
        assert (dataset.w[:, 0] == known).all()
        np.testing.assert_array_equal(dataset.y[known, 0], table.ani2xt[rows][known])


def test_bonds_are_those_of_the_table(tmp_path, table):
    (train, *_), (with_bonds, *_) = (
        load_drugs3d(save_dir=str(tmp_path), bonds=bonds)[1] for bonds in (False, True)
    )
    assert with_bonds.X.shape == (*train.X.shape[:2], 11)
    np.testing.assert_array_equal(with_bonds.X[:, :, :5], train.X)
    assert with_bonds.ids.tolist() == train.ids.tolist() and (with_bonds.y == train.y).all()
    part = table.select(np.flatnonzero(table.part == 0)[:50])
    bonds = with_bonds.X[:50, :, 5:].astype(int)
    assert (bonds % 8 == 4).sum() == 2 * part.aromatic.sum()
    assert MoleculeBatch.from_padded(with_bonds.X[:50]).smiles == part.to_batch().smiles
    with pytest.raises(ValueError, match="bonds=True.*leave featurizer out"):
        load_drugs3d(bonds=True, featurizer=dc.feat.MACCSKeysFingerprint())


def test_levels_featurizers_splitters_and_transformers(tmp_path):
    options = {"reload": False, "save_dir": str(tmp_path)}
    _, parts, _ = load_drugs3d(levels=["ani2xt"], transformers=["normalization"], **options)
    assert all((part.w == 1).all() for part in parts)
    assert abs(parts[0].y.mean()) < 1e-6
    (prints,) = load_drugs3d(
        featurizer=dc.feat.MACCSKeysFingerprint(), splitter=None, levels="mmff94s", **options
    )[1]
    assert prints.X.shape[1] == 167
    mols = [Chem.MolFromSmiles(smiles) for smiles in prints.ids]
    assert all(mols)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tasks": ["gap"]}, "unknown: gap"), ({"levels": ["dft"]}, "levels=.*ani2xt"),
     ({"splitter": "best"}, "splitter='best'"),
     ({"featurizer": dc.feat.Molecule3DFeaturizer(max_atoms=9)}, "max_atoms=9")],
)  # fmt: skip
def test_wrong_arguments_are_told(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_drugs3d(reload=False, save_dir=str(tmp_path), **options)


def test_data_that_is_not_there_is_told_how_to_make(tmp_path):
    with pytest.raises(FileNotFoundError, match="deepchem-ead data build drugs3d"):
        load_drugs3d(tmp_path)


def test_found_by_the_name_of_the_sample_and_by_the_folder_of_what_was_built(tmp_path, table):
    sample = find_dataset("drugs3d-sample")
    assert [len(part) for part in sample.parts(["mmff94s"], bonds=True)] == np.bincount(
        table.part
    ).tolist()
    folder, rows = tmp_path / "few", np.arange(40)
    arrays = folder / ARRAYS
    arrays.mkdir(parents=True)
    for name, values in table.select(rows).arrays.items():
        np.save(arrays / f"{name}.npy", values)
    cache.seal(arrays)
    built = find_dataset(folder)
    assert built.name == "few"
    train, valid, test = built.parts()
    assert len(train) == int((table.part[rows] == 0).sum()) and train.X.shape[2] == 5
    for reference in (folder, str(folder)):
        assert find_reference(reference, None, 5, 0).name == "few"
    assert find_dataset(tmp_path / "missing.sdf") is None


def test_a_folder_whose_build_was_stopped_is_told_to_go_on(tmp_path):
    (tmp_path / "shards").mkdir()
    with pytest.raises(FileNotFoundError, match="no data set in the folder .* command again"):
        find_dataset(tmp_path)

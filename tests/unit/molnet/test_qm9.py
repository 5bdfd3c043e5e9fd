"""`load_qm9_3d` and the pieces under it, on the shipped sample; the full set is marked slow."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

import deepchem as dc
import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.chem.rdkit_io import arrays_from_mol
from deepchem_ead.feat import Molecule3DFeaturizer
from deepchem_ead.feat.embedding import embed
from deepchem_ead.molnet import EDMSplitter, edm_halves, load_qm9_3d, qm9, qm9_graphs, qm9pack
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.molnet.splits import edm_parts
from deepchem_ead.molnet.table import MoleculeTable

DATA = Path(__file__).parents[2] / "data"
GOLDEN = json.loads((DATA / "molnet_qm9_golden.json").read_text())
HARTREE_IN_MEV = 27211.4

CSV = """XYZ_file,Index,SMILES,InChi,N_atoms,Stoichiometry,Elements,XYZ_Ang,Dipole_debye,\
Polarizability_bohr3,HOMO_au,LUMO_au,HOMO_LUMO_gap_au,R2_bohr2,ZPVE_au,InternalEnergy_0K_au,\
InternalEnergy_298K_au,Enthalphy_298K_au,GibbsFreeEnergy_298K_au,Heatcapacity_Cv_cal_mol_K
"b.xyz",4,"OC","x",2,"[0]","['C','O']","[[1.,.5,-.25],[2.1*^-6,-3.*^1,0.]]",\
1.,13.21,-0.3877,0.1171,0.5048,35.3641,0.044749,-40.47893,-40.476062,-40.475117,-40.498597,6.469
"a.xyz",3,"O","x",1,"[0]","['O']","[[0.,0.,1.]]",\
0.,6.31,-.1,2.*^-3,.3,19.,0.02,-76.,-76.,-76.,-76.,6.002
"""


def load(tmp_path, **options):
    options = {"source": "sample", "data_dir": str(tmp_path), "save_dir": str(tmp_path)} | options
    return load_qm9_3d(**options)


def test_parser_reads_mathematica_numbers_and_sorts_by_index(tmp_path):
    (tmp_path / "q.csv").write_text(CSV)
    table = qm9pack.parse_qm9pack([tmp_path / "q.csv"], progress=False)
    assert table.index.tolist() == [3, 4] and table.smiles.tolist() == ["O", "CO"]
    assert table.atomic_numbers.tolist() == [8, 6, 8]
    np.testing.assert_array_equal(
        table.coordinates, np.float32([[0, 0, 1], [1, 0.5, -0.25], [2.1e-6, -30, 0]])
    )
    assert table.properties["lumo"].tolist() == [2e-3, 0.1171]


def test_parser_names_a_malformed_record(tmp_path):
    (tmp_path / "q.csv").write_text(CSV.replace("['C','O']", "['C']"))
    with pytest.raises(ValueError, match="molecule 4.*N_atoms is 2"):
        qm9pack.parse_qm9pack([tmp_path / "q.csv"], progress=False)


def test_table_survives_its_cache_file_and_refuses_a_damaged_one(tmp_path):
    table, _ = load_sample()
    table.save(tmp_path / "t.npz")
    again = MoleculeTable.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.to_padded(29), table.to_padded(29))
    assert again.smiles.tolist() == table.smiles.tolist()
    assert list(again.properties) == list(table.properties)
    broken = table.select(np.arange(3))
    np.savez(
        tmp_path / "b.npz",
        **{k: getattr(broken, k) for k in ("atomic_numbers", "coordinates", "smiles", "index")},
        n_atoms=broken.n_atoms + 1,
    )
    with pytest.raises(ValueError, match="different lengths"):
        MoleculeTable.load(tmp_path / "b.npz")


def test_table_selects_molecules_in_any_order():
    table, _ = load_sample()
    rows = np.array([7, 0, 1999, 7])
    np.testing.assert_array_equal(table.select(rows).to_padded(29), table.to_padded(29)[rows])
    with pytest.raises(ValueError, match="max_atoms=5"):
        table.to_padded(5)


def test_sample_is_small_and_agrees_with_the_source(tmp_path):
    file = Path(qm9.__file__).parent / "data" / "qm9_sample.npz"
    assert file.stat().st_size < 1_000_000
    table, parts = load_sample()
    assert len(table) == 2000 and set(parts) == {0, 1, 2}
    for entry in GOLDEN["molecules"]:
        i = int(np.searchsorted(table.index, entry["index"]))
        assert table.index[i] == entry["index"] and parts[i] == entry["part"]
        numbers, positions = table.numbers_and_positions(i)
        assert numbers.tolist() == entry["numbers"]
        wanted = np.array(entry["positions"])
        np.testing.assert_allclose(
            positions - positions.mean(axis=0), wanted - wanted.mean(axis=0), atol=5e-4
        )
        for name, value in entry["properties"].items():
            assert table.properties[name][i] == value


def test_edm_split_of_the_full_set_is_exact():
    parts = edm_parts()
    assert np.bincount(parts).tolist() == [100_000, 17_748, 13_083]
    for part, name in enumerate(("train", "valid", "test")):
        rows = np.flatnonzero(parts == part)
        assert rows[:5].tolist() == GOLDEN["first_rows"][name]
        assert int(rows.sum()) == GOLDEN["sum_of_rows"][name]
    first, second = edm_halves()
    assert first[:5].tolist() == GOLDEN["first_rows"]["first_half"]
    assert second[:5].tolist() == GOLDEN["first_rows"]["second_half"]
    assert sorted([*first, *second]) == list(range(100_000))


def test_edm_splitter_refuses_another_dataset():
    with pytest.raises(ValueError, match="130831 molecules.*has 3"):
        EDMSplitter().split(dc.data.NumpyDataset(np.zeros((3, 1))))


def test_sample_loads_as_documented(tmp_path):
    tasks, (train, valid, test), transformers = load(tmp_path)
    assert tasks == ["alpha", "gap", "homo", "lumo", "mu", "Cv"] and transformers == []
    table, parts = load_sample()
    for part, dataset in enumerate((train, valid, test)):
        rows = np.flatnonzero(parts == part)
        assert isinstance(dataset, dc.data.DiskDataset) and dataset.get_number_shards() == 1
        assert dataset.X.dtype == np.float32
        np.testing.assert_array_equal(dataset.X, table.select(rows).to_padded(29))
        assert dataset.ids.tolist() == table.smiles[rows].tolist()
        assert (dataset.w == 1).all()
        for k, task in enumerate(tasks):
            np.testing.assert_array_equal(dataset.y[:, k], table.properties[task][rows])
    np.testing.assert_allclose(train.y[:, 1], train.y[:, 3] - train.y[:, 2], atol=2e-4)


def test_second_load_reads_the_cache(tmp_path, monkeypatch):
    first = load(tmp_path)[1]
    monkeypatch.setattr(qm9, "load_sample", lambda: pytest.fail("parsed again"))
    start = time.perf_counter()
    second = load(tmp_path)[1]
    assert time.perf_counter() - start < 3
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.X, b.X)
        np.testing.assert_array_equal(a.y, b.y)
        assert a.ids.tolist() == b.ids.tolist()


def test_cache_is_not_shared_between_tasks_or_featurizers(tmp_path):
    load(tmp_path)
    tasks, (train, _, _), _ = load(tmp_path, tasks=["Cv"])
    assert tasks == ["Cv"] and train.y.shape == (len(train), 1)
    padded = load(tmp_path, featurizer=Molecule3DFeaturizer(max_atoms=32))[1][0]
    assert padded.X.shape[1] == 32


@pytest.fixture(scope="module")
def found_once():
    return qm9_graphs.find_graphs(load_sample()[0], progress=False)


@pytest.fixture
def sample_graphs(monkeypatch, found_once):
    monkeypatch.setattr(qm9_graphs, "find_graphs", lambda table, progress: found_once)


def test_bonds_of_all_molecules_of_the_sample_are_those_of_its_smiles(found_once):
    assert not found_once.origin.any()
    batch = qm9_graphs.to_batch(load_sample()[0], found_once.graphs)[::20]
    assert [without_stereo(text) for text in batch.smiles] == batch.ids


def test_bonds_come_beside_what_is_there_without_them(tmp_path, sample_graphs):
    plain = load(tmp_path)[1]
    for _ in range(2):  # made, then read
        bonded = load(tmp_path, bonds=True)[1]
        for a, b in zip(plain, bonded, strict=True):
            assert b.X.shape == (len(a), 29, 11) and b.X.dtype == np.float32
            for name in ("y", "w", "ids"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            np.testing.assert_array_equal(a.X, b.X[:, :, :4])
    np.testing.assert_array_equal(load(tmp_path)[1][0].X, plain[0].X)
    batch = MoleculeBatch.from_padded(bonded[2].X[:50])
    assert [without_stereo(text) for text in batch.smiles] == bonded[2].ids[:50].tolist()


def test_bonds_that_are_not_known_are_not_perceived_by_the_loader(
    tmp_path, monkeypatch, found_once
):
    table = load_sample()[0]
    row = int(np.flatnonzero(["+" in text for text in table.smiles])[0])
    graphs = [
        found_once.graphs.graph(i, slice(*table.offsets[i : i + 2])) for i in range(len(table))
    ]
    graphs[row] = None
    origin = found_once.origin.copy()
    origin[row] = qm9_graphs.ORIGINS.index("unknown")
    found = qm9_graphs.TableGraphs(MolecularGraphs.join(graphs, np.diff(table.offsets)), origin)
    monkeypatch.setattr(qm9_graphs, "find_graphs", lambda table, progress: found)
    everything = load(tmp_path, bonds=True, splitter=None)[1][0]
    unknown = everything.X[row]
    n = int((unknown[:, 3] > 0).sum())
    assert (unknown[:n, 5] == -1).all() and not unknown[:, 4].any()
    assert (everything.X[:, 0, 5] == -1).sum() == 1


def without_stereo(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    Chem.RemoveStereochemistry(mol)
    return Chem.MolToSmiles(Chem.RemoveHs(mol))


def test_charges_of_qm9_are_those_of_its_bonds(tmp_path, sample_graphs):
    charges = load(tmp_path, featurizer=Molecule3DFeaturizer(formal_charges=True))[1][0]
    bonds = load(tmp_path, featurizer=Molecule3DFeaturizer(bonds=True))[1][0]
    assert charges.X.shape[2] == 5 and np.abs(charges.X[:, :, 4]).max() == 1
    np.testing.assert_array_equal(charges.X, bonds.X[:, :, :5])
    zwitterions = [i for i, name in enumerate(charges.ids) if "+" in name]
    assert zwitterions == np.flatnonzero(charges.X[:, :, 4].any(axis=1)).tolist()


def test_bonds_are_not_promised_where_the_featurizer_gives_none(tmp_path):
    for featurizer in (Molecule3DFeaturizer(), dc.feat.MACCSKeysFingerprint()):
        with pytest.raises(ValueError, match="bonds=True.*leave featurizer out"):
            load(tmp_path, bonds=True, featurizer=featurizer)


# Of the first the ring of the SMILES is open, as that of many 1,2,3-oxadiazoles in QM9.
def test_where_smiles_do_not_fit_bonds_are_perceived_or_unknown(tmp_path, monkeypatch):
    mol = embed(Chem.AddHs(Chem.MolFromSmiles("[O-]/C=C\\[N+]#N")), seed=0)
    table = table_of(
        ["O1C=CN=N1", "C", "O", "N"],
        [
            arrays_from_mol(mol)[:2],
            ([6, 1], [[0, 0, 0], [1.1, 0, 0]]),
            ([8, 1, 1], WATER),
            arrays_from_mol(embed(Chem.MolFromSmiles("O=[N+]([O-])[N+](=O)[O-]"), seed=0))[:2],
        ],
    )
    found = qm9_graphs.find_graphs(table, progress=False)
    expected = ["perceived", "unknown", "smiles", "unknown"]
    assert [qm9_graphs.ORIGINS[k] for k in found.origin] == expected
    batch = qm9_graphs.to_batch(table, found.graphs)
    assert batch.smiles[0] == Chem.MolToSmiles(Chem.RemoveHs(mol)) and batch.smiles[1] is None
    X = batch.to_padded(with_bonds=True)
    assert X[1, :2, 5].tolist() == [-1, -1] and X[2, 0, 5:7].tolist() == [9, 17]
    monkeypatch.setattr(qm9pack, "qm9pack_version", lambda: "1.0.3")
    first = qm9_graphs.load_graphs(table, tmp_path, progress=False)
    monkeypatch.setattr(qm9_graphs, "find_graphs", lambda *_: pytest.fail("found again"))
    for again in (first, qm9_graphs.load_graphs(table, tmp_path, progress=False)):
        assert again.origin.tolist() == found.origin.tolist()
        for name, values in vars(found.graphs).items():
            np.testing.assert_array_equal(getattr(again.graphs, name), values)


WATER = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]


def table_of(smiles: list[str], molecules: list) -> MoleculeTable:
    return MoleculeTable(
        np.concatenate([numbers for numbers, _ in molecules]).astype(np.int8),
        np.concatenate([positions for _, positions in molecules]).astype(np.float32),
        np.array([len(numbers) for numbers, _ in molecules], np.int16),
        np.arange(len(molecules), dtype=np.int32),
        np.array(smiles),
        {},
    )


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_damaged_dataset_cache_is_built_again(tmp_path, damage, caplog):
    before = load(tmp_path)[1][0]
    wanted = before.X
    file = Path(before.data_dir) / "shard-0-X.npy"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        file.unlink()
    after = load(tmp_path)[1][0]
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(after.X, wanted)


def test_damaged_raw_cache_is_parsed_again(tmp_path, monkeypatch, caplog):
    table = load_sample()[0].select(np.arange(4))
    monkeypatch.setattr(qm9pack, "qm9pack_version", lambda: "1.0.3")
    monkeypatch.setattr(qm9pack, "parse_qm9pack", lambda progress: table)
    qm9pack.load_qm9pack(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:2000])
    assert len(qm9pack.load_qm9pack(tmp_path)) == 4 and "damaged" in caplog.text
    monkeypatch.setattr(qm9pack, "parse_qm9pack", lambda progress: pytest.fail("parsed again"))
    assert len(qm9pack.load_qm9pack(tmp_path)) == 4


@pytest.mark.parametrize("splitter", ["random", "index", "scaffold", dc.splits.RandomSplitter()])
def test_deepchem_splitters(tmp_path, splitter):
    parts = load(tmp_path, splitter=splitter, reload=False)[1]
    assert sum(map(len, parts)) == 2000 and len(parts[0]) == 1600


def test_no_splitter_gives_one_dataset(tmp_path):
    for _ in range(2):
        (dataset,) = load(tmp_path, splitter=None)[1]
        assert len(dataset) == 2000


def test_transformers_by_name_and_object(tmp_path):
    clip = dc.molnet.load_function.molnet_loader.TransformerGenerator(
        dc.trans.ClippingTransformer, transform_y=True, y_max=1.0
    )
    raw = load(tmp_path)[1][0]
    _, (train, _, _), transformers = load(tmp_path, transformers=["normalization", clip])
    assert len(transformers) == 2 and np.abs(train.y).max() <= 1.0
    plain, normalised = load(tmp_path, transformers=["normalization"])[1:]
    np.testing.assert_allclose(plain[0].y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(normalised[0].untransform(plain[0].y), raw.y, atol=1e-6)


def test_other_featurizers_get_molecules_with_bonds_and_stay_aligned(tmp_path):
    def featurize(mol, **_):
        if any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
            raise ValueError("a zwitterion")
        return np.array([mol.GetNumAtoms(), mol.GetNumBonds()])

    featurizer = dc.feat.MolecularFeaturizer()
    featurizer._featurize = featurize
    with pytest.warns(UserWarning, match="0 without a closed-shell structure, .* could not feat"):
        (dataset,) = load(
            tmp_path, featurizer=featurizer, splitter=None, reload=False, tasks=["alpha", "mu"]
        )[1]
    assert 1900 < len(dataset) < 2000 and (dataset.X[:, 1] > 0).all()
    table, _ = load_sample()
    atoms_of = {
        (s, a): n
        for s, a, n in zip(table.smiles, table.properties["alpha"], table.n_atoms, strict=True)
    }
    found = [atoms_of[s, a] for s, a in zip(dataset.ids, dataset.y[:, 0], strict=True)]
    assert found == dataset.X[:, 0].tolist()


def test_auto_falls_back_to_the_sample_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(qm9, "qm9pack_version", lambda: None)
    with pytest.warns(UserWarning, match="2,000-molecule sample.*pip install qm9pack"):
        parts = load(tmp_path, source="auto")[1]
    assert sum(map(len, parts)) == 2000
    with pytest.raises(FileNotFoundError, match="pip install qm9pack"):
        load(tmp_path, source="qm9pack")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["alpha", "beta"]}, "unknown: beta"),
        ({"tasks": []}, "at least one.*alpha.*Cv_edm"),
        ({"tasks": ["mu", "mu"]}, "each once"),
        ({"source": "web"}, "auto, qm9pack or sample"),
        ({"splitter": "best"}, "edm, index, random"),
        ({"transformers": ["best"]}, "normalization"),
        ({"featurizer": Molecule3DFeaturizer(max_atoms=10)}, "has 1[1-9] atoms.*max_atoms=10"),
        ({"featurizer": Molecule3DFeaturizer(elements="H,C,N,O")}, "contains F"),
    ],
)
def test_wrong_arguments_raise(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **options)


@pytest.fixture(scope="module")
def full_qm9(tmp_path_factory):
    if qm9pack.qm9pack_version() is None:
        pytest.skip("qm9pack is not installed")
    folder = str(tmp_path_factory.mktemp("qm9"))
    tasks = ("alpha", "gap", "homo", "lumo", "mu", "Cv", "Cv_edm")
    load_qm9_3d(data_dir=folder, save_dir=folder, tasks=tasks)
    start = time.perf_counter()
    loaded = load_qm9_3d(data_dir=folder, save_dir=folder, tasks=tasks)
    for dataset in loaded[1]:
        assert len(dataset.X) == len(dataset.y) == len(dataset.ids)
    return loaded, time.perf_counter() - start, folder


@pytest.mark.slow
def test_full_qm9_split_and_reload_time(full_qm9):
    (_, parts, _), seconds, folder = full_qm9
    assert [len(part) for part in parts] == [100_000, 17_748, 13_083]
    assert seconds < 3
    start = time.perf_counter()
    table = qm9pack.load_qm9pack(folder)
    assert time.perf_counter() - start < 3
    assert len(table) == 130_831 and table.n_atoms.max() == 29
    wanted = edm_parts()
    for part, name in enumerate(("train", "valid", "test")):
        ids = table.index[wanted == part]
        assert int(ids.sum()) == GOLDEN["sum_of_gdb9"][name]


@pytest.mark.slow
def test_full_qm9_properties_agree_with_the_published_statistics(full_qm9):
    (tasks, (train, valid, test), _), _, _ = full_qm9
    for dataset, name in ((train, "train_100k"), (valid, "valid_17748"), (test, "test")):
        for k, task in enumerate(tasks):
            golden = GOLDEN["statistics"][task][name]
            unit = HARTREE_IN_MEV if task in ("gap", "homo", "lumo") else 1.0
            y = dataset.y[:, k] * unit
            assert y.mean() == pytest.approx(golden["mean"], rel=1e-6)
            assert np.abs(y - y.mean()).mean() == pytest.approx(golden["mad"], rel=1e-6)


@pytest.mark.slow
def test_sample_rows_are_those_of_the_full_set(full_qm9):
    table = qm9pack.load_qm9pack(full_qm9[2])
    sample, parts = load_sample()
    rows = np.searchsorted(table.index, sample.index)
    full = table.select(rows)
    assert sample.index.tolist() == full.index.tolist()
    assert parts.tolist() == edm_parts()[rows].tolist()
    np.testing.assert_allclose(sample.to_padded(29), full.to_padded(29), atol=5e-4)
    for name, values in full.properties.items():
        np.testing.assert_array_equal(sample.properties[name], values)


@pytest.mark.slow
def test_bonds_of_the_full_set_are_those_of_its_smiles_but_for_45(full_qm9):
    found = qm9_graphs.load_graphs(qm9pack.load_qm9pack(full_qm9[2]), full_qm9[2])
    by_part = [np.bincount(found.origin[edm_parts() == part], minlength=3) for part in range(3)]
    assert np.array(by_part).tolist() == [[99_966, 28, 6], [17_741, 5, 2], [13_079, 3, 1]]


def test_a_full_data_folder_is_named_in_one_line(tmp_path, monkeypatch):
    """DeepChem moves datasets by `shutil`, whose error lists every file it could not copy."""

    def full(source, target, **options):
        raise shutil.Error(
            [("a", f"{target}/w.npy", "[Errno 28] No space left on device: 'a'")] * 6
        )

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "move", full)
        patch.setattr(shutil, "copytree", full)
        with pytest.raises(OSError, match="No space left on device") as told:
            load(tmp_path)
    assert str(tmp_path) in told.value.filename and "w.npy" not in str(told.value)
    assert len(load(tmp_path)[1][0]) == 1539  # what was left half written is made anew


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    """DeepChem writes datasets there first; numpy's error says only how much it has written."""

    def full(*_):
        raise OSError("232000 requested and 224 written")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space left on device") as told:
            load(tmp_path)
    assert told.value.filename == tempfile.gettempdir()

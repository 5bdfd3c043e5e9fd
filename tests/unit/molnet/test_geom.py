"""GEOM in the forms in which it is distributed: what is read, refused, left out, and how much of it
is in memory."""

from __future__ import annotations

import gzip
import pickle
import tarfile
import tracemalloc

import deepchem as dc
import msgpack
import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.molnet import geom, load_conformers, load_geom, read_geom
from deepchem_ead.molnet.geom_graphs import check_corrected, with_bonds

SMILES = ("CC(=O)Nc1ccccc1", "OC[C@H](N)C(=O)[O-]", "C[S@](=O)CCBr", "F/C=C\\CP(O)O", "CC#N")
K = 4


def embedded(smiles, k=K, order=None):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(AllChem.EmbedMultipleConfs(mol, k, randomSeed=7)) == k
    return mol if order is None else Chem.RenumberAtoms(mol, order)


def xyz(mol, k):
    numbers = [float(atom.GetAtomicNum()) for atom in mol.GetAtoms()]
    return np.column_stack([numbers, mol.GetConformer(k).GetPositions()]).tolist()


def crude(mols):
    """Molecules as GEOM's crude files hold them, the highest conformer first."""
    return {
        smiles: {
            "conformers": [
                {"geom_id": k, "set": 1, "degeneracy": 1, "totalenergy": -10.0 - 0.001 * k,
                 "relativeenergy": 0.0, "boltzmannweight": 0.1, "xyz": xyz(mol, k)}
                for k in range(mol.GetNumConformers())
            ],
            "totalconfs": 9, "temperature": 298.15, "charge": Chem.GetFormalCharge(mol),
        }
        for smiles, mol in mols.items()
    }  # fmt: skip


def write_msgpack(path, mols):
    """In maps of two molecules (GEOM's hold a thousand)."""
    items = list(crude(mols).items())
    with open(path, "wb") as stream:
        for k in range(0, len(items), 2):
            stream.write(msgpack.packb(dict(items[k : k + 2])))
    return path


def write_array(path, mols):
    rows, number = [], 0
    for mol in mols.values():
        for k in range(mol.GetNumConformers()):
            own = np.array(xyz(mol, k))
            rows.append(np.column_stack([np.full(len(own), float(number)), own]))
            number += 1
    np.save(path, np.vstack(rows))
    return path


def write_sdf(path, mols):
    path.parent.mkdir(parents=True, exist_ok=True)
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            for conformer in mol.GetConformers():
                writer.write(mol, confId=conformer.GetId())
    return path


MOLS = {smiles: embedded(smiles) for smiles in SMILES}


@pytest.fixture
def forms(tmp_path):
    packed = write_msgpack(tmp_path / "drugs_crude.msgpack", MOLS)
    with tarfile.open(tmp_path / "drugs_crude.msgpack.tar.gz", "w:gz") as archive:
        archive.add(packed, packed.name)
    for k, mol in enumerate(MOLS.values()):
        write_sdf(tmp_path / "sdf" / f"mol{k}.sdf", [mol])
    (tmp_path / "sdf" / "mol1.sdf.gz").write_bytes(
        gzip.compress((tmp_path / "sdf" / "mol1.sdf").read_bytes())
    )
    (tmp_path / "sdf" / "mol1.sdf").unlink()
    return {
        "msgpack": packed,
        "archive": tmp_path / "drugs_crude.msgpack.tar.gz",
        "sdf": tmp_path / "sdf",
        "one sdf": write_sdf(tmp_path / "all.sdf", MOLS.values()),
        "array": write_array(tmp_path / "geom_drugs_30.npy", MOLS),
    }


@pytest.mark.parametrize("form", ["msgpack", "archive", "sdf", "one sdf", "array"])
def test_every_form_holds_the_same_conformers(forms, form):
    found = list(read_geom(forms[form]))
    assert len(found) == len(MOLS)
    for molecule, mol in zip(found, MOLS.values(), strict=True):
        assert molecule.numbers.tolist() == [a.GetAtomicNum() for a in mol.GetAtoms()]
        own = np.array([c.GetPositions() for c in mol.GetConformers()])
        if molecule.energies is not None:  # the lowest first
            own = own[::-1]
            assert np.allclose(np.diff(molecule.energies), 0.6275, atol=1e-3)
        assert np.allclose(molecule.positions, own, atol=1e-4)
    assert [m.first for m in found] == [K * k for k in range(len(MOLS))]
    assert all(len(m.positions) == 2 for m in read_geom(forms[form], conformers=2))


@pytest.mark.parametrize("form", ["msgpack", "sdf", "array"])
@pytest.mark.parametrize("bonds", [False, True])
def test_load_geom(forms, form, bonds, tmp_path):
    path = forms[form]
    tasks, (all_of_it,), _ = load_geom(path, splitter=None, bonds=bonds, max_atoms=30,
                                       save_dir=tmp_path / "cache")  # fmt: skip
    assert dc.molnet.load_geom is load_geom and tasks == ["energy"]
    assert all_of_it.X.shape == (K * len(MOLS), 30, 11 if bonds else 4)
    batch = MoleculeBatch.from_padded(all_of_it.X)
    assert set(batch.counts.tolist()) == {mol.GetNumAtoms() for mol in MOLS.values()}
    assert (all_of_it.w == (form == "msgpack")).all() and all_of_it.y.min() == 0
    if bonds:
        expected = [Chem.CanonSmiles(smiles) for smiles in MOLS for _ in range(K)]
        if form != "array":
            assert batch.smiles == expected
        # Of distances alone the anion's are not known.
        assert batch.smiles.count(None) <= (K if form == "array" else 0)
    elif form != "array":
        assert set(all_of_it.ids) >= {SMILES[0], SMILES[4]}


def test_it_is_written_in_shards_and_kept(forms, tmp_path, monkeypatch):
    monkeypatch.setattr(geom, "SHARD", 6)
    words = {"splitter": None, "max_atoms": 30, "save_dir": tmp_path / "cache"}
    _, (first,), _ = load_geom(forms["msgpack"], **words)
    assert first.get_number_shards() == 4 and len(first) == 20
    monkeypatch.setattr(geom, "_write", None)  # from now on nothing is written
    _, (again,), _ = load_geom(forms["msgpack"], **words)
    assert np.array_equal(first.X, again.X)
    with pytest.raises(TypeError):
        load_geom(forms["msgpack"], **(words | {"conformers": 2}))


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    mol, peaks = MOLS[SMILES[0]], []
    monkeypatch.setattr(geom, "SHARD", 8)
    for n in (20, 120):
        packed = msgpack.packb({f"C{k}": next(iter(crude({"x": mol}).values())) for k in range(n)})
        (tmp_path / f"{n}.msgpack").write_bytes(packed)
        tracemalloc.start()
        for _ in read_geom(tmp_path / f"{n}.msgpack"):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_conformers_of_a_molecule_are_in_one_part(tmp_path):
    mols = {f"{'C' * k}O": embedded(f"{'C' * k}O", 2) for k in range(1, 12)}
    path = write_msgpack(tmp_path / "x.msgpack", mols)
    _, parts, _ = load_geom(path, max_atoms=60, save_dir=tmp_path / "cache")
    ids = [set(part.ids) for part in parts]
    assert set.union(*ids) == set(mols) and sum(map(len, ids)) == len(mols)
    assert sum(len(part) for part in parts) == 2 * len(mols)


def test_names_of_files_and_folders_are_parts(tmp_path):
    for where, smiles in (
        ("train/a.sdf", SMILES[0]),
        ("val/b.sdf", SMILES[1]),
        ("test/c.sdf", SMILES[4]),
    ):
        write_sdf(tmp_path / "x" / where, [MOLS[smiles]])
    _, parts, _ = load_geom(tmp_path / "x", max_atoms=30, save_dir=tmp_path / "cache")
    assert [len(part) for part in parts] == [K, K, K]
    assert [set(part.ids) for part in parts] == [{Chem.CanonSmiles(SMILES[k])} for k in (0, 1, 4)]
    write_sdf(tmp_path / "x" / "other.sdf", [MOLS[SMILES[2]]])
    with pytest.raises(ValueError, match='splitter="given" needs files or folders called train'):
        load_geom(tmp_path / "x", splitter="given", max_atoms=30, save_dir=tmp_path / "cache")


def test_edms_split_is_edms(forms, tmp_path):
    path, order = forms["array"], np.random.RandomState(0).permutation(20).astype("int32")
    words = {"splitter": "edm", "max_atoms": 30, "save_dir": tmp_path / "cache"}
    with pytest.raises(ValueError, match="geom_permutation.npy beside it"):
        load_geom(path, **words)
    np.save(tmp_path / "geom_permutation.npy", order)
    _, parts, _ = load_geom(path, **words)
    every = [m for mol in MOLS.values() for m in [mol.GetNumAtoms()] * K]
    wanted = (order[4:], order[:2], order[2:4])
    for part, rows in zip(parts, wanted, strict=True):
        assert (part.X[:, :, 3] > 0).sum(1).tolist() == [every[k] for k in sorted(rows)]


# ------------------------------------------------------------------------------- bonds and filters


@pytest.mark.parametrize("smiles", SMILES)
def test_bonds_of_a_smiles_are_laid_on_atoms_in_any_order(tmp_path, smiles):
    n = MOLS[smiles].GetNumAtoms()
    order = np.random.default_rng(2).permutation(n).tolist()
    path = write_msgpack(tmp_path / "x.msgpack", {smiles: embedded(smiles, order=order)})
    (molecule,) = read_geom(path)
    mol = with_bonds(molecule)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(smiles)
    assert np.allclose(mol.GetConformer(0).GetPositions(), molecule.positions[0])
    check_corrected(mol)


def stretched(mol, conformer, atom, by):
    copy = Chem.Mol(mol)
    copy.GetConformer(conformer).SetAtomPosition(
        atom, (copy.GetConformer(conformer).GetPositions()[atom] * by).tolist()
    )
    return copy


def test_the_corrected_splits_leave_out_what_theirs_do(tmp_path):
    salt = embedded("CC(=O)[O-].[Na+]")
    broken = stretched(MOLS["CC#N"], 2, 5, 3.0)
    mols = MOLS | {"CC(=O)[O-].[Na+]": salt, "CC#N": broken, "notsmiles": MOLS["CC#N"]}
    path = write_msgpack(tmp_path / "x.msgpack", mols)
    words = {"max_atoms": 30, "splitter": None, "save_dir": tmp_path / "cache"}
    assert len(load_geom(path, **words)[1][0]) == K * 7
    with pytest.warns(UserWarning, match="left out 3 of 7 molecules: ") as caught:
        _, (found,), _ = load_geom(path, corrected=True, **words)
    assert set(found.ids) == set(SMILES[:4])
    said = str(caught[-1].message)
    for reason in ("several parts (1)", "too long or too short in one of its conformers (1)",
                   "RDKit cannot read its SMILES (1)"):  # fmt: skip
        assert reason in said
    # A valence that RDKit refuses.
    five = Chem.RWMol(embedded("CC(C)(C)C"))
    five.GetBondBetweenAtoms(0, 1).SetBondType(Chem.BondType.DOUBLE)
    write_sdf(tmp_path / "bad" / "x.sdf", [five.GetMol(), MOLS[SMILES[0]]])
    with pytest.warns(UserWarning, match=r"left out 1 of 2 .*AtomValenceException \(1\)"):
        load_geom(tmp_path / "bad", corrected=True, **words)


def test_a_geometry_of_another_molecule_is_told():
    (wrong,) = [m._replace(smiles="CC(=O)Nc1ccccc1") for m in _molecules("CC(=O)Cc1ccccc1")]
    with pytest.raises(MoleculeError, match="its SMILES has other atoms than its geometry"):
        with_bonds(wrong)
    (wrong,) = [m._replace(smiles="CCOC") for m in _molecules("CCCO")]
    with pytest.raises(MoleculeError, match="its geometry has other bonds than its SMILES"):
        with_bonds(wrong)


def _molecules(smiles):
    from deepchem_ead.molnet.geom_files import GeomMolecule

    mol = embedded(smiles)
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    x = np.array([c.GetPositions() for c in mol.GetConformers()])
    yield GeomMolecule("x", smiles, numbers, x, None, None, "", 0)


# --------------------------------------------------------------------------------------- ensembles


@pytest.mark.parametrize("form", ["msgpack", "sdf"])
def test_ensembles_of_geom_are_references(forms, form):
    found = load_conformers(forms[form])
    assert found.table["n_conformers"].tolist() == [K] * len(MOLS) and found.missed == {}
    assert found.table["smiles"].tolist() == [Chem.CanonSmiles(s) for s in SMILES]
    report = evaluate_conformers(found.mols, list(MOLS.values()), 0.01, "missed")
    assert report.summary["cov_recall"].tolist() == [1.0]
    assert report.summary["stereo_kept"].tolist() == [1.0]
    if form == "msgpack":
        first = found.mols[0].GetConformers()
        assert [c.GetDoubleProp("relative_energy") for c in first][0] == 0
    some = load_conformers(forms[form], conformers=1, limit=2, corrected=True)
    assert len(some) == 2 and some.mols[0].GetNumConformers() == 1


def test_an_array_has_no_ensembles(forms):
    with pytest.raises(ValueError, match="has no bonds; ensembles need the msgpack or SDF"):
        load_conformers(forms["array"])


# ---------------------------------------------------------------------------------- what is refused


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something was unpickled")

    folder = tmp_path / "rdkit_folder"
    (folder / "drugs").mkdir(parents=True)
    (folder / "drugs" / "x.pickle").write_bytes(pickle.dumps({"rd_mol": 1}))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    for path in (folder, folder / "drugs" / "x.pickle", tmp_path / "objects.npy"):
        for load in (load_geom, load_conformers):
            with pytest.raises(ValueError, match="pickles|has no bonds") as caught:
                load(path)
            assert "drugs_crude.msgpack" in str(caught.value) or path.suffix == ".npy"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.msgpack", b"", "holds no molecules"),
        ("x.msgpack", msgpack.packb([1, 2]), "not the msgpack of GEOM"),
        ("x.msgpack", msgpack.packb({"CC": {"nodes": [1]}}), "not as in GEOM's crude files"),
        ("x.msgpack", msgpack.packb(crude(MOLS))[:5000], "the file is damaged or ends here"),
        ("x.sdf", b"", "hold no molecules"), ("x.sdf", b"nonsense\n\n\n\n$$$$\n", "record 1: not"),
        ("x.npy", b"nonsense", "not a NumPy array|pickles"), ("x.tar.gz", b"", "unpack it first"),
        ("x.txt", b"", "not a form of GEOM"),
    ],
)  # fmt: skip
def test_files_of_something_else_are_refused(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=said):
        load_geom(tmp_path / name, save_dir=tmp_path / "cache")


def test_arrays_of_something_else_are_refused(tmp_path):
    for array, said in (
        (np.zeros((3, 4)), r"an array \(3, 4\) of float64"), (np.zeros((3, 5), int), "of int64"),
        (np.column_stack([np.repeat(np.arange(120.0), 2), np.full((240, 4), 6.0)]), "no hydrogens"),
    ):  # fmt: skip
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(ValueError, match=said):
            load_geom(tmp_path / "x.npy", save_dir=tmp_path / "cache")


def test_options_out_of_range_are_refused(forms, tmp_path):
    for options, said in (
        ({"conformers": 0}, "conformers=0"), ({"splitter": "random"}, "choose molecule, given"),
        ({"max_atoms": 0}, "max_atoms=0"), ({"limit": 0}, "limit=0"),
        ({"max_atoms": 3}, "none of 5 molecules can be used: it has more than 3 atoms"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            load_geom(forms["msgpack"], save_dir=tmp_path / "cache", **options)
    with pytest.raises(ValueError, match="corrected=True looks at bonds, which EDM's array has"):
        load_geom(forms["array"], corrected=True)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_geom(tmp_path / "none.msgpack")

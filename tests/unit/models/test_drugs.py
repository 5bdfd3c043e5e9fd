"""What the shipped weights `drugs` do with drug-like molecules that they have not seen."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from deepchem_ead import EADModel, MoleculeBatch, MoleculeError, perceive_bonds
from deepchem_ead.molnet import load_drugs3d

#: Chlorine, sulphur, a centre, an E double bond: nothing that weights of QM9 know.
GRAPH = "C[C@H](NC(=O)/C=C/c1ccccc1Cl)c1cccs1"
#: The first of the test molecules that has a scaffold.
RINGED = 1


@pytest.fixture(scope="module")
def drugs():
    return EADModel.from_pretrained("drugs")


@pytest.fixture(scope="module")
def known():
    _, (_, _, test), _ = load_drugs3d(bonds=True)
    return MoleculeBatch.from_padded(test.X[:20])


def plain(mol):
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def test_bonds_of_bare_geometries_are_those_of_their_smiles(drugs, known):
    bare = MoleculeBatch.from_arrays(known.numbers, known.positions)
    found = perceive_bonds(bare, model=drugs).to_rdkit()
    right = [mol is not None and plain(mol) == plain(own)
             for mol, own in zip(found, known.to_rdkit(), strict=True)]  # fmt: skip
    assert sum(right) >= 18


def test_conformers_are_those_of_the_graph_and_keep_its_stereo(drugs):
    mol = drugs.conformers(GRAPH, n=2, seed=0, progress=False)
    assert mol.GetNumConformers() == 2
    for conformer in mol.GetConformers():
        made = Chem.Mol(mol, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(made, confId=conformer.GetId())
        assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(made))) == Chem.CanonSmiles(GRAPH)


def test_a_scaffold_is_kept_to_the_last_bit(drugs, known):
    mol = known.to_rdkit()[RINGED]
    scaffold = MurckoScaffold.GetScaffoldForMol(Chem.RemoveHs(mol))
    kept = list(mol.GetSubstructMatch(scaffold))
    found = drugs.edit(mol, keep=kept, n=2, seed=0, steps=10, n_atoms=mol.GetNumAtoms(),
                       progress=False)  # fmt: skip
    own = found.info["kept_atoms"]
    assert set(kept) <= set(own)
    for positions, numbers in zip(found.positions, found.numbers, strict=True):
        np.testing.assert_array_equal(positions[: len(own)], known.positions[RINGED][own])
        np.testing.assert_array_equal(numbers[: len(own)], known.numbers[RINGED][own])


@pytest.mark.parametrize("graph", [GRAPH, "CCCCCCCCCCCC"])
def test_other_weights_name_these_for_what_they_do_not_know(graph):
    with pytest.raises(MoleculeError, match="'drugs' for example"):
        EADModel.from_pretrained("qm9").conformers(graph, n=1, progress=False)

"""What the weights "qm9" that come with the package can do, in few molecules."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import EADModel, MoleculeBatch, perceive_bonds
from deepchem_ead.molnet import load_qm9_3d


@pytest.fixture(scope="module")
def joint():
    return EADModel.from_pretrained("qm9")


def smiles_of(molecules):
    return [mol and Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in molecules.to_rdkit()]


def test_bonds_of_real_geometries_are_perceived():
    _, (_, _, test), _ = load_qm9_3d(source="sample", bonds=True)
    rows = np.arange(0, len(test), 2)[:100]
    found = perceive_bonds(MoleculeBatch.from_padded(test.X[rows][:, :, :4]))
    own = MoleculeBatch.from_padded(test.X[rows])
    assert sum(a == b for a, b in zip(smiles_of(found), smiles_of(own), strict=True)) >= 99


def test_molecules_come_with_bonds_of_their_own_and_most_are_whole(joint):
    found = joint.generate(24, steps=40, seed=0, progress=False)
    whole = [s for s in smiles_of(found) if s and "." not in s]
    assert len(whole) >= 15 and len(set(whole)) >= 15


def test_a_ring_is_kept_and_the_rest_is_new(joint):
    mol = Chem.AddHs(Chem.MolFromSmiles("CCc1ccccc1"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    found = joint.edit(mol, keep="c1ccccc1", n=6, seed=0, steps=40, progress=False)
    kept = found.info["kept_atoms"]
    positions = mol.GetConformer().GetPositions()[kept].astype(np.float32)
    for k, ends in enumerate(zip(found.offsets, found.offsets[1:], strict=False)):
        assert np.array_equal(found.coordinates[slice(*ends)][: len(kept)], positions), k
    ring = Chem.MolFromSmarts("c1ccccc1")
    made = [Chem.MolFromSmiles(s) for s in smiles_of(found) if s]
    assert sum(mol.HasSubstructMatch(ring) for mol in made) >= 3


def test_conformers_have_the_configuration_that_was_asked_for(joint):
    graph = "C[C@H](O)[C@@H](C)C#N"
    found = joint.conformers(graph, n=3, seed=0, steps=40, progress=False)
    assert found.GetNumConformers() == 3
    for conformer in found.GetConformers():
        alone = Chem.Mol(found, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(alone)
        assert Chem.MolToSmiles(Chem.RemoveHs(alone)) == Chem.CanonSmiles(graph)

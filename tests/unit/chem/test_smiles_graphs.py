"""Bonds of a SMILES on the atoms of a geometry."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.smiles_graphs import graph_of_smiles
from deepchem_ead.feat.embedding import embed


def geometry(smiles: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Chem.Mol]:
    """Atoms of a conformer in a random order."""
    mol = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), seed=seed, time_limit=None)
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms())
    mol = Chem.RenumberAtoms(mol, order.tolist())
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return numbers, mol.GetConformer().GetPositions(), mol


@pytest.mark.parametrize(
    "smiles",
    [
        "C", "O", "CC(=O)O", "C[NH2+]CC(=O)[O-]", "N=c1cc[nH]cn1", "C1C2CC1C2", "Cn1cncc1C#N",
        "CC(C)(C)C(C)(C)C", "[O-][N+](=O)c1ccccc1", "C=C=C=O", "FC(F)(F)C(F)(F)F", "C#CC#C",
        "O=C1C=CC(=O)C=C1", "[C-]#[N+]C",
    ],
)  # fmt: skip
def test_bonds_and_charges_follow_the_atoms_whatever_their_order(smiles):
    numbers, positions, mol = geometry(smiles)
    graph = graph_of_smiles(smiles, numbers, positions)
    batch = MoleculeBatch.from_arrays(
        [numbers], [positions], bonds=[graph.bonds], formal_charges=[graph.formal_charges]
    )
    # Stereo of C=N-H and the like comes from the coordinates.
    found, given = batch.to_rdkit()[0], Chem.Mol(mol)
    for each in (found, given):
        Chem.RemoveStereochemistry(each)
    assert Chem.MolToInchi(found) == Chem.MolToInchi(given)
    assert Chem.MolToSmiles(found) == Chem.MolToSmiles(given)
    bonded = {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}
    assert {frozenset(bond) for bond in graph.bonds[:, :2].tolist()} == bonded


@pytest.mark.parametrize("smiles", ["[O-]C(=O)C[NH3+]", "O=C([O-])C[NH3+]", "C([NH3+])C([O-])=O"])
def test_of_equal_atoms_the_nearest_gets_the_double_bond(smiles):
    numbers, positions, mol = geometry("[O-]C(=O)C[NH3+]", seed=3)
    oxygens = np.flatnonzero(numbers == 8)
    carbon = next(
        b.GetOtherAtomIdx(int(oxygens[0])) for b in mol.GetAtomWithIdx(int(oxygens[0])).GetBonds()
    )
    near, far = sorted(oxygens, key=lambda o: np.linalg.norm(positions[o] - positions[carbon]))
    for moved, charged in ((positions, far), (_swapped(positions, near, far), near)):
        graph = graph_of_smiles(smiles, numbers, moved)
        assert graph.formal_charges[charged] == -1 and graph.formal_charges.sum() == 0


def _swapped(positions: np.ndarray, i: int, j: int) -> np.ndarray:
    swapped = positions.copy()
    swapped[[i, j]] = positions[[j, i]]
    return swapped


def test_what_does_not_fit_has_no_graph():
    numbers, positions, _ = geometry("CCO")
    assert graph_of_smiles("COC", numbers, positions) is None
    assert graph_of_smiles("CC=O", numbers, positions) is None
    assert graph_of_smiles("CCN", numbers, positions) is None
    assert graph_of_smiles("no SMILES", numbers, positions) is None
    assert graph_of_smiles("CCO", numbers, np.full_like(positions, np.nan)) is None
    assert graph_of_smiles("CCO", numbers, positions * 1.5) is None
    assert graph_of_smiles("", numbers[:0], positions[:0]) is None

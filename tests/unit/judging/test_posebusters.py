"""PoseBusters: the same answers as the package's own runner, for the groups that tests are for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms

from deepchem_ead import MoleculeBatch, judge
from deepchem_ead.metrics.checks.posebusters import faults
from deepchem_ead.molnet.sample import load_sample


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    AllChem.MMFFOptimizeMolecule(mol, maxIters=2000)
    return mol


def of_qm9(i: int) -> Chem.Mol:
    numbers, positions = load_sample()[0].numbers_and_positions(i)
    return MoleculeBatch.from_arrays([numbers], [positions]).to_rdkit()[0]


def shaken(smiles: str, width: float) -> Chem.Mol:
    mol = embedded(smiles)
    x = mol.GetConformer().GetPositions()
    mol.GetConformer().SetPositions(x + np.random.default_rng(3).normal(0, width, x.shape))
    return mol


def flattened(smiles: str) -> Chem.Mol:
    mol = embedded(smiles)
    x = mol.GetConformer().GetPositions()
    x -= x.mean(axis=0)
    normal = np.linalg.svd(x[[a.GetAtomicNum() > 1 for a in mol.GetAtoms()]])[2][-1]
    mol.GetConformer().SetPositions(x - np.outer(x @ normal, normal))
    return mol


def coiled(smiles: str) -> Chem.Mol:
    mol = embedded(smiles)
    for k in range(3):
        rdMolTransforms.SetDihedralDeg(mol.GetConformer(), k, k + 1, k + 2, k + 3, 0.0)
    return mol


SMILES = (
    "CCO C CC(=O)[O-] C[N+](=O)[O-] CC(=[NH2+])N c1ccncc1 C1CCCCC1 C1=CCCCC1 CCCC(C)(C)CC "
    "O=C(O)c1ccccc1 O=C1CC=CCN1 CC(C)=C(C)C"
).split()


@pytest.mark.parametrize("width", [0.05, 0.25])
def test_faults_are_those_of_the_package(width):
    from posebusters import PoseBusters

    mols = [shaken(text, width) for text in SMILES] + [of_qm9(i) for i in (221, 722, 1429)]
    table = PoseBusters("mol_fast").bust(mols)
    expected = [
        [name for name, passed in row.items() if not pd.isna(passed) and not passed]
        for row in table.to_dict("records")
    ]
    found = [[f.name.replace(" ", "_") for f in faults(mol, "mol_fast")] for mol in mols]
    assert found == expected
    assert "double_bond_flatness" in expected[-3] and "internal_steric_clash" in expected[-1]


@pytest.mark.parametrize(
    ("make", "name", "meant"),
    [
        (lambda: of_qm9(482), "double bond flatness", False),
        (lambda: shaken("CC(C)=C(C)C", 0.3), "double bond flatness", True),
        (lambda: flattened("O=C1CC=CCN1"), "non-aromatic ring non-flatness", False),
        (lambda: flattened("C1CCCCC1"), "non-aromatic ring non-flatness", True),
        (lambda: flattened("C1=CCCCC1"), "non-aromatic ring non-flatness", True),
        (lambda: of_qm9(722), "internal steric clash", False),
        (lambda: coiled("CCCCCC"), "internal steric clash", True),
    ],
)
def test_tests_judge_what_they_are_meant_for(make, name, meant):
    assert {f.name: f.meant for f in faults(make(), "mol_fast")}[name] == meant


def test_energies_are_beside_those_of_conformers():
    """Of the full suite: geometry passes, and the energy is a hundred times theirs."""
    torn = embedded("CCO")
    rdMolTransforms.SetBondLength(torn.GetConformer(), 1, 7, 2.5)  # hydrogens do not count before
    suite = {"checks": [{"posebusters": {"energy": True}}]}
    frame = judge([embedded("CCO"), torn], suite=suite, progress=False).per_molecule
    assert frame["details"].tolist() == ["", "posebusters: internal energy"]


def test_both_numbers_are_told():
    report = judge([of_qm9(221), of_qm9(220)], suite={"checks": ["posebusters"]}, progress=False)
    assert report.per_molecule["sound"].all()
    assert report.summary["value"][["posebusters", "posebusters_as_published"]].tolist() == [1, 0.5]

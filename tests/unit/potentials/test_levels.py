"""Levels of theory: gradients, minima, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.errors import MoleculeError
from deepchem_ead.potentials.levels import GFN2, MAX_FORCE, ANI2xtLevel, MMFF94s, find_level


class Springs:
    """Stands in for ANI-2xt: each atom on a spring."""

    def energy_of(self, numbers):
        return lambda x: (0.05 * float(np.square(x).sum()), 0.1 * x)


def embedded(smiles: str) -> tuple[Chem.Mol, np.ndarray]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return mol, np.array(mol.GetConformer().GetPositions())


@pytest.mark.parametrize(
    ("smiles", "solvent"),
    [("CO", None), ("CC(=O)[O-]", "water"), ("C[NH3+]", "dmso"), ("C[CH2]", None)],
)
def test_gfn2_is_what_its_gradient_says_and_its_minimum_is_one(smiles, solvent):
    pytest.importorskip("tblite")
    mol, x = embedded(smiles)
    level = GFN2(solvent=solvent)
    surface = level.surface(mol)
    direction = np.random.default_rng(0).standard_normal(x.shape)
    step = 1e-3
    ahead, behind = (surface(x + s * step * direction)[0] for s in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx(
        float((surface(x)[1] * direction).sum()), rel=1e-3, abs=1e-3
    )
    found = level.relax(mol, x)
    assert np.linalg.norm(surface(found.positions)[1], axis=1).max() <= MAX_FORCE
    assert found.energy < level.energy(mol, x)
    assert found.energy == pytest.approx(level.energy(mol, found.positions), abs=1e-3)


def test_water_takes_up_ions():
    """Solvation of acetate by experiment: -78 kcal/mol; of methane 2."""
    pytest.importorskip("tblite")
    for smiles, least, most in (("CC(=O)[O-]", -90, -65), ("C", -1, 4)):
        mol, x = embedded(smiles)
        taken = find_level("gfn2", solvent="water").energy(mol, x) - find_level("gfn2").energy(
            mol, x
        )
        assert least < taken < most
    assert find_level("mmff94", solvent="water") is find_level("mmff94")
    assert find_level("gfn2", solvent="water").name == "gfn2-alpb-water"


def test_mmff94s_is_rdkits():
    mol, x = embedded("CC(=O)NCCO")
    relaxed = Chem.Mol(mol)
    _, energy = AllChem.MMFFOptimizeMoleculeConfs(relaxed, maxIters=5000, mmffVariant="MMFF94s")[0]
    found = MMFF94s().relax(mol, x)
    assert found.energy == pytest.approx(energy, abs=1e-3)
    assert MMFF94s().energy(mol, found.positions) == pytest.approx(found.energy, abs=1e-6)
    assert np.array_equal(mol.GetConformer().GetPositions(), x)


def test_ani2xt_has_the_networks_energies():
    mol, x = embedded("CCO")
    level = ANI2xtLevel(Springs())
    assert level.energy(mol, x) == pytest.approx(0.05 * np.square(x).sum() * 627.5095, rel=1e-6)
    found = level.relax(mol, x)
    assert np.abs(found.positions).max() < 0.05 and found.energy < level.energy(mol, x)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [("CBr", "does not know Br"), ("C[NH3+]", "neutral"), ("C[CH2]", "neutral"),
     ("CI.CP", "does not know I, P")],
)  # fmt: skip
def test_ani2xt_refuses_what_it_was_not_trained_for(smiles, message):
    with pytest.raises(MoleculeError, match=message):
        ANI2xtLevel(Springs()).check(Chem.AddHs(Chem.MolFromSmiles(smiles)))


def test_levels_have_names():
    assert find_level("mmff94") is find_level("mmff94")
    assert find_level("gfn2").comparable and not find_level("mmff94s").comparable
    with pytest.raises(ValueError, match="relax='x': choose mmff94, ani2xt or gfn2"):
        find_level("x", "relax")

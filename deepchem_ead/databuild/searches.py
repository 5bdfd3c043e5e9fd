"""Three searches for conformers that know nothing of each other: none judges itself alone.

ETKDG draws from what RDKit knows of torsions; random torsions turn every rotor anywhere; hot
dynamics shakes the molecule over barriers, rings included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdMolTransforms

from deepchem_ead.chem.bonds import distances
from deepchem_ead.chem.overlap import covalent_radii
from deepchem_ead.conformers.etkdg import ETKDG
from deepchem_ead.errors import MoleculeError
from deepchem_ead.potentials.levels import GAS_CONSTANT, placed

#: The starts (n, 3) of a molecule with hydrogens, from a first geometry and a seed.
Search = Callable[[Chem.Mol, np.ndarray, int, int], list[np.ndarray]]

#: Single bonds outside rings whose two ends have other neighbours.
_ROTORS = Chem.MolFromSmarts("[!D1]-&!@[!D1]")
#: Draws of all torsions, of which the one with the most room is taken.
_DRAWS = 10

_KELVIN = 1500.0
_MASS = 12.0  # of every atom: what is visited does not depend on it, and hydrogens move slowly
_TIME_STEP, _FRICTION = 2.0, 0.01  # fs, 1/fs
_STEPS = 250  # between snapshots
_ACCELERATION = 4.184e-4  # Angstrom/fs^2 of 1 kcal/mol/Angstrom on 1 atomic mass unit


def embedded(molecule: Chem.Mol, first: np.ndarray, n: int, seed: int) -> list[np.ndarray]:
    """Starts by ETKDGv3."""
    return ETKDG(molecule, "", seed).draw(n, 0)


def random_torsions(molecule: Chem.Mol, first: np.ndarray, n: int, seed: int) -> list[np.ndarray]:
    """Starts with every rotor at random; none without rotors."""
    turns = _turns(molecule)
    if not turns:
        return []
    rng = np.random.Generator(np.random.PCG64(seed))
    radii = covalent_radii()[[atom.GetAtomicNum() for atom in molecule.GetAtoms()]]
    reach = radii[:, None] + radii[None]
    apart = Chem.GetDistanceMatrix(molecule) > 2
    mol = placed(molecule, first)
    conformer = mol.GetConformer()
    found = []
    for _ in range(n):
        best, room = first, -np.inf
        for _ in range(_DRAWS):
            for atoms in turns:
                rdMolTransforms.SetDihedralDeg(conformer, *atoms, float(rng.uniform(-180, 180)))
            x = np.array(conformer.GetPositions())
            least = float((distances(x) / reach)[apart].min(initial=np.inf))
            if least > room:
                best, room = x, least
        found.append(best)
    return found


def _turns(molecule: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """Four atoms for each rotor."""
    found = []
    for b, c in molecule.GetSubstructMatches(_ROTORS):
        a, d = (
            min(n.GetIdx() for n in molecule.GetAtomWithIdx(i).GetNeighbors() if n.GetIdx() != j)
            for i, j in ((b, c), (c, b))
        )
        found.append((a, b, c, d))
    return found


def hot_dynamics(molecule: Chem.Mol, first: np.ndarray, n: int, seed: int) -> list[np.ndarray]:
    """Snapshots of Langevin dynamics at 1500 K by MMFF94s, half a picosecond apart.

    Bonds of the force field do not break, centres and double bonds hardly ever turn over.

    Raises
    ------
    MoleculeError
        If MMFF94s has no parameters for the molecule.
    """
    typed = Chem.Mol(molecule)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(typed, mmffVariant="MMFF94s")
    if properties is None:
        raise MoleculeError("MMFF94s has no parameters for it")
    mol = placed(molecule, first)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
    rng = np.random.Generator(np.random.PCG64(seed))
    x = first.ravel().copy()
    thermal = np.sqrt(GAS_CONSTANT * _KELVIN * _ACCELERATION / _MASS)
    v = thermal * rng.standard_normal(x.shape)
    kick = 0.5 * _TIME_STEP * _ACCELERATION / _MASS
    keep = np.exp(-_FRICTION * _TIME_STEP)
    noise = thermal * np.sqrt(1 - keep**2)

    def force_at(x: np.ndarray) -> np.ndarray:
        positions = x.tolist()
        field.CalcEnergy(positions)  # RDKit's gradient takes the distances of the last energy
        return -np.array(field.CalcGrad(positions))

    force = force_at(x)
    found = []
    for _ in range(n):
        for _ in range(_STEPS):  # BAOAB: Leimkuhler and Matthews, AMRX 2013, 34
            v += kick * force
            x += 0.5 * _TIME_STEP * v
            v = keep * v + noise * rng.standard_normal(x.shape)
            x += 0.5 * _TIME_STEP * v
            force = force_at(x)
            v += kick * force
        found.append(x.reshape(-1, 3).copy())
    return found


#: Searches by name, in the order of their bits in ``found_by``.
SEARCHES: dict[str, Search] = {
    "etkdg": embedded,
    "torsions": random_torsions,
    "dynamics": hot_dynamics,
}

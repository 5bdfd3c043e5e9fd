"""From a SMILES to a molecule in 3D: distance geometry, a force field, then finer levels of theory.

Everything follows from the SMILES and its seed: no clocks, no threads, no other molecules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.stereo import canonical, draw_stereo, stereo_smiles
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat.embedding import embed
from deepchem_ead.potentials.levels import EV_PER_HARTREE, MMFF94s, SmoothLevel

#: Stereoisomers that are drawn before a molecule counts as one that cannot be embedded.
_DRAWS = 3
_ATTEMPTS = 10
#: A bond is broken beyond this multiple of the sum of the covalent radii.
_LONGEST_BOND = 1.3
#: Atoms without a bond are bonded after all within this multiple (1.23 in bicyclo[1.1.1]pentane).
_CLOSEST = 1.15
_RADII = np.array([Chem.GetPeriodicTable().GetRcovalent(z) for z in range(119)])


@dataclass(frozen=True)
class Geometry:
    """A molecule at a minimum of its level of theory.

    Attributes
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens and one conformer.
    smiles : str
        Canonical, with stereo.
    level : str
        One of `deepchem_ead.molnet.drugs3d_table.LEVELS`.
    energies : dict of str to float
        By level, each at its own minimum: of MMFF94s in kcal/mol, of the others in Hartree; NaN
        where a level does not know the molecule.
    """

    mol: Chem.Mol
    smiles: str
    level: str
    energies: dict[str, float]


def seed_of(*parts: object) -> int:
    """A seed, 0 to 2**31 - 1, that depends on nothing but its arguments."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def make_geometry(smiles: str, number: int, finer: Sequence[SmoothLevel]) -> Geometry:
    """The geometry of one stereoisomer.

    Parameters
    ----------
    smiles : str
        Of one connected molecule without isotopes and unpaired electrons.
    number : int
        Of the stereoisomer to draw where the SMILES leaves stereo open: another one for another
        number, unless chance wants it otherwise.
    finer : sequence of SmoothLevel
        What follows MMFF94s, one after another; each is passed over for molecules it does not know.

    Raises
    ------
    MoleculeError
        If there is none; the message is the reason, the same for all molecules of a kind.
    """
    for draw in range(_DRAWS):
        seed = seed_of(smiles, number, draw)
        isomer = draw_stereo(Chem.MolFromSmiles(smiles), np.random.Generator(np.random.PCG64(seed)))
        try:
            mol = embed(Chem.AddHs(isomer), seed, time_limit=None, attempts=_ATTEMPTS)
            break
        except MoleculeError:
            continue
    else:
        raise MoleculeError("no conformer was found for any stereoisomer drawn")
    level, energies = "mmff94s", {"mmff94s": _relax_mmff94s(mol)}
    for finer_level in finer:
        energies[finer_level.name] = float("nan")
        if finer_level.knows(mol):
            level = finer_level.name
            energies[level] = _relax(mol, finer_level)
    _check_bonds(mol, level)
    found = stereo_smiles(mol)
    if found != canonical(isomer):
        raise MoleculeError(f"the geometry of {level} has another stereo than what was drawn")
    return Geometry(mol, found, level, energies)


def _relax_mmff94s(mol: Chem.Mol) -> float:
    conformer = mol.GetConformer()
    positions, energy = MMFF94s().relax(mol, conformer.GetPositions())
    conformer.SetPositions(positions)
    return energy


def _relax(mol: Chem.Mol, level: SmoothLevel) -> float:
    """Move the atoms to a minimum of a level; its energy in Hartree."""
    conformer = mol.GetConformer()
    positions, energy = level.descend(mol, conformer.GetPositions())
    conformer.SetPositions(positions)
    return energy / EV_PER_HARTREE


def _check_bonds(mol: Chem.Mol, level: str) -> None:
    """Refuse a geometry in which a bond has broken or a hydrogen has gone to another atom."""
    positions = mol.GetConformer().GetPositions()
    radii = _RADII[[atom.GetAtomicNum() for atom in mol.GetAtoms()]]
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    ratios = distances / (radii[:, None] + radii[None])
    bonded = np.zeros(ratios.shape, dtype=bool)
    for bond in mol.GetBonds():
        bonded[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] = True
    bonded |= bonded.T
    if ratios[bonded].max(initial=0) > _LONGEST_BOND:
        raise MoleculeError(f"a bond has broken at the geometry of {level}")
    others = ratios[~bonded & ~np.eye(len(ratios), dtype=bool)]
    if others.min(initial=np.inf) < _CLOSEST:
        raise MoleculeError(f"atoms that are not bonded touch at the geometry of {level}")

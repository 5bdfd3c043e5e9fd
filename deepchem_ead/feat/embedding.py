"""Seeded 3D conformers from RDKit's distance geometry."""

from __future__ import annotations

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from deepchem_ead.errors import MoleculeError


def has_3d_conformer(mol: Chem.Mol) -> bool:
    """Whether the molecule has 3D coordinates, as opposed to none or a flat drawing."""
    if mol.GetNumConformers() == 0:
        return False
    # RDKit does not mark three atoms in the plane z = 0, such as a real water molecule, as 3D.
    small = mol.GetNumAtoms() <= 3 and not any(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    return small or mol.GetConformer().Is3D()


def embed(mol: Chem.Mol, seed: int, name: str) -> Chem.Mol:
    """A copy of the molecule with one ETKDGv3 conformer.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Sanitised molecule with explicit hydrogens.
    seed : int
        Random seed, 0 or more.
    name : str
        How the message names the molecule.

    Raises
    ------
    MoleculeError
        If RDKit finds no conformer, also not from random starting coordinates.
    """
    mol = Chem.Mol(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    with rdBase.BlockLogs():
        try:
            if rdDistGeom.EmbedMolecule(mol, parameters) == 0:
                return mol
            parameters.useRandomCoords = True
            if rdDistGeom.EmbedMolecule(mol, parameters) == 0:
                return mol
        except (ValueError, RuntimeError) as error:
            raise MoleculeError(f"{name} cannot be embedded in 3D: {error}") from None
    raise MoleculeError(f"{name} cannot be embedded in 3D: RDKit finds no conformer")

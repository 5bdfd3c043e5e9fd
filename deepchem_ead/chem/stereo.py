"""Stereo: drawn where a SMILES leaves it open, and read back from a geometry."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

_CENTRES = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
#: Also the hydrogens of C=NH.
_ALL = Chem.RemoveHsParameters()
_ALL.removeDefiningBondStereo = True  # type: ignore[assignment]
_DOUBLE_BONDS = (Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOTRANS)


def open_stereo(mol: Chem.Mol) -> list[Chem.rdchem.StereoInfo]:
    """Tetrahedral centres and double bonds whose stereo a molecule leaves open.

    A double bond to NH is none: the place of its hydrogen is not written down. Nor is an amine's
    nitrogen, which inverts, or is held by a ring whose other centres say how.
    """
    return [
        info
        for info in Chem.FindPotentialStereo(mol)
        if info.specified == Chem.StereoSpecified.Unspecified
        and (
            (
                info.type == Chem.StereoType.Atom_Tetrahedral
                and not _is_amine(mol.GetAtomWithIdx(info.centeredOn))
            )
            or (info.type == Chem.StereoType.Bond_Double and all(_ends(mol, info)))
        )
    ]


def draw_stereo(mol: Chem.Mol, rng: np.random.Generator) -> Chem.Mol:
    """A stereoisomer: a copy in which every centre and double bond is decided.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Without explicit hydrogens; what it specifies is kept.
    rng : numpy.random.Generator
        Where the choices come from, one for each open centre or bond.
    """
    mol = _without_amine_centres(mol)
    # Choices can make new centres, as two that were alike are no longer.
    for _ in range(3):
        found = open_stereo(mol)
        if not found:
            break
        for info in found:
            choice = int(rng.integers(2))
            if info.type == Chem.StereoType.Atom_Tetrahedral:
                mol.GetAtomWithIdx(info.centeredOn).SetChiralTag(_CENTRES[choice])
            else:
                bond = mol.GetBondWithIdx(info.centeredOn)
                begin, end = _ends(mol, info)
                bond.SetStereoAtoms(begin[0], end[0])
                bond.SetStereo(_DOUBLE_BONDS[choice])
        # Written and read: what is no centre after all loses its mark.
        mol = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
    return mol


def _is_amine(atom: Chem.Atom) -> bool:
    return atom.GetAtomicNum() == 7 and not atom.GetFormalCharge()


def _without_amine_centres(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        if _is_amine(atom):
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return mol


def _ends(mol: Chem.Mol, info: Chem.rdchem.StereoInfo) -> list[list[int]]:
    """Neighbours of either end of a double bond that say where it is cis or trans."""
    bond = mol.GetBondWithIdx(info.centeredOn)
    return [
        [other.GetIdx() for other in atom.GetNeighbors() if other.GetIdx() in info.controllingAtoms]
        for atom in (bond.GetBeginAtom(), bond.GetEndAtom())
    ]


def stereo_smiles(mol: Chem.Mol) -> str:
    """Canonical SMILES, without explicit hydrogens, of a molecule with the stereo of its geometry.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens and one conformer.
    """
    Chem.AssignStereochemistryFrom3D(mol := Chem.Mol(mol))
    mol = _without_amine_centres(mol)
    return canonical(Chem.RemoveHs(mol, _ALL))


def canonical(mol: Chem.Mol) -> str:
    """Canonical SMILES that stays the same when it is read and written again."""
    text = Chem.MolToSmiles(mol)
    for _ in range(3):
        again = Chem.MolToSmiles(Chem.MolFromSmiles(text))
        if again == text:
            break
        text = again
    return text

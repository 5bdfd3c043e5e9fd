"""The configuration that a molecule specifies, compared with coordinates."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from deepchem_ead.chem.bonds import distances
from deepchem_ead.chem.overlap import CLOSEST, covalent_radii

_TETRAHEDRAL = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
_CIS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
#: Bonds are at most this much longer than the sum of the covalent radii, and atoms that are not
#: bonded, nor to a common third one, at least so far apart. No two lie on top of each other.
_LONGEST, _NEAREST = 1.3, 1.3


class Configuration:
    """Centres, double bonds and bonds of a molecule, to compare coordinates with.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        With explicit hydrogens and its stereo labels.
    """

    def __init__(self, molecule: Chem.Mol) -> None:
        self._bare = Chem.Mol(molecule)
        self._bare.RemoveAllConformers()
        self.centres = {
            atom.GetIdx(): atom.GetChiralTag()
            for atom in molecule.GetAtoms()
            if atom.GetChiralTag() in _TETRAHEDRAL
        }
        #: Two atoms at the ends, two between, and whether those at the ends are cis.
        self.double_bonds = [
            (*_ends(bond), bond.GetStereo() in _CIS)
            for bond in molecule.GetBonds()
            if bond.GetStereo() in _CIS + _TRANS
        ]
        numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        radii = covalent_radii()[numbers]
        self._reach = radii[:, None] + radii[None]
        steps = Chem.GetDistanceMatrix(molecule)
        self._bonded, self._others, self._apart = steps == 1, steps > 0, steps > 2

    def righted(self, positions: np.ndarray, check_bonds: bool) -> tuple[np.ndarray, str | None]:
        """Positions (n, 3), mirrored if that makes them right, and what is wrong; None: nothing."""
        if not np.isfinite(positions).all():
            return positions, "coordinates not finite"
        if check_bonds and (problem := self._wrong_bonds(positions)) is not None:
            return positions, problem
        mol = Chem.Mol(self._bare)
        conformer = Chem.Conformer(len(positions))
        conformer.SetPositions(np.ascontiguousarray(positions, dtype=np.float64))
        mol.AddConformer(conformer, assignId=True)
        for first, second, third, fourth, cis in self.double_bonds:
            angle = rdMolTransforms.GetDihedralDeg(mol.GetConformer(), first, second, third, fourth)
            if (abs(angle) < 90) != cis:
                return positions, f"double bond {second}-{third} is {'trans' if cis else 'cis'}"
        Chem.AssignAtomChiralTagsFromStructure(mol, replaceExistingTags=True)
        wrong = [
            k for k, tag in self.centres.items() if mol.GetAtomWithIdx(k).GetChiralTag() != tag
        ]
        if not wrong:
            return positions, None
        flat = [k for k in wrong if mol.GetAtomWithIdx(k).GetChiralTag() not in _TETRAHEDRAL]
        if flat:
            return positions, f"centre {flat[0]} is flat"
        if len(wrong) < len(self.centres):
            return positions, "some centres are inverted"
        return positions * np.array([1, 1, -1], positions.dtype), None

    def _wrong_bonds(self, positions: np.ndarray) -> str | None:
        lengths = distances(positions)
        if (self._bonded & (lengths > _LONGEST * self._reach)).any():
            return "bonded atoms are apart"
        if (self._apart & (lengths < _NEAREST * self._reach)).any():
            return "atoms that are not bonded are too near"
        if (self._others & (lengths < CLOSEST * self._reach)).any():
            return "atoms lie on top of each other"
        return None


def _ends(bond: Chem.Bond) -> tuple[int, int, int, int]:
    first, fourth = bond.GetStereoAtoms()
    return first, bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), fourth

"""The configuration that a graph specifies, by RDKit's labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem

_CW, _CCW = Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW
_CIS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)


class GraphStereo(NamedTuple):
    """The configuration that a graph specifies.

    Attributes
    ----------
    neighbours : ndarray, (n, 4) int64
        Neighbours of each centre; where it has three, itself in place of the fourth.
    tags : ndarray, (n,) int64
        Sign of ``(a - d) . ((b - d) x (c - d))`` of the neighbours a, b, c, d, or 0.
    sides : ndarray, (k, 3) int64
        Two atoms at the ends of a double bond, and 1 for cis or -1 for trans.
    """

    neighbours: np.ndarray
    tags: np.ndarray
    sides: np.ndarray


def graph_stereo(mol: Chem.Mol) -> GraphStereo:
    """What RDKit's labels of a molecule with explicit hydrogens say."""
    n = mol.GetNumAtoms()
    neighbours = np.tile(np.arange(n)[:, None], (1, 4))
    tags = np.zeros(n, np.int64)
    for atom in mol.GetAtoms():
        around = [other.GetIdx() for other in atom.GetNeighbors()]
        if atom.GetChiralTag() not in (_CW, _CCW) or len(around) not in (3, 4):
            continue
        i = atom.GetIdx()
        neighbours[i, : len(around)] = around
        # Seen from the first neighbour the others go round; a lone pair is the last of them.
        tags[i] = 1 if atom.GetChiralTag() == _CCW else -1
    sides = [
        (a, b, side * (1 if (a == first) == (b == last) else -1))
        for bond in mol.GetBonds()
        if (side := (bond.GetStereo() in _CIS) - (bond.GetStereo() in _TRANS))
        for first, last in [tuple(bond.GetStereoAtoms())]
        for a in _others(bond.GetBeginAtom(), bond.GetEndAtomIdx())
        for b in _others(bond.GetEndAtom(), bond.GetBeginAtomIdx())
    ]
    return GraphStereo(neighbours, tags, np.array(sides, np.int64).reshape(-1, 3))


def _others(atom: Chem.Atom, but: int) -> list[int]:
    return [other.GetIdx() for other in atom.GetNeighbors() if other.GetIdx() != but]

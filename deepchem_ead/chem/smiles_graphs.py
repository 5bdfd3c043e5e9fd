"""The bonds and charges that a SMILES gives to the atoms of a geometry."""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.bonds import distances, orders_of_lengths
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.perception import connectivity, with_long_bonds
from deepchem_ead.chem.rdkit_io import atoms_of, kekulised_bonds, skeleton

# Symmetric molecules have few hundred ways to lie on themselves, hydrogens aside.
_MAX_MATCHES = 10_000


def graph_of_smiles(
    smiles: str, numbers: np.ndarray, positions: np.ndarray
) -> MolecularGraph | None:
    """The graph of a SMILES on the atoms of a geometry; stereo in the SMILES is not looked at.

    The heavy atoms of the SMILES, each with its number of hydrogens, are laid on those of the
    geometry so that bonded atoms fall on bonded ones: those as near as
    :mod:`deepchem_ead.chem.perception` asks for. Of several ways (the oxygens of a carboxylate, the
    two Kekule structures of a ring) the one is taken whose multiple bonds are shortest, so that the
    result does not depend on the order of the atoms in the SMILES.

    Parameters
    ----------
    smiles : str
    numbers : numpy.ndarray
        Atomic numbers with all hydrogens, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).

    Returns
    -------
    MolecularGraph or None
        None if RDKit does not read the SMILES, or it does not fit the geometry.
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    bonds = None if mol is None else kekulised_bonds(mol)
    if bonds is None or not np.isfinite(positions).all():
        return None
    atoms = atoms_of(mol)
    kinds = [(atom.GetAtomicNum(), atom.GetTotalNumHs()) for atom in atoms]
    numbers = np.asarray(numbers)
    lengths = distances(positions)
    near = connectivity(numbers, lengths, orders_of_lengths(numbers, lengths))
    for bonded in (near, with_long_bonds(numbers, lengths, near)):
        placed = _placed(kinds, bonds, numbers, lengths, bonded)
        if placed is not None:
            place, own = placed
            charges = np.zeros(len(numbers), np.int8)
            charges[place] = [atom.GetFormalCharge() for atom in atoms]
            return MolecularGraph(charges, own)
    return None


def _placed(
    kinds: list[tuple[int, int]],
    bonds: np.ndarray,
    numbers: np.ndarray,
    lengths: np.ndarray,
    bonded: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the heavy atoms fall, (h,), and the bonds of all atoms, (b, 3); None: nowhere."""
    heavy, hydrogens = np.flatnonzero(numbers > 1), np.flatnonzero(numbers == 1)
    parents = bonded[np.ix_(hydrogens, heavy)]
    if (bonded[hydrogens].sum(1) != 1).any() or (parents.sum(1) != 1).any():
        return None
    found = list(zip(numbers[heavy].tolist(), parents.sum(0).tolist(), strict=True))
    pairs = np.argwhere(np.triu(bonded[np.ix_(heavy, heavy)]))
    if sorted(found) != sorted(kinds) or len(pairs) != len(bonds):
        return None
    target, query = _labelled(found, pairs), _labelled(kinds, bonds[:, :2])
    matches = target.GetSubstructMatches(query, uniquify=False, maxMatches=_MAX_MATCHES)
    if not matches:
        return None
    places = heavy[np.array(matches)]
    spans = lengths[places[:, bonds[:, 0]], places[:, bonds[:, 1]]]
    place = places[(spans.astype(float) @ (bonds[:, 2] - 1)).argmin()]
    own = np.concatenate([place[bonds[:, :2]], bonds[:, 2:]], axis=1)
    parent = heavy[parents.argmax(1)] if len(hydrogens) else hydrogens
    to_hydrogens = np.stack([parent, hydrogens, np.ones_like(hydrogens)], axis=1)
    return place, np.concatenate([own, to_hydrogens]).astype(np.int32)


def _labelled(kinds: list[tuple[int, int]], pairs: np.ndarray) -> Chem.Mol:
    """Atoms whose mass numbers tell their hydrogens, and single bonds: for comparison only."""
    numbers, hydrogens = np.array(kinds).reshape(-1, 2).T
    table = np.concatenate([pairs, np.ones((len(pairs), 1), int)], axis=1)
    return skeleton(numbers, MolecularGraph(np.zeros(len(kinds)), table, hydrogens + 1))

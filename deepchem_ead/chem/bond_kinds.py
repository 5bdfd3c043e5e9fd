"""Kinds of bonds with aromatic as one of them, and Kekule structures of such bonds.

Molecules are kept kekulised (:mod:`deepchem_ead.chem.graphs`). To a model a Kekule structure is an
arbitrary choice of two; with explicit hydrogens and formal charges the kind *aromatic* is none. It
is RDKit's aromaticity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.bonding import BOND_KINDS
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.chem.rdkit_io import RDKIT_ERRORS, bonds_of, skeleton
from deepchem_ead.errors import MoleculeError

AROMATIC = BOND_KINDS.index("aromatic")

_RDKIT_AROMATIC = int(Chem.BondType.AROMATIC)
# What sanitisation does before it looks for aromatic rings, but for what refuses a molecule.
_PERCEPTION = (
    Chem.SanitizeFlags.SANITIZE_SYMMRINGS
    | Chem.SanitizeFlags.SANITIZE_FINDRADICALS
    | Chem.SanitizeFlags.SANITIZE_SETAROMATICITY
)


class BondTable(NamedTuple):
    """Bonds of N molecules, one after another.

    Attributes
    ----------
    bonds : numpy.ndarray
        int32, shape (B, 3): two atoms, counted from 0 in their molecule, and the kind, 1 to 4 in
        :data:`BOND_KINDS`.
    offsets : numpy.ndarray
        int64, shape (N+1,): molecule i has the bonds ``offsets[i]:offsets[i+1]``.
    given : numpy.ndarray
        bool, shape (N,): whether the bonds of a molecule are known.
    """

    bonds: np.ndarray
    offsets: np.ndarray
    given: np.ndarray


def bond_kinds(numbers: np.ndarray, offsets: np.ndarray, graphs: MolecularGraphs) -> np.ndarray:
    """Kind of each bond, int8, shape (B,), in the order of ``graphs.bonds``.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (A,).
    offsets : numpy.ndarray
        Molecule i has the atoms ``offsets[i]:offsets[i+1]``.
    graphs : MolecularGraphs
        Kekulised, with formal charges.

    Raises
    ------
    MoleculeError
        If a bond is neither single, double nor triple; names the molecule.
    """
    orders = graphs.bonds[:, 2]
    odd = np.flatnonzero((orders < 1) | (orders > 3))
    if odd.size:
        i = int(np.searchsorted(graphs.bond_offsets, odd[0], side="right")) - 1
        raise MoleculeError(f"molecule {i} {odd_order(int(orders[odd[0]]))}")
    kinds = orders.astype(np.int8)
    # No ring is aromatic without a double bond.
    doubles = np.concatenate([[0], np.cumsum(orders == 2)])[graphs.bond_offsets]
    for i in np.flatnonzero(np.diff(doubles)).tolist():
        atoms = slice(int(offsets[i]), int(offsets[i + 1]))
        own = slice(*graphs.bond_offsets[i : i + 2].tolist())
        mol = skeleton(numbers[atoms], graphs.graph(i, atoms))
        with rdBase.BlockLogs():
            mol.UpdatePropertyCache(strict=False)
            Chem.SanitizeMol(mol, sanitizeOps=_PERCEPTION)
        kinds[own][[bond.GetIsAromatic() for bond in bonds_of(mol)]] = AROMATIC
    return kinds


def odd_order(order: int) -> str:
    """Why a bond of this order is no kind of bond, to follow the name of a molecule."""
    name = Chem.BondType.values[order].name.lower()
    return (
        f"has a bond of the type {name}, which is neither single, double, triple nor aromatic; "
        "leave the molecule out, or its bonds (bonds=False)"
    )


def kekulised(
    numbers: np.ndarray, offsets: np.ndarray, formal_charges: np.ndarray, table: BondTable
) -> tuple[MolecularGraphs, dict[int, str]]:
    """Kekulised graphs of molecules whose bonds have kinds.

    Parameters
    ----------
    numbers, formal_charges : numpy.ndarray
        Shape (A,).
    offsets : numpy.ndarray
        Molecule i has the atoms ``offsets[i]:offsets[i+1]``.
    table : BondTable

    Returns
    -------
    graphs : MolecularGraphs
    failures : dict of int to str
        Molecules whose aromatic bonds have no Kekule structure, and why. Their bonds are not given
        in `graphs`.
    """
    orders = table.bonds[:, 2].copy()
    failures: dict[int, str] = {}
    aromatic = np.concatenate([[0], np.cumsum(orders == AROMATIC)])[table.offsets]
    for i in np.flatnonzero(np.diff(aromatic)).tolist():
        atoms, own = slice(*offsets[i : i + 2].tolist()), slice(*table.offsets[i : i + 2].tolist())
        try:
            orders[own] = _kekule_orders(numbers[atoms], formal_charges[atoms], table.bonds[own])
        except RDKIT_ERRORS as error:
            failures[i] = f"has aromatic bonds without a Kekule structure ({_first_line(error)})"
    failed = np.zeros(len(table.given), bool)
    failed[list(failures)] = True
    counts = np.diff(table.offsets)
    kept = ~np.repeat(failed, counts)
    bonds = np.concatenate([table.bonds[:, :2], orders[:, None]], axis=1)[kept]
    graphs = MolecularGraphs(
        formal_charges=formal_charges.astype(np.int8),
        isotopes=np.zeros(len(numbers), np.int16),
        radicals=np.zeros(len(numbers), np.int8),
        bonds=bonds,
        unspecified=np.zeros(len(bonds), bool),
        bond_offsets=np.concatenate([[0], np.cumsum(np.where(failed, 0, counts))]).astype(np.int64),
        bonds_given=table.given & ~failed,
    )
    return graphs, failures


def kekule_orders(numbers: np.ndarray, charges: np.ndarray, bonds: np.ndarray) -> list[int] | None:
    """Orders of the bonds (b, 3), whose third column is their kind; None: no Kekule structure."""
    try:
        return _kekule_orders(numbers, charges, bonds)
    except RDKIT_ERRORS:
        return None


def _kekule_orders(numbers: np.ndarray, charges: np.ndarray, bonds: np.ndarray) -> list[int]:
    aromatic = bonds[:, 2] == AROMATIC
    types = np.where(aromatic, _RDKIT_AROMATIC, bonds[:, 2])
    table = np.concatenate([bonds[:, :2], types[:, None]], axis=1)
    mol = skeleton(numbers, MolecularGraph(charges, table))
    for k in np.flatnonzero(aromatic).tolist():
        mol.GetBondWithIdx(k).SetIsAromatic(True)
    for i in np.unique(bonds[aromatic, :2]).tolist():
        mol.GetAtomWithIdx(i).SetIsAromatic(True)
    with rdBase.BlockLogs():
        mol.UpdatePropertyCache(strict=False)
        Chem.Kekulize(mol, clearAromaticFlags=True)
    return [int(bond.GetBondType()) for bond in bonds_of(mol)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

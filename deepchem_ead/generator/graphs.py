"""Formal charges and bonds of generated molecules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from deepchem_ead.chem.bond_kinds import AROMATIC, BondTable, kekulised
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generator.likeliest_bonds import likeliest_bonds, misfits
from deepchem_ead.generator.likeliest_charges import likeliest_structure


def decoded_graphs(
    numbers: np.ndarray,
    charges: np.ndarray,
    nodes: Tensor,
    layout: AtomLayout,
    bonds: Tensor | None,
    orders: Tensor | None = None,
    totals: Sequence[int | None] | None = None,
) -> MolecularGraphs:
    """Graphs of the atoms among the nodes of a batch.

    Bonds are the likeliest that give every atom a valence (`likeliest_bonds`). A molecule whose
    aromatic bonds have no Kekule structure has no given bonds; where some were given these stay,
    and the others are the likeliest ones that are not aromatic.

    Parameters
    ----------
    numbers, charges : ndarray, (A',) int64
        Atomic numbers and formal charges of the atoms.
    nodes : Tensor, (A,) bool
        Which nodes are atoms.
    layout : AtomLayout
        Of the nodes.
    bonds : Tensor, (E, K), optional
        Probabilities of the kinds of bonds. None: the model knows none.
    orders : Tensor, (E,) int64, optional
        Orders of bonds that were given, kekulised; -1 for others.
    totals : sequence of int or None, optional
        Total charge of each molecule, None where it is not known, if formal charges are open: where
        those that there are do not fit the likeliest bonds or the total, both are found together
        (`likeliest_structure`). A molecule of which no structure has its total charge has no given
        bonds.
    """
    counts = layout.sum(nodes.long()).numpy()
    offsets = np.concatenate([[0], counts.cumsum()])
    n, given = layout.n_molecules, bonds is not None
    table = BondTable(np.zeros((0, 3), np.int32), np.zeros(n + 1, np.int64), np.full(n, given))
    if bonds is None:
        return kekulised(numbers, offsets, charges, table)[0]
    if totals is not None:
        charges = charges.copy()
    if orders is not None:
        kinds = one_hot(orders.clamp_min(0), bonds.shape[1]).to(bonds.dtype)
        bonds = torch.where((orders >= 0).unsqueeze(1), kinds, bonds)
    table = _bond_table(numbers, charges, nodes, layout, bonds, offsets, totals)
    graphs, failures = kekulised(numbers, offsets, charges, table)
    if orders is None or not failures:
        return graphs
    failed = torch.zeros(n, dtype=torch.bool)
    failed[list(failures)] = True
    bonds = bonds.clone()
    bonds[failed[layout.index[layout.pairs.first]], AROMATIC] = 0
    table = _bond_table(numbers, charges, nodes, layout, bonds, offsets)
    return kekulised(numbers, offsets, charges, table)[0]


def _bond_table(
    numbers: np.ndarray,
    charges: np.ndarray,
    nodes: Tensor,
    layout: AtomLayout,
    bonds: Tensor,
    offsets: np.ndarray,
    totals: Sequence[int | None] | None = None,
) -> BondTable:
    """Kinds of bonds; charges (A',) of molecules that get others are changed in place."""
    i, j = layout.pairs
    kept = nodes[i] & nodes[j] & (i < j)
    # Rank of each atom among those of its molecule.
    rank = nodes.cumsum(0) - 1 - torch.from_numpy(offsets[:-1])[layout.index]
    molecule = layout.index[i[kept]]
    n_pairs = torch.bincount(molecule, minlength=layout.n_molecules)
    ends = torch.stack([rank[i[kept]], rank[j[kept]]], 1).numpy()
    log_p = bonds[kept].log().numpy()
    found = []
    given = np.ones(layout.n_molecules, bool)
    stops = n_pairs.cumsum(0).tolist()
    for m, (stop, n) in enumerate(zip(stops, n_pairs.tolist(), strict=True)):
        own, atoms = slice(stop - n, stop), slice(*offsets[m : m + 2].tolist())
        kinds: np.ndarray | None
        if totals is None:
            kinds = likeliest_bonds(numbers[atoms], charges[atoms], ends[own], log_p[own])
        else:
            parts = numbers[atoms], charges[atoms], ends[own], log_p[own]
            kinds, charges[atoms] = _open_charges(*parts, totals[m])
        given[m] = kinds is not None
        kinds = np.zeros(n, np.int64) if kinds is None else kinds
        own_bonds = np.concatenate([ends[own], kinds[:, None]], 1)[kinds > 0]
        found.append(own_bonds[np.lexsort((own_bonds[:, 1], own_bonds[:, 0]))])
    counts = np.array([len(part) for part in found], np.int64)
    return BondTable(
        np.concatenate([np.zeros((0, 3), np.int64), *found]).astype(np.int32),
        np.concatenate([[0], counts.cumsum()]).astype(np.int64),
        given,
    )


def _open_charges(
    numbers: np.ndarray, told: np.ndarray, ends: np.ndarray, log_p: np.ndarray, total: int | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Kinds of the bonds of pairs, None if there are none, and formal charges of a molecule."""
    kinds = log_p.argmax(1)
    if told.sum() == total or total is None:
        if not misfits(numbers, told, ends, kinds).any():
            return kinds, told
    found = likeliest_structure(numbers, told, ends, log_p, total)
    if found is not None:
        return found.orders, found.charges
    return (likeliest_bonds(numbers, told, ends, log_p) if total is None else None), told

"""Formal charges and bonds of generated molecules."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from deepchem_ead.chem.bond_kinds import AROMATIC, BondTable, kekulised
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generator.likeliest_bonds import likeliest_bonds


def decoded_graphs(
    numbers: np.ndarray,
    charges: np.ndarray,
    nodes: Tensor,
    layout: AtomLayout,
    bonds: Tensor | None,
    orders: Tensor | None = None,
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
    """
    counts = layout.sum(nodes.long()).numpy()
    offsets = np.concatenate([[0], counts.cumsum()])
    n, given = layout.n_molecules, bonds is not None
    table = BondTable(np.zeros((0, 3), np.int32), np.zeros(n + 1, np.int64), np.full(n, given))
    if bonds is None:
        return kekulised(numbers, offsets, charges, table)[0]
    if orders is not None:
        kinds = one_hot(orders.clamp_min(0), bonds.shape[1]).to(bonds.dtype)
        bonds = torch.where((orders >= 0).unsqueeze(1), kinds, bonds)
    table = _bond_table(numbers, charges, nodes, layout, bonds, offsets)
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
) -> BondTable:
    i, j = layout.pairs
    kept = nodes[i] & nodes[j] & (i < j)
    # Rank of each atom among those of its molecule.
    rank = nodes.cumsum(0) - 1 - torch.from_numpy(offsets[:-1])[layout.index]
    molecule = layout.index[i[kept]]
    n_pairs = torch.bincount(molecule, minlength=layout.n_molecules)
    ends = torch.stack([rank[i[kept]], rank[j[kept]]], 1).numpy()
    log_p = bonds[kept].log().numpy()
    found = []
    stops = n_pairs.cumsum(0).tolist()
    for m, (stop, n) in enumerate(zip(stops, n_pairs.tolist(), strict=True)):
        own, atoms = slice(stop - n, stop), slice(*offsets[m : m + 2].tolist())
        kinds = likeliest_bonds(numbers[atoms], charges[atoms], ends[own], log_p[own])
        own_bonds = np.concatenate([ends[own], kinds[:, None]], 1)[kinds > 0]
        found.append(own_bonds[np.lexsort((own_bonds[:, 1], own_bonds[:, 0]))])
    counts = np.array([len(part) for part in found], np.int64)
    return BondTable(
        np.concatenate([np.zeros((0, 3), np.int64), *found]).astype(np.int32),
        np.concatenate([[0], counts.cumsum()]).astype(np.int64),
        np.ones(layout.n_molecules, bool),
    )

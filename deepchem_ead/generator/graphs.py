"""Formal charges and bonds of generated molecules."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.chem.bond_kinds import BondTable, kekulised
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.diffusion import AtomLayout


def decoded_graphs(
    numbers: np.ndarray,
    charges: np.ndarray,
    nodes: Tensor,
    layout: AtomLayout,
    bonds: Tensor | None,
) -> MolecularGraphs:
    """Graphs of the atoms among the nodes of a batch.

    Of each pair the likeliest kind of bond is taken. A molecule whose aromatic bonds have no Kekule
    structure has no given bonds.

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
    """
    counts = layout.sum(nodes.long()).numpy()
    offsets = np.concatenate([[0], counts.cumsum()])
    n, given = layout.n_molecules, bonds is not None
    table = BondTable(np.zeros((0, 3), np.int32), np.zeros(n + 1, np.int64), np.full(n, given))
    if bonds is not None:
        i, j = layout.pairs
        kinds = bonds.argmax(1)
        kept = (kinds > 0) & nodes[i] & nodes[j] & (i < j)
        # Rank of each atom among those of its molecule.
        rank = nodes.cumsum(0) - 1
        rank = rank - torch.from_numpy(offsets[:-1])[layout.index]
        molecule = layout.index[i[kept]]
        ends = torch.stack([rank[i[kept]], rank[j[kept]], kinds[kept]], 1).numpy()
        order = np.lexsort((ends[:, 1], ends[:, 0], molecule.numpy()))
        n_bonds = torch.bincount(molecule, minlength=n).numpy()
        table = BondTable(
            ends[order].astype(np.int32),
            np.concatenate([[0], n_bonds.cumsum()]).astype(np.int64),
            np.ones(n, bool),
        )
    return kekulised(numbers, offsets, charges, table)[0]

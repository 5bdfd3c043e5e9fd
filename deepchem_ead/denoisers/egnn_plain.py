"""EGNN written down literally: padded molecules, all N^2 pairs, concatenated inputs, masks.

It shares the parameters of an `EGNN` and computes the same function the slow way. It is the oracle
of the tests and the baseline of the benchmarks, and is not used anywhere else.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.denoisers.egnn import EGNN
from deepchem_ead.diffusion.layout import AtomLayout


def plain_forward(egnn: EGNN, x: Tensor, h: Tensor, node_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate an EGNN on padded molecules (EDM, arXiv:2203.17003, as published).

    Parameters
    ----------
    egnn : EGNN
        Owner of the parameters.
    x, h : Tensor, (B, N, 3) and (B, N, in_features)
        Coordinates and features; padding may hold any finite value.
    node_mask : Tensor, (B, N)
        1 for atoms, 0 for padding.

    Returns
    -------
    dx, h_out : Tensor, (B, N, 3) and (B, N, out_features)
        Zero in the padding.
    """
    n_molecules, n_max = node_mask.shape
    mask = node_mask.reshape(-1, 1).to(x.dtype)
    pair_mask = node_mask.unsqueeze(1) * node_mask.unsqueeze(2)
    pair_mask = pair_mask * (1 - torch.eye(n_max)).to(pair_mask)
    pair_mask = pair_mask.reshape(-1, 1).to(x.dtype)
    nodes = torch.arange(n_molecules * n_max).view(n_molecules, n_max)
    row = nodes.unsqueeze(2).expand(-1, -1, n_max).reshape(-1)
    column = nodes.unsqueeze(1).expand(-1, n_max, -1).reshape(-1)

    def sum_pairs(values: Tensor) -> Tensor:
        zero = values.new_zeros(n_molecules * n_max, values.shape[1])
        return zero.index_add(0, row, values)

    x = x.reshape(-1, 3) * mask
    h = h.reshape(n_molecules * n_max, -1) * mask
    x0, h = x, egnn.embedding(h)
    d2_0 = (x0[row] - x0[column]).square().sum(1, keepdim=True)
    for block in egnn.blocks:
        difference = x[row] - x[column]
        d2 = difference.square().sum(1, keepdim=True)
        message = block.message.edge_mlp(torch.cat([h[row], h[column], d2, d2_0], 1))
        message = message * block.message.att_mlp(message) * pair_mask
        h = h + block.message.node_mlp(torch.cat([h, sum_pairs(message)], 1))
        h = h * mask
        score = block.coordinates.coord_mlp(torch.cat([h[row], h[column], d2, d2_0], 1))
        direction = difference / (torch.sqrt(d2 + 1e-8) + egnn.norm_constant)
        pull = direction * torch.tanh(score) * egnn.coords_range * pair_mask
        x = (x + sum_pairs(pull)) * mask
    dx = (x - x0).view(n_molecules, n_max, 3)
    h_out = (egnn.embedding_out(h) * mask).view(n_molecules, n_max, -1)
    return dx, h_out


def to_padded(values: Tensor, layout: AtomLayout) -> tuple[Tensor, Tensor]:
    """Spread flat rows (A, D) into padded molecules (B, N, D); also return the mask (B, N)."""
    n_max = int(layout.counts.max())
    position = torch.arange(layout.n_nodes) - layout.expand(layout.starts)
    padded = values.new_zeros(layout.n_molecules, n_max, values.shape[1])
    mask = values.new_zeros(layout.n_molecules, n_max)
    mask[layout.index, position] = 1.0
    return padded.index_put((layout.index, position), values), mask

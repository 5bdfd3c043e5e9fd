"""The pair operation of the attention denoiser, in PyTorch.

Molecules are worked off in chunks of a few, padded to the largest of the chunk: within a batch
sorted by size this wastes little, and every operation is one dense product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from deepchem_ead.diffusion.layout import AtomLayout

#: Radial features of one distance.
N_RADIAL = 32

#: Distance up to which the radial features reach, in the unit of the coordinates.
RADIAL_RANGE = 15.0

MOLECULES_PER_CHUNK = 16


class PairWeights(nn.Module):
    """Weights of the pair operation.

    Attributes
    ----------
    radial, radial_input : Tensor, (P, N_RADIAL)
        C and D of `AttentionDenoiser`: from the radial features of current and input distances.
    logits : Tensor, (H, P)
        L.
    gates : Tensor, (H, P)
        G.
    """

    def __init__(self, n_pair_features: int, n_heads: int) -> None:
        super().__init__()
        p = n_pair_features
        self.radial = nn.Parameter(torch.randn(p, N_RADIAL) / N_RADIAL**0.5)
        self.radial_input = nn.Parameter(torch.randn(p, N_RADIAL) / N_RADIAL**0.5)
        self.logits = nn.Parameter(torch.randn(n_heads, p) / p**0.5)
        self.gates = nn.Parameter(torch.randn(n_heads, p) / p**0.5)


def radial_features(d2: Tensor) -> Tensor:
    """Gaussians of ``log(1 + d)`` on a uniform grid, (..., N_RADIAL), from squared distances."""
    end = math.log1p(RADIAL_RANGE)
    spacing = end / (N_RADIAL - 1)
    rho = torch.log1p((d2 + 1e-8).sqrt()).unsqueeze(-1)
    centers = torch.linspace(0, end, N_RADIAL, dtype=d2.dtype, device=d2.device)
    return torch.exp(-0.5 * ((rho - centers) / spacing).square())


def pair_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    own: Tensor,
    other: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: PairWeights,
    n_heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention-weighted sums over the other atoms of each molecule (see `AttentionDenoiser`).

    Parameters
    ----------
    q, k, v : Tensor, (A, F)
        Queries, keys and values; heads are consecutive blocks of F / H columns.
    own, other : Tensor, (A, P)
        What atoms i and j give to the pair features.
    x, x0 : Tensor, (A, 3)
        Current and input coordinates.
    layout : AtomLayout
    weights : PairWeights
    n_heads : int

    Returns
    -------
    values : Tensor, (A, F)
        ``sum_j a_ij v_j`` of each head.
    pairs : Tensor, (A, H P)
        ``sum_j a_ij p_ij``.
    vectors : Tensor, (A, H, 3)
        ``sum_j a_ij (G p_ij) (x_i - x_j) / (d_ij + 1)``.

    All are zero for an atom that is alone.
    """
    results = []
    for nodes, index, mask in _chunks(layout):
        parts = [t[nodes][index] for t in (q, k, v, own, other, x, x0)]
        dense = _dense_attention(*parts, mask, weights, n_heads)
        results.append([t[mask] for t in dense])
    values, pairs, vectors = (torch.cat(t) for t in zip(*results, strict=True))
    return values, pairs.flatten(1), vectors


def _chunks(layout: AtomLayout) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Flat nodes of a chunk, their padded (c, n) index within it, and which entries are nodes."""
    for counts, starts in zip(
        layout.counts.split(MOLECULES_PER_CHUNK),
        layout.starts.split(MOLECULES_PER_CHUNK),
        strict=True,
    ):
        first, last = int(starts[0]), int(starts[-1] + counts[-1])
        slots = torch.arange(int(counts.max()), device=counts.device)
        mask = slots < counts.unsqueeze(1)
        index = (starts - first).unsqueeze(1) + slots
        yield slice(first, last), torch.where(mask, index, 0), mask


def _dense_attention(
    q, k, v, own, other, x, x0, mask, weights: PairWeights, n_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    c, n, _ = q.shape

    def heads(t: Tensor) -> Tensor:  # (c, H, n, D)
        return t.view(c, n, n_heads, -1).transpose(1, 2)

    diff = x.unsqueeze(2) - x.unsqueeze(1)
    d2 = diff.square().sum(3)
    d2_0 = (x0.unsqueeze(2) - x0.unsqueeze(1)).square().sum(3)
    radial = torch.cat([radial_features(d2), radial_features(d2_0)], 3)
    mixed = radial @ torch.cat([weights.radial, weights.radial_input], 1).T
    p = nn.functional.silu(mixed + own.unsqueeze(2) + other.unsqueeze(1))  # (c, n, n, P)
    read = p @ torch.cat([weights.logits, weights.gates]).T  # (c, n, n, 2H)
    logits, gates = read.permute(0, 3, 1, 2).chunk(2, 1)  # (c, H, n, n)
    scale = (q.shape[2] // n_heads) ** -0.5
    logits = logits + scale * (heads(q) @ heads(k).transpose(2, 3))
    other_atom = mask.unsqueeze(1) & ~torch.eye(n, dtype=torch.bool, device=q.device)
    other_atom = other_atom.unsqueeze(1)  # (c, 1, n, n)
    # A finite value, and zeros afterwards: an atom that is alone must not become NaN.
    attention = torch.softmax(logits.masked_fill(~other_atom, -1e9), 3) * other_atom
    values = (attention @ heads(v)).transpose(1, 2).reshape(c, n, -1)
    pairs = attention.transpose(1, 2) @ p  # (c, n, H, P)
    unit = diff / ((d2 + 1e-8).sqrt() + 1).unsqueeze(3)
    vectors = (attention * gates).transpose(1, 2) @ unit  # (c, n, H, 3)
    return values, pairs, vectors

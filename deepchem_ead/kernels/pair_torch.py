"""The pair operation of the attention denoiser in PyTorch: the specification of all kernels.

Molecules are worked off in chunks of a few, padded to the largest of the chunk: within a batch
sorted by size this wastes little, and every operation is one dense product.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_weights import PairWeights, radial_features

#: On the CPU, where a chunk should stay in the cache, and on a GPU, where it should fill it. On the
#: CPU without gradients it is one: a molecule's result must not depend on others to the last bit.
MOLECULES_PER_CHUNK = (16, 128)


def pair_attention(inputs: PairInputs, weights: PairWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Attention-weighted sums over the other atoms of each molecule (see `AttentionDenoiser`).

    Parameters
    ----------
    inputs : PairInputs
    weights : PairWeights

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
    for chunk in _chunks(inputs.layout, _molecules_per_chunk(inputs.q.device)):
        told = inputs.told
        padded = inputs.map(
            chunk.pad, None if told is None else chunk.pad_pairs(told, inputs.layout)
        )
        dense = _dense_attention(padded, chunk.mask, weights)
        results.append([t.flatten(0, 1).index_select(0, chunk.places) for t in dense])
    values, pairs, vectors = (torch.cat(t) for t in zip(*results, strict=True))
    return values, pairs.flatten(1), vectors


class _Chunk(NamedTuple):
    """A few molecules: their flat nodes and pairs, and where nodes are in padded ones (c, n)."""

    nodes: slice
    pairs: slice
    places: Tensor
    mask: Tensor

    def pad(self, t: Tensor) -> Tensor:
        """Flat (A, D) to padded (c, n, D), zero where no node is."""
        padded = t.new_zeros(self.mask.numel(), t.shape[1])
        return padded.index_copy(0, self.places, t[self.nodes]).view(*self.mask.shape, -1)

    def pad_pairs(self, t: Tensor, layout: AtomLayout) -> Tensor:
        """Flat (E, W) to padded (c, n, n, W), zero where no pair is."""
        n = self.mask.shape[1]
        i, j = (self.places[nodes[self.pairs] - self.nodes.start] for nodes in layout.pairs)
        padded = t.new_zeros(self.mask.numel() * n, t.shape[1])
        padded = padded.index_copy(0, i * n + j % n, t[self.pairs])
        return padded.view(*self.mask.shape, n, -1)


def _molecules_per_chunk(device: torch.device) -> int:
    if device.type != "cpu":
        return MOLECULES_PER_CHUNK[1]
    return MOLECULES_PER_CHUNK[0] if torch.is_grad_enabled() else 1


def _chunks(layout: AtomLayout, n_molecules: int) -> tuple[_Chunk, ...]:
    """Built on the host, once per layout object: a GPU is never waited for."""
    known = _known_chunks.setdefault(layout, {})
    if n_molecules not in known:
        known[n_molecules] = tuple(_build_chunks(layout, n_molecules))
    return known[n_molecules]


def _build_chunks(layout: AtomLayout, n_molecules: int) -> Iterator[_Chunk]:
    device = layout.index.device
    sizes = torch.tensor([g.size for g in layout.groups for _ in range(g.n_molecules)])
    first = pair = 0
    for counts in sizes.split(n_molecules):
        mask = torch.arange(int(counts.max())) < counts.unsqueeze(1)
        places = mask.flatten().nonzero().squeeze(1)
        nodes = slice(first, first + len(places))
        pairs = slice(pair, pair + int((counts * (counts - 1)).sum()))
        yield _Chunk(nodes, pairs, places.to(device), mask.to(device))
        first, pair = nodes.stop, pairs.stop


_known_chunks: weakref.WeakKeyDictionary[AtomLayout, dict[int, tuple[_Chunk, ...]]]
_known_chunks = weakref.WeakKeyDictionary()


def _dense_attention(
    padded: PairInputs, mask: Tensor, weights: PairWeights
) -> tuple[Tensor, Tensor, Tensor]:
    q, x, x0 = padded.q, padded.x, padded.x0
    (c, n, _), n_heads = q.shape, len(weights.logits)

    def heads(t: Tensor) -> Tensor:  # (c, H, n, D)
        return t.view(c, n, n_heads, -1).transpose(1, 2)

    diff = x.unsqueeze(2) - x.unsqueeze(1)
    d2 = diff.square().sum(3)
    d2_0 = (x0.unsqueeze(2) - x0.unsqueeze(1)).square().sum(3)
    radial = torch.cat([radial_features(d2), radial_features(d2_0)], 3)
    mixed = radial @ torch.cat([weights.radial, weights.radial_input], 1).T
    if padded.told is not None:
        mixed = mixed + padded.told @ weights.told.T
    of_atoms = padded.own.unsqueeze(2), padded.other.unsqueeze(1)
    p = nn.functional.silu(mixed + of_atoms[0] + of_atoms[1])  # (c, n, n, P)
    read = p @ torch.cat([weights.logits, weights.gates]).T  # (c, n, n, 2H)
    logits, gates = read.permute(0, 3, 1, 2).chunk(2, 1)  # (c, H, n, n)
    scale = (q.shape[2] // n_heads) ** -0.5
    logits = logits + scale * (heads(q) @ heads(padded.k).transpose(2, 3))
    other_atom = mask.unsqueeze(1) & ~torch.eye(n, dtype=torch.bool, device=q.device)
    other_atom = other_atom.unsqueeze(1)  # (c, 1, n, n)
    # A finite value, and zeros afterwards: an atom that is alone must not become NaN.
    attention = torch.softmax(logits.masked_fill(~other_atom, -1e9), 3) * other_atom
    values = (attention @ heads(padded.v)).transpose(1, 2).reshape(c, n, -1)
    pairs = attention.transpose(1, 2) @ p  # (c, n, H, P)
    unit = diff / ((d2 + 1e-8).sqrt() + 1).unsqueeze(3)
    vectors = (attention * gates).transpose(1, 2) @ unit  # (c, n, H, 3)
    return values, pairs, vectors

"""The ordered pairs of atoms of a batch, and the order in which they are worked off.

The pairs (i, j), j != i, of a molecule of n atoms form an (n, n-1) block: row i holds
j = i+1, i+2, ..., i+n-1 (mod n). With the neighbours' values written twice, one copy behind the
other, every row is a window of n-1 consecutive rows, and all windows together are one overlapping
strided view: a sum u_i + v_j over all pairs needs no gathered copy and computes no self pair.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout, SizeGroup


class Piece(NamedTuple):
    """Rows (centre atoms) of one molecule, or all rows of consecutive molecules of equal size."""

    size: int  # atoms of each molecule
    n_molecules: int
    first_row: int  # of each molecule; 0 unless one molecule is cut
    n_rows: int
    first_node: int  # of the first molecule
    first_edge: int  # counted from the beginning of the chunk

    @property
    def nodes(self) -> slice:
        """The centre atoms as rows of a flat array of nodes."""
        start = self.first_node + self.first_row
        return slice(start, start + self.n_molecules * self.n_rows)

    @property
    def edges(self) -> slice:
        """The pairs as rows of the chunk."""
        return slice(self.first_edge, self.first_edge + self.n_edges)

    @property
    def n_edges(self) -> int:
        return self.n_molecules * self.n_rows * (self.size - 1)

    def windows(self, doubled: Tensor) -> Tensor:
        """View v_j of all pairs, (c, rows, n-1, F), into the doubled values (2A, F)."""
        width = doubled.shape[1]
        return doubled.as_strided(
            (self.n_molecules, self.n_rows, self.size - 1, width),
            (2 * self.size * width, width, width, 1),
            (2 * self.first_node + self.first_row + 1) * width,
        )


class Chunk(NamedTuple):
    """Pairs that pass through the edge network together."""

    edges: slice
    pieces: tuple[Piece, ...]

    @property
    def n_edges(self) -> int:
        return self.edges.stop - self.edges.start


class EachOnce(NamedTuple):
    """The pairs with i < j, one of each two.

    Attributes
    ----------
    edges : Tensor, (E / 2,) int64
        Where they stand among all pairs.
    number : Tensor, (E,) int64
        Which of them a pair, or its reverse, is.
    """

    edges: Tensor
    number: Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of a layout (E of them), in the order of their centre atoms.

    Attributes
    ----------
    first, second : Tensor, (E,) int64
        Nodes i and j of each pair.
    reverse : Tensor, (E,) int64
        Where the pair (j, i) stands.
    doubled : Tensor, (2A,) int64
        Nodes of each molecule, twice in a row.
    groups : tuple of SizeGroup
        The layout's. A backward pass may need them when the layout itself is gone.
    """

    first: Tensor
    second: Tensor
    reverse: Tensor
    doubled: Tensor
    groups: tuple[SizeGroup, ...]
    known_chunks: dict[tuple[int, bool], tuple[Chunk, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: AtomLayout) -> Pairs:
        """The pairs of a layout; built once per layout object."""
        found = _cache.get(layout)
        if found is None:
            found = _cache[layout] = cls._build(layout)
        return found

    @classmethod
    def _build(cls, layout: AtomLayout) -> Pairs:
        reverse, doubled, n_edges = [], [], 0
        for group in layout.groups:
            n, c = group.size, group.n_molecules
            start = group.first_node + n * torch.arange(c).view(c, 1, 1)
            i = torch.arange(n).view(n, 1)
            k = torch.arange(n - 1)
            j = (i + 1 + k) % n
            # In row j, atom i stands at column (i - j - 1) mod n = n - 2 - k.
            back = n_edges + n * (n - 1) * torch.arange(c).view(c, 1, 1) + j * (n - 1) + n - 2 - k
            reverse.append(back.reshape(-1))
            doubled.append((start + torch.arange(2 * n) % n).reshape(-1))
            n_edges += c * n * (n - 1)
        device = layout.index.device
        tensors = (torch.cat(parts).to(device) for parts in (reverse, doubled))
        return cls(*layout.pairs, *tensors, layout.groups)

    @property
    def n_edges(self) -> int:
        return self.first.shape[0]

    @cached_property
    def once(self) -> EachOnce:
        """Each two that are each other's reverse, once; built on the host, once per layout."""
        is_first, number, n_before = [], [], 0
        for group in self.groups:
            n, c = group.size, group.n_molecules
            i = torch.arange(n).view(n, 1)
            j = (i + 1 + torch.arange(n - 1)) % n
            low, high = torch.minimum(i, j), torch.maximum(i, j)
            # Row i has n - 1 - i pairs with j > i.
            in_molecule = low * (n - 1) - low * (low - 1) // 2 + high - low - 1
            half = n * (n - 1) // 2
            starts = n_before + half * torch.arange(c).view(c, 1)
            number.append((starts + in_molecule.flatten()).flatten())
            is_first.append((i < j).flatten().repeat(c))
            n_before += c * half
        device = self.first.device
        edges = torch.cat(is_first).nonzero().squeeze(1)
        return EachOnce(edges.to(device), torch.cat(number).to(device))

    @property
    def longest_row(self) -> int:
        """Pairs of one centre atom in the largest molecule."""
        return max(group.size for group in self.groups) - 1

    def chunks(self, max_edges: int, fill: bool) -> tuple[Chunk, ...]:
        """Cut the pairs into chunks of at most ``max_edges``; built once per layout object.

        Parameters
        ----------
        max_edges : int
            Only the n-1 pairs of a single centre atom may exceed it.
        fill : bool
            Cut molecules between centre atoms to fill every chunk. Otherwise only a molecule that
            is too large for one chunk is cut.
        """
        key = (max_edges, fill)
        if key not in self.known_chunks:
            self.known_chunks[key] = tuple(self._cut(max_edges, fill))
        return self.known_chunks[key]

    def _cut(self, max_edges: int, fill: bool) -> Iterator[Chunk]:
        pieces: list[Piece] = []
        begin = length = 0
        for group in self.groups:
            n = group.size
            if n == 1:
                continue
            whole = n * (n - 1)
            molecule = row = 0
            while molecule < group.n_molecules:
                node = group.first_node + molecule * n
                room = max_edges - length
                if row == 0 and whole <= room:
                    taken = min(group.n_molecules - molecule, room // whole)
                    pieces.append(Piece(n, taken, 0, n, node, length))
                    molecule += taken
                else:
                    cut = fill or row > 0 or whole > max_edges
                    rows = min(n - row, room // (n - 1) if cut else 0)
                    if rows <= 0 and pieces:
                        yield Chunk(slice(begin, begin + length), tuple(pieces))
                        begin, length, pieces = begin + length, 0, []
                        continue
                    rows = max(rows, 1)
                    pieces.append(Piece(n, 1, row, rows, node, length))
                    row += rows
                    if row == n:
                        molecule, row = molecule + 1, 0
                length += pieces[-1].n_edges
        if pieces:
            yield Chunk(slice(begin, begin + length), tuple(pieces))


_cache: weakref.WeakKeyDictionary[AtomLayout, Pairs] = weakref.WeakKeyDictionary()


class _Differences(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        difference = x.index_select(0, pairs.first) - x.index_select(0, pairs.second)
        # Term by term: a library reduction may order three terms by where they stand in memory.
        square = difference * difference
        squared = square[:, 0] + square[:, 1] + square[:, 2]
        ctx.save_for_backward(difference)
        ctx.pairs, ctx.n_nodes = pairs, x.shape[0]
        ctx.set_materialize_grads(False)
        return difference, squared

    @staticmethod
    @once_differentiable
    def backward(ctx, g_difference: Tensor | None, g_squared: Tensor | None):
        (difference,) = ctx.saved_tensors
        pairs = ctx.pairs
        g = torch.zeros_like(difference)
        if g_squared is not None:
            # The pair (j, i) has the same distance and the opposite difference.
            both = g_squared + g_squared.index_select(0, pairs.reverse)
            g.addcmul_(difference, both.unsqueeze(1), value=2.0)
        if g_difference is not None:
            g += g_difference - g_difference.index_select(0, pairs.reverse)
        return g.new_zeros(ctx.n_nodes, 3).index_add_(0, pairs.first, g), None


def pair_differences(x: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Differences x_i - x_j (E, 3) and squared distances (E,) of all pairs, differentiable."""
    return _Differences.apply(x, pairs)

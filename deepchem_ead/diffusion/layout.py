"""How the atoms of a batch lie in memory: flat, molecule after molecule, without padding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class SizeGroup(NamedTuple):
    """A run of consecutive molecules that have the same number of nodes."""

    size: int
    first_molecule: int
    n_molecules: int
    first_node: int

    @property
    def nodes(self) -> slice:
        """The group's rows in a flat array of nodes."""
        return slice(self.first_node, self.first_node + self.size * self.n_molecules)


class PairIndex(NamedTuple):
    """The ordered pairs (i, j), j != i, of each molecule: what a row of pairs is about.

    Row i of a molecule of n atoms holds j = i + 1, i + 2, ..., i + n - 1 (mod n).

    Attributes
    ----------
    first, second : Tensor, (E,) int64
        Nodes i and j of each pair.
    """

    first: Tensor
    second: Tensor


@dataclass(frozen=True, eq=False)
class AtomLayout:
    """Which node belongs to which molecule.

    The nodes (real and dummy atoms) of a batch are stored one after the other: a quantity of all
    nodes is a flat tensor (A, ...), a quantity of all molecules a tensor (B, ...). Nothing is
    padded, so no mask exists that could be forgotten.

    Attributes
    ----------
    counts : Tensor, (B,) int64
        Nodes of each molecule.
    starts : Tensor, (B,) int64
        First node of each molecule.
    index : Tensor, (A,) int64
        Molecule of each node.
    groups : tuple of SizeGroup
        Maximal runs of consecutive molecules of equal size. Sorting molecules by size makes these
        runs long, which is what the fast denoisers live on; no result depends on it.
    """

    counts: Tensor
    starts: Tensor
    index: Tensor
    groups: tuple[SizeGroup, ...]

    @classmethod
    def from_counts(
        cls, counts: Tensor | Iterable[int], device: torch.device | str | None = None
    ) -> AtomLayout:
        """Lay out molecules with these numbers of nodes (B,).

        Raises
        ------
        ValueError
            If a molecule has no node.
        """
        sizes = counts.tolist() if hasattr(counts, "tolist") else [int(c) for c in counts]
        groups: list[SizeGroup] = []
        node = 0
        for molecule, size in enumerate(sizes):
            if size < 1:
                raise ValueError(
                    f"molecule {molecule} has {size} nodes; a molecule needs at least one"
                )
            if groups and groups[-1].size == size:
                last = groups[-1]
                groups[-1] = last._replace(n_molecules=last.n_molecules + 1)
            else:
                groups.append(SizeGroup(size, molecule, 1, node))
            node += size
        count = torch.tensor(sizes, dtype=torch.int64, device=device)
        starts = torch.cumsum(count, 0) - count
        molecules = torch.arange(len(sizes), device=device)
        # Without the size of the result a GPU's host would wait for it.
        index = torch.repeat_interleave(molecules, count, output_size=node)
        return cls(count, starts, index, tuple(groups))

    @property
    def n_molecules(self) -> int:
        return self.counts.shape[0]

    @property
    def n_nodes(self) -> int:
        return self.index.shape[0]

    @cached_property
    def pairs(self) -> PairIndex:
        """All ordered pairs of atoms of the same molecule; built once, on the host."""
        first, second = [], []
        for group in self.groups:
            n, c = group.size, group.n_molecules
            start = group.first_node + n * torch.arange(c).view(c, 1, 1)
            i = torch.arange(n).view(n, 1)
            first.append((start + i.expand(n, n - 1)).reshape(-1))
            second.append((start + (i + 1 + torch.arange(n - 1)) % n).reshape(-1))
        device = self.index.device
        return PairIndex(torch.cat(first).to(device), torch.cat(second).to(device))

    @cached_property
    def first_pairs(self) -> Tensor:
        """Number of the first of `pairs` of each molecule, (B,) int64."""
        n_pairs = self.counts * (self.counts - 1)
        return n_pairs.cumsum(0) - n_pairs

    def to(self, device: torch.device | str) -> AtomLayout:
        """The same layout with its tensors on another device."""
        return AtomLayout(
            self.counts.to(device), self.starts.to(device), self.index.to(device), self.groups
        )

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the nodes of each molecule: (A, ...) to (B, ...)."""
        out = values.new_zeros((self.n_molecules, *values.shape[1:]))
        return out.index_add_(0, self.index, values)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the nodes of each molecule: (A, ...) to (B, ...)."""
        counts = self.counts.to(values.dtype)
        return self.sum(values) / counts.view(-1, *[1] * (values.dim() - 1))

    def max(self, values: Tensor) -> Tensor:
        """Largest value among the nodes of each molecule: (A,) to (B,)."""
        return self._extreme(values, "amax")

    def min(self, values: Tensor) -> Tensor:
        """Smallest value among the nodes of each molecule: (A,) to (B,)."""
        return self._extreme(values, "amin")

    def _extreme(self, values: Tensor, reduce: str) -> Tensor:
        out = values.new_empty((self.n_molecules,))
        return out.scatter_reduce_(0, self.index, values, reduce, include_self=False)

    def expand(self, values: Tensor) -> Tensor:
        """Give each node its molecule's value: (B, ...) to (A, ...)."""
        return values.index_select(0, self.index)

    def center(self, x: Tensor) -> Tensor:
        """Subtract each molecule's mean from its nodes: (A, D) to (A, D)."""
        return x - self.expand(self.mean(x))

"""How the pairs of a layout are shared among the programs of a kernel."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout, SizeGroup
from deepchem_ead.kernels.pairs import Pairs


class Part(NamedTuple):
    """Whole molecules whose pairs go through the backward pass together."""

    first_node: int
    n_nodes: int
    begin: int  # first pair
    end: int  # one behind the last

    @property
    def n_pairs(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles of up to ``block_c`` consecutive centre atoms with up to ``block_e`` pairs.

    A centre atom with more pairs has a tile of its own.

    Attributes
    ----------
    first, second, reverse : Tensor, (E,) int64
        See `Pairs`.
    rows : Tensor, (A + 1,) int64
        First pair of each node.
    tile_nodes, tile_edges : Tensor, (T + 1,) int64
        First node and first pair of each tile.
    longest_row : int
        Pairs of one centre atom in the largest molecule.
    groups : tuple of SizeGroup
        The layout's.
    """

    first: Tensor
    second: Tensor
    reverse: Tensor
    rows: Tensor
    tile_nodes: Tensor
    tile_edges: Tensor
    longest_row: int
    groups: tuple[SizeGroup, ...]
    known_parts: dict[int, tuple[Part, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: AtomLayout, block_c: int, block_e: int) -> Tiles:
        """The tiles of a layout; built once per layout object and size."""
        known = _cache.setdefault(layout, {})
        if (block_c, block_e) not in known:
            known[block_c, block_e] = cls._build(layout, block_c, block_e)
        return known[block_c, block_e]

    @classmethod
    def _build(cls, layout: AtomLayout, block_c: int, block_e: int) -> Tiles:
        pairs = Pairs.of(layout)
        tile_nodes, degrees = [], []
        for group in layout.groups:
            n_nodes = group.size * group.n_molecules
            centres = max(min(block_c, block_e // max(group.size - 1, 1)), 1)
            tile_nodes.append(group.first_node + torch.arange(0, n_nodes, centres))
            degrees.append(torch.full((n_nodes,), group.size - 1))
        tile_nodes = torch.cat([*tile_nodes, torch.tensor([layout.n_nodes])])
        rows = torch.nn.functional.pad(torch.cat(degrees).cumsum(0), (1, 0))
        device = pairs.first.device
        rest = (t.to(device) for t in (rows, tile_nodes, rows[tile_nodes]))
        return cls(
            pairs.first, pairs.second, pairs.reverse, *rest, pairs.longest_row, layout.groups
        )

    @property
    def n_tiles(self) -> int:
        return len(self.tile_nodes) - 1

    def parts(self, max_pairs: int) -> tuple[Part, ...]:
        """Cut the batch between molecules into parts of at most ``max_pairs``.

        Only a single molecule may have more. Molecules of one atom may be left out.
        """
        if max_pairs not in self.known_parts:
            self.known_parts[max_pairs] = tuple(self._cut(max_pairs))
        return self.known_parts[max_pairs]

    def _cut(self, max_pairs: int) -> list[Part]:
        parts: list[Part] = []
        first_pair = 0
        for group in self.groups:
            n, pairs = group.size, group.size * (group.size - 1)
            molecule = 0
            while molecule < group.n_molecules and pairs:
                last = parts[-1] if parts else None
                room = max_pairs - last.n_pairs if last else 0
                fresh = room < pairs
                taken = max(min((max_pairs if fresh else room) // pairs, group.n_molecules), 1)
                taken = min(taken, group.n_molecules - molecule)
                node, begin = group.first_node + molecule * n, first_pair + molecule * pairs
                end = begin + taken * pairs
                if fresh:
                    parts.append(Part(node, taken * n, begin, end))
                else:
                    nodes = node + taken * n - last.first_node
                    parts[-1] = Part(last.first_node, nodes, last.begin, end)
                molecule += taken
            first_pair += group.n_molecules * pairs
        return parts


_cache: weakref.WeakKeyDictionary[AtomLayout, dict[tuple[int, int], Tiles]]
_cache = weakref.WeakKeyDictionary()

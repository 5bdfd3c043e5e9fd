"""What surrounds a kept part of a molecule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, channel
from deepchem_ead.sampling import Start
from deepchem_ead.tasks.base import NOT_KNOWN, Known, TrainingBatch

#: Further away than any atom.
_BEYOND = 1e6


@dataclass(frozen=True)
class Edit:
    """Position and kind of some atoms are given; the others have the levels of Algorithm 1.

    In training the kept part is, of each molecule, all atoms within a distance of a random one, or
    atoms here and there, or what either leaves; from none to all of them, each number equally
    often. Dummy atoms are never kept: how many atoms join it is open.

    Attributes
    ----------
    scattered : float
        Share of molecules whose part is not in one place.
    """

    scattered: float = 0.25
    by_channel: ClassVar[bool] = False
    gives_bonds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.scattered <= 1:
            raise ValueError(f"scattered is a share, not {self.scattered}")

    def start(self, known: Known, layout: AtomLayout) -> Start:
        return Start(known.clean, torch.where(known.atoms, 0.0, NOT_KNOWN))

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return batch.levels.masked_fill(self.kept(batch, generator), 0)

    def kept(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        """The kept atoms (A,) bool that are drawn for training."""
        layout, real = batch.layout, batch.real
        positions = channel(batch.clean, "positions")

        def uniform(n: int) -> Tensor:
            return torch.rand(n, generator=generator, device=positions.device)

        size, apart, rest = (uniform(layout.n_molecules) for _ in range(3))
        order = uniform(layout.n_nodes)
        dummies = torch.where(real, 0.0, _BEYOND)
        first = place(order + dummies, layout) == 0
        seed = layout.sum(torch.where(first.unsqueeze(1), positions, 0.0))
        distance = (positions - layout.expand(seed)).square().sum(1)
        key = torch.where(layout.expand(apart < self.scattered), order, distance)
        n_kept = (size * (layout.sum(real.to(size.dtype)) + 1)).floor()
        kept = (place(key + dummies, layout) < layout.expand(n_kept)) & real
        return torch.where(layout.expand(rest < 0.5), real & ~kept, kept)


def place(values: Tensor, layout: AtomLayout) -> Tensor:
    """Which place each node has in its molecule when its nodes are sorted by a value (A,)."""
    order = values.argsort(stable=True)
    order = order[layout.index[order].argsort(stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    return places - layout.expand(layout.starts)

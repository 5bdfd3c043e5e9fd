"""Elements for a given shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import Start
from deepchem_ead.tasks.base import NOT_KNOWN, Known, TrainingBatch
from deepchem_ead.tasks.edit import Edit


@dataclass(frozen=True)
class Shape(Edit):
    """Positions of some atoms are given, drawn as in `Edit`; their kinds are to be found.

    Attributes
    ----------
    scattered : float
        Share of molecules whose part is not in one place.
    """

    by_channel: ClassVar[bool] = True
    gives_bonds: ClassVar[bool] = False

    def start(self, known: Known, layout: AtomLayout) -> Start:
        positions = torch.where(known.atoms, 0.0, NOT_KNOWN)
        return Start(
            known.clean, torch.stack([positions, torch.full_like(positions, NOT_KNOWN)], 1)
        )

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        positions = batch.levels.masked_fill(self.kept(batch, generator), 0)
        return torch.stack([positions, batch.levels], 1)

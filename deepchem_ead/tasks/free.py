"""Molecules from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import Start
from deepchem_ead.tasks.base import NOT_KNOWN, Known, TrainingBatch


@dataclass(frozen=True)
class Free:
    """Nothing is given: the levels of Algorithm 1."""

    by_channel: ClassVar[bool] = False
    gives_bonds: ClassVar[bool] = False

    def start(self, known: Known, layout: AtomLayout) -> Start:
        return Start(known.clean, torch.full_like(known.clean[:, 0], NOT_KNOWN))

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return batch.levels

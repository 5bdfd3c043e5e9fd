"""Positions of the atoms of a given graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import Start
from deepchem_ead.tasks.base import NOT_KNOWN, Known, TrainingBatch


@dataclass(frozen=True)
class Conformer:
    """All kinds are given, dummy atoms included, and all bonds, if the model knows bonds."""

    by_channel: ClassVar[bool] = True
    gives_bonds: ClassVar[bool] = True

    def start(self, known: Known, layout: AtomLayout) -> Start:
        kinds = torch.where(known.atoms, 0.0, NOT_KNOWN)
        return Start(known.clean, torch.stack([torch.full_like(kinds, NOT_KNOWN), kinds], 1))

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return torch.stack([batch.levels, torch.zeros_like(batch.levels)], 1)

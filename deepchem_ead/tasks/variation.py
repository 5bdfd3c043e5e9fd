"""Neighbours of a molecule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import Start
from deepchem_ead.tasks.base import NOT_KNOWN, Known, TrainingBatch


@dataclass(frozen=True)
class Variation:
    """Sampling starts at a molecule with the noise of one level; trained as `Free`.

    Attributes
    ----------
    level : float
        Above 0; the higher, the less is left of the molecule.
    """

    level: float = 300.0
    by_channel: ClassVar[bool] = False
    gives_bonds: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.level > 0:
            raise ValueError(f"the level of a variation must be positive, not {self.level}")

    def start(self, known: Known, layout: AtomLayout) -> Start:
        return Start(known.clean, torch.where(known.atoms, float(self.level), NOT_KNOWN))

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return batch.levels

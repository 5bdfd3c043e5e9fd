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
    """All kinds are given, dummy atoms included, and all bonds, if the model knows bonds.

    Attributes
    ----------
    level : float, optional
        Sampling begins at given positions with the noise of this level, above 0; by default
        positions are not known. What is trained does not depend on it.
    """

    level: float | None = None
    by_channel: ClassVar[bool] = True
    gives_bonds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.level is not None and not self.level > 0:
            raise ValueError(f"conformers begin at a level above 0, not {self.level}")

    def start(self, known: Known, layout: AtomLayout) -> Start:
        kinds = torch.where(known.atoms, 0.0, NOT_KNOWN)
        level = NOT_KNOWN if self.level is None else float(self.level)
        positions = torch.where(known.atoms, level, NOT_KNOWN)
        return Start(known.clean, torch.stack([positions, kinds], 1))

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return torch.stack([batch.levels, torch.zeros_like(batch.levels)], 1)

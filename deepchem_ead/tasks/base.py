"""What a task is: where sampling starts, and which levels are trained for it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion import CHANNELS, AtomLayout
from deepchem_ead.sampling import Start

#: Level in a `Start` of what is not known: wherever the schedule begins.
NOT_KNOWN = float("inf")


class Known(NamedTuple):
    """What is given to start from.

    Attributes
    ----------
    clean : Tensor, (A, 3 + F)
        Positions (Angstrom, in any frame) and scaled features; anything where nothing is given.
    atoms : Tensor, (A,) bool
        The nodes that are given.
    """

    clean: Tensor
    atoms: Tensor


class TrainingBatch(NamedTuple):
    """Molecules to learn from, and the levels that Algorithm 1 drew for them.

    Attributes
    ----------
    clean : Tensor, (A, 3 + F)
    levels : Tensor, (A,) int64
        From `deepchem_ead.diffusion.sample_levels`.
    is_dummy : Tensor, (A,) bool, or None
        None: there are no dummy atoms.
    layout : AtomLayout
    """

    clean: Tensor
    levels: Tensor
    is_dummy: Tensor | None
    layout: AtomLayout

    @property
    def real(self) -> Tensor:
        """Nodes that are atoms, (A,) bool."""
        if self.is_dummy is None:
            return torch.ones_like(self.levels, dtype=torch.bool)
        return ~self.is_dummy


class Task(Protocol):
    """A law of training levels and a start of sampling; level 0 is what is given.

    Attributes
    ----------
    by_channel : bool
        Positions and kinds of an atom have different levels, which the network has to be told.
    gives_bonds : bool
        The bonds between atoms whose kind is given are given with them, if they are known.
    """

    @property
    def by_channel(self) -> bool: ...
    @property
    def gives_bonds(self) -> bool: ...

    def start(self, known: Known, layout: AtomLayout) -> Start:
        """Where sampling starts: level 0 where something is known, `NOT_KNOWN` elsewhere."""

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        """Levels (A,), or (A, C) of a task ``by_channel``, of molecules that all have this task.

        Everything random comes from ``generator``, which is on the device of the batch. Nothing may
        wait for that device: a step of training can be one CUDA graph.
        """


def each_channel(levels: Tensor) -> Tensor:
    """Levels (A, C) of all channels from (A,) or (A, C)."""
    return levels if levels.dim() > 1 else levels.unsqueeze(1).expand(-1, len(CHANNELS))

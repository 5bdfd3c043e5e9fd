"""Several tasks in one training: each molecule draws its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from deepchem_ead.diffusion import level_of
from deepchem_ead.tasks.base import Task, TrainingBatch, each_channel
from deepchem_ead.tasks.free import Free
from deepchem_ead.tasks.registry import TASKS, resolve_task


@dataclass(frozen=True)
class TaskMixture:
    """Tasks and the shares of molecules that are trained on them.

    Attributes
    ----------
    tasks : tuple of Task
    shares : tuple of float
        They sum to 1.

    Examples
    --------
    >>> mixture = TaskMixture.read("free=3,edit=1")
    >>> mixture.shares, mixture.by_channel
    ((0.75, 0.25), False)
    """

    tasks: tuple[Task, ...]
    shares: tuple[float, ...]

    @classmethod
    @lru_cache
    def read(cls, text: str) -> TaskMixture:
        """A mixture from ``NAME`` or ``NAME=SHARE,NAME=SHARE``; shares are scaled to sum to 1.

        Raises
        ------
        ValueError
            If a task is not known or given twice, or a share is not a positive number.
        """
        shares: dict[str, float] = {}
        for entry in text.split(","):
            name, equals, share = (part.strip() for part in entry.partition("="))
            if name in shares:
                raise ValueError(f"{text!r}: {name} is given twice")
            TASKS[name]  # refuses others
            try:
                shares[name] = float(share) if equals else 1.0
            except ValueError:
                shares[name] = 0.0
            if not 0 < shares[name] < float("inf"):
                raise ValueError(f"{text!r}: the share of {name} must be a positive number")
        total = sum(shares.values())
        return cls(
            tuple(resolve_task(name) for name in shares),
            tuple(share / total for share in shares.values()),
        )

    @property
    def by_channel(self) -> bool:
        """A task gives positions and kinds different levels."""
        return any(task.by_channel for task in self.tasks)

    @property
    def is_free(self) -> bool:
        """There is nothing but free generation."""
        return self.tasks == (Free(),)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Which task each of n molecules has, (n,) int64."""
        u = torch.rand(n, generator=generator, device=generator.device)
        chosen = torch.zeros_like(u, dtype=torch.int64)
        bound = 0.0
        for share in self.shares[:-1]:  # one by one: a graph holds no copy from the host
            bound += share
            chosen += u >= bound
        return chosen

    def training_levels(self, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        """Levels of a batch, (A,) or (A, C), each molecule's by its own task.

        Nothing is drawn where there is nothing but free generation.
        """
        return self.draw_for(batch, generator)[0]

    def draw_for(self, batch: TrainingBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Levels as `training_levels`, and the atoms (A,) bool among which bonds are given."""
        if self.is_free:
            return batch.levels, torch.zeros_like(batch.levels, dtype=torch.bool)
        tasks = self.draw(batch.layout.n_molecules, generator)
        chosen = batch.layout.expand(tasks)
        found: Tensor | None = None
        bonded = torch.zeros_like(chosen, dtype=torch.bool)
        for number, task in enumerate(self.tasks):
            levels = task.training_levels(batch, generator)
            if self.by_channel:
                levels = each_channel(levels)
            mine = chosen == number
            if getattr(task, "gives_bonds", False):  # others came before bonds
                bonded = bonded | (mine & (level_of(levels, "kinds") == 0))
            mine = mine.unsqueeze(1) if levels.dim() > 1 else mine
            found = levels if found is None else torch.where(mine, levels, found)
        assert found is not None  # read() needs a name
        return found, bonded

"""Grids by name: which levels a run visits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion import NoiseSchedule
from deepchem_ead.parts import make_part
from deepchem_ead.registry import Registry
from deepchem_ead.sampling.state import level_grid

#: A number of steps, levels from 0 to T, or a name of `GRIDS` with options.
Steps = int | str | Sequence[float] | Tensor

#: Largest ratio of neighbouring noise-to-signal ratios at which the theory of reverse transition
#: kernels promises a condition number of 3 (see `deepchem_ead.sampling.rtk`).
KERNEL_RATIO = math.sqrt(1.5)


class Grid(Protocol):
    """Levels of a run, from what a noise schedule says about them."""

    def levels(self, schedule: NoiseSchedule) -> Tensor:
        """Levels (K + 1,) float64, increasing from 0 to T."""


@dataclass(frozen=True)
class EvenGrid:
    """Levels spread evenly; what a plain number of steps means.

    Parameters
    ----------
    steps : int
    """

    steps: int = 100

    def levels(self, schedule: NoiseSchedule) -> Tensor:
        return level_grid(schedule.timesteps, self.steps)


@dataclass(frozen=True)
class CoarseGrid:
    """An even grid of whose levels above one only some are visited.

    What a molecule will be is hardly decided there, so evaluations can be saved.

    Parameters
    ----------
    steps : int
        Of the whole even grid.
    above : float
        Level above which it is coarser.
    every : int
        Each so-manieth level is kept there.
    """

    steps: int = 100
    above: float = 400.0
    every: int = 2

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")

    def levels(self, schedule: NoiseSchedule) -> Tensor:
        even = level_grid(schedule.timesteps, self.steps)
        fine, coarse = even[even <= self.above], even[even > self.above]
        # From the highest, which has to be there, down.
        return torch.cat([fine, coarse.flip(0)[:: self.every].flip(0)])


@dataclass(frozen=True)
class GeometricGrid:
    """Noise-to-signal ratios in equal proportions.

    Parameters
    ----------
    steps : int
        0: as few as leave each step a kernel of condition number 3 (`KERNEL_RATIO`).
    """

    steps: int = 0

    def levels(self, schedule: NoiseSchedule) -> Tensor:
        span = math.log(float(schedule.tau[-1] / schedule.tau[0]))
        steps = self.steps or math.ceil(span / math.log(KERNEL_RATIO))
        return _at_shares(torch.linspace(0, 1, steps + 1, dtype=torch.float64), schedule)


@dataclass(frozen=True)
class ArcsinGrid:
    """Dense in the middle of ``log tau``: shares ``(1 - rho) u + rho (2 / pi) asin(sqrt u)``.

    With EDM's noise schedule the middle is at a tau of 1 Angstrom.

    Parameters
    ----------
    steps : int
    rho : float
        0 is geometric; up to 2.75, above which levels would not fall.

    References
    ----------
    VEDA, arXiv:2511.09568, whose rho is 2 to 2.5.
    """

    steps: int = 50
    rho: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.rho <= 2.75:
            raise ValueError(f"rho must lie between 0 and 2.75, not {self.rho}")

    def levels(self, schedule: NoiseSchedule) -> Tensor:
        u = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        share = (1 - self.rho) * u + self.rho * 2 / math.pi * torch.asin(u.sqrt())
        return _at_shares(share, schedule)


GRIDS: Registry[Callable[..., Grid]] = Registry(
    "grid",
    {
        "even": EvenGrid,
        "coarse": CoarseGrid,
        "geometric": GeometricGrid,
        "arcsin": ArcsinGrid,
    },
)


def resolve_grid(steps: Steps | None, schedule: NoiseSchedule) -> Tensor:
    """Levels a run visits, increasing from 0 to T, (K + 1,) float64.

    Parameters
    ----------
    steps : int, str or sequence of float, optional
        A number of steps, spread evenly (default: all T); a name of `GRIDS` with options, as
        ``"arcsin:steps=50"``; or the levels themselves, from 0 to T.
    schedule : NoiseSchedule

    Raises
    ------
    ValueError
        If there is no such grid, or the levels do not lead from 0 to T.
    """
    if isinstance(steps, str):
        grid: Grid = make_part(GRIDS, steps)
        return level_grid(schedule.timesteps, grid.levels(schedule))
    return level_grid(schedule.timesteps, steps)


def _at_shares(share: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Whole levels, as the network was trained at, with these shares of ``log tau``, all distinct.

    Raises
    ------
    ValueError
        If there are more steps than levels.
    """
    n, top = len(share) - 1, schedule.timesteps
    if not 1 <= n <= top:
        raise ValueError(f"steps must lie between 1 and {top} (timesteps), not {n}")
    low, high = schedule.tau[0].log(), schedule.tau[-1].log()
    levels = schedule.level_at(torch.exp(low + share * (high - low))).round()
    # Where many are wanted in one place neighbours are pushed apart: up, and down again at the top.
    index = torch.arange(n + 1, dtype=torch.float64)
    levels = torch.cummax(levels - index, 0).values + index
    return torch.minimum(levels, top - n + index)

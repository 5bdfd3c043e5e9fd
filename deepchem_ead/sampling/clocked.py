"""Runs that start synchronously and end with atoms that advance or stall one by one."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling.state import SamplerState


class ClockedRun:
    """Algorithm 2 but for the question which atoms advance.

    A clock counts down from K, one per iteration. While it is above ``k0 = round((1 -
    sync_fraction) K)`` all atoms follow it. After that an atom advances by one position of the
    grid, or stalls and is repeated, as `advancing` says; an atom above ``U = max(clock + 2 C, 0)``
    advances in any case. So after each iteration all positions lie between ``max(clock, 0)`` and U,
    and all are 0 after at most K + 2 C iterations. The clock does not depend on the state:
    molecules of a batch do not wait for each other.

    Parameters
    ----------
    layout : AtomLayout
    grid : Tensor, (K + 1,)
        Levels, increasing.
    interval : int
        C in positions of the grid.
    sync_fraction : float
        Share of the grid that is done synchronously.

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 2. What the upper bound is tied to is not said there.
    """

    def __init__(self, layout: AtomLayout, grid: Tensor, interval: int, sync_fraction: float):
        n_steps = len(grid) - 1
        self.start = grid[n_steps].expand(layout.n_nodes)
        self._grid = grid
        self._spread = 2 * interval
        self._clock = n_steps
        self._async_from = round((1 - sync_fraction) * n_steps)
        self.max_steps = n_steps + (self._spread if self._async_from > 0 else 0)
        self._position = torch.full_like(layout.index, n_steps)

    def observe(self, state: SamplerState) -> None:
        """Called in every iteration, synchronous ones too."""

    def advancing(self, state: SamplerState) -> Tensor:
        """Atoms (A,) bool that want to advance. Called once in each asynchronous iteration."""
        raise NotImplementedError

    def next(self, state: SamplerState) -> tuple[Tensor, Tensor | None] | None:
        if not bool(self._position.any()):
            return None
        self.observe(state)
        ahead = (self._position - 1).clamp_min_(0)
        repeat = None
        if self._clock <= self._async_from:
            bound = self._clock - 1 + self._spread
            stalled = ~self.advancing(state)
            repeat = stalled & (self._position > 0) & (self._position <= bound)
        self._position = ahead if repeat is None else torch.where(repeat, self._position, ahead)
        self._clock -= 1
        return self._grid[ahead], repeat


def check_clock(sync_fraction: float, interval: int) -> None:
    """Refuse arguments no `ClockedRun` can have."""
    if not 0.0 <= sync_fraction <= 1.0:
        raise ValueError(f"sync_fraction must lie between 0 and 1, not {sync_fraction}")
    if interval < 0:
        raise ValueError(f"interval must not be negative, not {interval}")

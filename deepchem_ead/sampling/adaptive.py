"""Atoms that slow down advance first (EAD, Algorithm 2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.clocked import ClockedRun, check_clock
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.state import SamplerState, grid_interval
from deepchem_ead.sampling.velocities import VELOCITIES, check_velocity


@dataclass(frozen=True)
class AdaptiveSchedule:
    """An atom advances when its last ``window`` velocities do not increase, else it is repeated.

    Velocities are lengths of the increments an atom made, so levels do not depend on where a
    molecule lies, how it is turned or how its atoms are numbered.

    Parameters
    ----------
    sync_fraction : float
        Share of the levels, from T down, that all atoms go together (lambda of the paper).
    window : int
        Velocities compared; 2 is one comparison. Atoms advance while fewer are known.
    interval : int
        C: atoms stay within 2 C levels of the clock, as in training. Scaled to the grid.
    velocity : {"latent", "x0hat", "environment"}
        ``latent``: length of the increment of the noisy state, with alpha of the newer level for
        the positions and in variance-preserving form for the features. ``x0hat``: length of the
        increment of the estimate of the clean data, which holds no fresh noise. ``environment``:
        how much the atom's surroundings in that estimate changed (`environment_velocity`).

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 2, eqs. 12 and 13; ``x0hat`` and ``environment`` are additions.
    """

    sync_fraction: float = 0.8
    window: int = 2
    interval: int = 29
    velocity: str = "latent"

    def __post_init__(self) -> None:
        check_clock(self.sync_fraction, self.interval)
        if self.window < 2:
            raise ValueError(f"window must be at least 2 to compare anything, not {self.window}")
        check_velocity(self.velocity)

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> ClockedRun:
        return _AdaptiveRun(self, layout, grid, noise_schedule)


class _AdaptiveRun(ClockedRun):
    def __init__(
        self,
        schedule: AdaptiveSchedule,
        layout: AtomLayout,
        grid: Tensor,
        noise_schedule: NoiseSchedule,
    ):
        interval = grid_interval(schedule.interval, grid)
        super().__init__(layout, grid, interval, schedule.sync_fraction)
        self._layout, self._noise_schedule = layout, noise_schedule
        self._velocity = VELOCITIES[schedule.velocity]
        self._velocities: deque[Tensor] = deque(maxlen=schedule.window)

    def observe(self, state: SamplerState) -> None:
        if state.last is not None:
            self._velocities.append(self._velocity(state, self._layout, self._noise_schedule))

    def advancing(self, state: SamplerState) -> Tensor:
        known = list(self._velocities)
        flag = torch.ones(len(state.levels), dtype=torch.bool, device=state.levels.device)
        if len(known) == self._velocities.maxlen:
            for older, newer in zip(known[:-1], known[1:], strict=True):
                flag &= newer <= older
        return flag

"""Atoms that slow down advance first (EAD, Algorithm 2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.clocked import ClockedRun, check_clock
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.state import SamplerState, Step, grid_interval

VELOCITIES = ("latent", "x0hat")


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
    velocity : {"latent", "x0hat"}
        ``latent``: length of the increment of the noisy state, with alpha of the newer level for
        the positions and in variance-preserving form for the features. ``x0hat``: length of the
        increment of the estimate of the clean data, which holds no fresh noise.

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 2, eqs. 12 and 13; ``x0hat`` is an addition.
    """

    sync_fraction: float = 0.8
    window: int = 2
    interval: int = 29
    velocity: str = "latent"

    def __post_init__(self):
        check_clock(self.sync_fraction, self.interval)
        if self.window < 2:
            raise ValueError(f"window must be at least 2 to compare anything, not {self.window}")
        if self.velocity not in VELOCITIES:
            raise ValueError(
                f"velocity must be one of {', '.join(VELOCITIES)}, not {self.velocity!r}"
            )

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
        interval = grid_interval(schedule.interval, grid, noise_schedule.timesteps)
        super().__init__(layout, grid, interval, schedule.sync_fraction)
        self._noise_schedule = noise_schedule
        self._latent = schedule.velocity == "latent"
        self._velocities: deque[Tensor] = deque(maxlen=schedule.window)

    def observe(self, state: SamplerState) -> None:
        if state.last is None:
            return
        if self._latent:
            increment = latent_increment(state.last, state.levels, self._noise_schedule)
        else:
            increment = estimate_increment(state.last, state.x_hat)
        self._velocities.append(torch.linalg.vector_norm(increment, dim=1))

    def advancing(self, state: SamplerState) -> Tensor:
        known = list(self._velocities)
        flag = torch.ones_like(state.levels, dtype=torch.bool)
        if len(known) == self._velocities.maxlen:
            for older, newer in zip(known[:-1], known[1:], strict=True):
                flag &= newer <= older
        return flag


def latent_increment(step: Step, levels: Tensor, noise_schedule: NoiseSchedule) -> Tensor:
    """What a step changed in the noisy state, (A, 3 + F), leaving out the shift to the centre.

    Positions: the variance-exploding increment times alpha of the newer level, because the
    variance-preserving one would depend on the origin. Features: the variance-preserving increment.
    """
    old = noise_schedule.alpha_at(step.levels).to(step.w.dtype).unsqueeze(1)
    new = noise_schedule.alpha_at(levels).to(step.w.dtype).unsqueeze(1)
    increment = new * step.moved
    increment[:, :3] -= new * step.w[:, :3]
    increment[:, 3:] -= old * step.w[:, 3:]
    return increment


def estimate_increment(step: Step, x_hat: Tensor) -> Tensor:
    """What a step changed in the estimate of the clean data, (A, 3 + F), in one common frame."""
    increment = x_hat - step.x_hat
    increment[:, :3] += step.shift
    return increment

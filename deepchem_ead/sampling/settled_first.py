"""Atoms whose estimate has settled advance first, the others are repeated."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule, any_channel
from deepchem_ead.sampling.clocked import ClockedRun, check_clock
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.state import SamplerState, grid_interval
from deepchem_ead.sampling.velocities import VELOCITIES, check_velocity


@dataclass(frozen=True)
class SettledFirstSchedule:
    """An atom advances when its estimate moves less than those of its molecule do on average.

    `AdaptiveSchedule` compares an atom with its own past and lets all of them stall equally often.
    This one compares the atoms of a molecule with each other: what differs is *how often* an atom
    is repeated, from never to 2 C times. The measure is the length of the increment of the estimate
    of the clean atom, type included, averaged over ``window`` steps. A step adds noise dw to the
    state, which moves the estimate by J dw with J = Cov(clean | noisy) / tau^2, so the measure is
    large where position or type are not decided yet. Atoms that wait fall behind and are told less
    about themselves, so the order, once found, lasts.

    Parameters
    ----------
    sync_fraction, interval
        As in `AdaptiveSchedule`.
    window : int
        Increments that are averaged. All atoms advance before the first.
    velocity : {"latent", "x0hat", "environment"}
        Another measure, see `AdaptiveSchedule`.
    reverse : bool
        Atoms that have not settled advance instead, and then settle: all end up waiting equally
        often. A control that uses the same information.

    References
    ----------
    An addition. The clock is that of EAD, arXiv:2603.10093, Algorithm 2; the most certain first is
    how masked generative models order their tokens (MaskGIT, arXiv:2202.04200).
    """

    sync_fraction: float = 0.8
    window: int = 10
    interval: int = 29
    velocity: str = "x0hat"
    reverse: bool = False

    def __post_init__(self) -> None:
        check_clock(self.sync_fraction, self.interval)
        check_velocity(self.velocity)
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> ClockedRun:
        interval = grid_interval(self.interval, grid)
        return _SettledFirstRun(self, layout, grid, interval, noise_schedule)


class _SettledFirstRun(ClockedRun):
    def __init__(
        self,
        schedule: SettledFirstSchedule,
        layout: AtomLayout,
        grid: Tensor,
        interval: int,
        noise_schedule: NoiseSchedule,
    ):
        super().__init__(layout, grid, interval, schedule.sync_fraction)
        self._layout, self._noise_schedule = layout, noise_schedule
        self._velocity = VELOCITIES[schedule.velocity]
        self._reverse = schedule.reverse
        self._moves: deque[Tensor] = deque(maxlen=schedule.window)

    def observe(self, state: SamplerState) -> None:
        if state.last is not None:
            self._moves.append(self._velocity(state, self._layout, self._noise_schedule))

    def advancing(self, state: SamplerState) -> Tensor:
        if not self._moves:
            return torch.ones(len(state.levels), dtype=torch.bool, device=state.levels.device)
        move = torch.stack(tuple(self._moves)).mean(0)
        # Others cannot advance and set no standard.
        under_way = any_channel(state.levels > 0).to(move.dtype)
        total, n = self._layout.sum(move * under_way), self._layout.sum(under_way)
        average = self._layout.expand(total / n.clamp_min(1))
        return move >= average if self._reverse else move <= average

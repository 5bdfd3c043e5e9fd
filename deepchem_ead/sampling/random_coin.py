"""The control of the adaptive schedule: atoms advance by chance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.clocked import ClockedRun, check_clock
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.state import SamplerState, grid_interval


@dataclass(frozen=True)
class RandomCoinSchedule:
    """`AdaptiveSchedule` with a coin in place of the velocities.

    Near the data velocities are mostly fresh noise and their comparison is close to a fair coin.
    This schedule tells what asynchrony and repeats do without any information about the atoms.

    Parameters
    ----------
    probability : float
        Chance of an atom to advance.
    sync_fraction, interval
        As in `AdaptiveSchedule`.
    together : bool
        One coin for all atoms of a molecule: repeats without asynchrony, the control that tells
        what the latter is worth.
    """

    probability: float = 0.5
    sync_fraction: float = 0.8
    interval: int = 29
    together: bool = False

    def __post_init__(self) -> None:
        check_clock(self.sync_fraction, self.interval)
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie between 0 and 1, not {self.probability}")

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> ClockedRun:
        interval = grid_interval(self.interval, grid)
        return _RandomCoinRun(self, layout, grid, interval, noise)


class _RandomCoinRun(ClockedRun):
    def __init__(
        self,
        schedule: RandomCoinSchedule,
        layout: AtomLayout,
        grid: Tensor,
        interval: int,
        noise: NoiseSource,
    ):
        super().__init__(layout, grid, interval, schedule.sync_fraction)
        self._probability = schedule.probability
        self._noise = noise
        # Whose coin counts, of all atoms.
        self._coin = layout.expand(layout.starts) if schedule.together else slice(None)

    def advancing(self, state: SamplerState) -> Tensor:
        return self._noise.uniform()[self._coin] < self._probability

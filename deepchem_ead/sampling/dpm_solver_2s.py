"""DPM-Solver++(2S): a second look in the middle of each step."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import NoiseSchedule, any_channel, by_column, dpm_solver_2m_step
from deepchem_ead.sampling.state import Query, Transition
from deepchem_ead.sampling.steppers import MemorylessStepper, StepperRun


@dataclass(frozen=True)
class DPMSolverSinglestep:
    """DPM-Solver++(2S), deterministic and of second order, without a memory.

    Each step asks the network where it starts and half-way in ``log tau``, and goes with the second
    answer. Steps to level 0 are of first order and ask once: K steps take 2 K evaluations.

    References
    ----------
    Lu et al., DPM-Solver++, arXiv:2211.01095, Algorithm 1 with r = 1/2.
    """

    def begin(self, noise_schedule: NoiseSchedule) -> StepperRun:
        return _Run(noise_schedule)


class _Run(MemorylessStepper):
    def __init__(self, noise_schedule: NoiseSchedule) -> None:
        self._schedule = noise_schedule

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        w, x_hat, levels, next_levels, tau_t, tau_s, _, _ = transition
        inside = (next_levels > 0) & (next_levels < levels)
        whole = dpm_solver_2m_step(w, x_hat, tau_t, tau_s, None, None)
        t, s = (self._schedule.tau_at(each) for each in (levels, next_levels))
        # What does not ask, or stays, is shown to the others where it is.
        middle = torch.where(inside, self._schedule.level_at(torch.sqrt(t * s)), levels)
        columns = by_column(inside, w.shape[1])
        tau_m = torch.sqrt(tau_t * tau_s)
        half = torch.where(columns, dpm_solver_2m_step(w, x_hat, tau_t, tau_m, None, None), w)
        x_hat_m = yield Query(half, middle, any_channel(inside))
        second = dpm_solver_2m_step(w, x_hat_m, tau_t, tau_s, None, None)
        return torch.where(columns, second, whole)

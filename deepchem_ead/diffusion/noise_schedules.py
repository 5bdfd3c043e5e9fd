"""Noise schedules by name: functions of the number of steps and the precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from deepchem_ead.diffusion.schedule import NoiseSchedule, check_arguments
from deepchem_ead.registry import Registry

#: name -> ``f(timesteps, precision) -> NoiseSchedule``.
NOISE_SCHEDULES: Registry[Callable[[int, float], NoiseSchedule]] = Registry(
    "noise_schedule", {"polynomial_2": NoiseSchedule.polynomial_2}
)


@NOISE_SCHEDULES.register("cosine")
def cosine(timesteps: int = 1000, precision: float = 1e-5, offset: float = 0.008) -> NoiseSchedule:
    """``alpha^2 ~ cos^2(pi/2 (t/T + s) / (1 + s))``, squeezed into [precision, 1 - precision].

    Parameters
    ----------
    timesteps : int
        Number of steps T.
    precision : float
        Smallest ``alpha^2`` and smallest ``sigma^2``.
    offset : float
        s, which keeps the noise of the first steps from vanishing.

    References
    ----------
    Nichol and Dhariwal, arXiv:2102.09672, section 3.2. Its limit on the noise of one step is left
    out: the squeeze already keeps the last ``alpha^2`` above 0.
    """
    check_arguments(timesteps, precision)
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    alpha = torch.cos(math.pi / 2 * (t + offset) / (1 + offset))
    alpha2 = (alpha / alpha[0]).square()
    return NoiseSchedule.from_alpha2((1 - 2 * precision) * alpha2 + precision)

"""How a denoiser is told the noise level of an atom."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deepchem_ead.diffusion.schedule import NoiseSchedule

_FREQUENCIES = (1, 2, 4, 8)


def linear(levels: Tensor, schedule: NoiseSchedule) -> Tensor:
    """``t / T``, the one number EDM gives its network; (A, 1) float64."""
    return (levels.to(torch.float64) / schedule.timesteps).unsqueeze(1)


def fourier(levels: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Sigma, ``t / T``, log of the noise-to-signal ratio, sines and cosines of ``t / T``; (A, 11).

    ``t / T`` hardly changes where the noise falls by orders of magnitude (T = 1000: tau is 0.003 at
    level 0 and 0.014 at level 10), so the logarithm is given as well, scaled to about [-1, 1].
    """
    t = linear(levels, schedule)
    log_tau = schedule.tau_at(levels).log().unsqueeze(1) / schedule.tau[-1].log()
    angles = torch.cat([math.pi * frequency * t for frequency in _FREQUENCIES], 1)
    sigma = (schedule.tau_at(levels) * schedule.alpha_at(levels)).unsqueeze(1)
    return torch.cat([sigma, t, log_tau, angles.sin(), angles.cos()], 1)


LEVEL_FEATURES: dict[str, Callable[[Tensor, NoiseSchedule], Tensor]] = {
    "linear": linear,
    "fourier": fourier,
}

#: Columns of each kind.
N_LEVEL_FEATURES = {"linear": 1, "fourier": 3 + 2 * len(_FREQUENCIES)}

#: Column that holds sigma, where there is one.
SIGMA_COLUMN = {"fourier": 0}

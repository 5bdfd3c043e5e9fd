"""Heun's method: a second look before each step."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import any_channel, as_column, by_column, eta_step
from deepchem_ead.sampling.state import Query, Transition
from deepchem_ead.sampling.steppers import MemorylessStepper


@dataclass(frozen=True)
class HeunStepper(MemorylessStepper):
    """Heun's method on the probability flow: deterministic, of second order.

    Each step asks the network twice: where it starts, and where Euler's method (DDIM) would lead.
    It goes along the mean of both directions ``dw / dtau = (w - x_hat) / tau``. Steps to level 0
    are Euler's, and molecules all of whose atoms take such a step are not evaluated a second time:
    K steps take 2 K evaluations.

    References
    ----------
    Karras et al., arXiv:2206.00364, Algorithm 1 with sigma(t) = t, for every atom.
    """

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        w, x_hat, levels, next_levels, tau_t, tau_s, noise, _ = transition
        euler = eta_step(w, x_hat, tau_t, tau_s, noise, eta=0.0)
        inside = (next_levels > 0) & (next_levels < levels)
        x_hat_s = yield Query(euler, next_levels, any_channel(inside))
        # Both directions times the step in tau: their mean is what Euler's step is corrected to.
        step = tau_s - tau_t
        first = as_column(step / tau_t, w) * (w - x_hat)
        second = as_column(step / tau_s, w) * (euler - x_hat_s)
        inside = by_column(inside, w.shape[1])
        return torch.where(inside, w + (first + second) / 2, euler)

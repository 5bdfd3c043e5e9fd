"""Amplified noise: states are raised above their level before each step, without a second look."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import posterior_spread, spread_step
from deepchem_ead.sampling.state import Transition
from deepchem_ead.sampling.steppers import MemorylessStepper


@dataclass(frozen=True)
class ChurnStepper(MemorylessStepper):
    """Ancestral sampling with more new noise and less of the old: errors are denoised again.

    Karras' stochastic sampler raises a state from tau to ``(1 + gamma) tau`` by new noise before it
    is denoised. Here the raised state is what a step ends at, so that a step needs one evaluation:
    the new noise has the standard deviation ``v = tau_s sqrt(1 - (1 + gamma)^-2)``, or the
    posterior's where that is larger. Around a given molecule the noise stays that of its level for
    any gamma. An estimate, though, is a mean over molecules, and trusted for a longer way: data of
    variance V lose about ``V (1 - 1 / (1 + gamma))^2 / (1 + V / tau^2)`` a step, so the larger
    gamma, the lower the temperature.

    Parameters
    ----------
    gamma : float
        Amplification, at least 0. 0 is ancestral sampling.
    min_tau, max_tau : float
        Noise-to-signal ratios (Angstrom) after a step between which it applies.
    noise_scale : float
        See `EtaStepper`.

    References
    ----------
    Karras et al., arXiv:2206.00364, Algorithm 2 (S_churn, S_tmin, S_tmax); VEDA,
    arXiv:2511.09568.
    """

    gamma: float = 0.4
    min_tau: float = 0.0
    max_tau: float = float("inf")
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("gamma", "min_tau", "max_tau", "noise_scale"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")

    def step(self, transition: Transition) -> Tensor:
        tau_t, tau_s = transition.tau_t, transition.tau_s
        applies = (tau_s >= self.min_tau) & (tau_s <= self.max_tau)
        amplified = torch.where(applies, tau_s * (1 - (1 + self.gamma) ** -2) ** 0.5, 0.0)
        spread = torch.maximum(posterior_spread(tau_t, tau_s), amplified)
        noise = self.noise_scale * transition.noise
        return spread_step(transition.w, transition.x_hat, tau_t, tau_s, noise, spread)

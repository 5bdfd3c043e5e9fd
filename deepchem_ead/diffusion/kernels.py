"""Transitions of one denoising step, every atom from its own level to its own next level.

All functions work on variance-exploding states ``w = x + tau eps`` (A, D): positions and scaled
features alike. ``tau_t`` and ``tau_s`` (A,) float64 are the noise-to-signal ratios before and after
the step, ``tau_s <= tau_t``; they may also be (A, D), one for each column. What has
``tau_s == tau_t`` comes out bit for bit as it went in.
"""

from __future__ import annotations

import torch
from torch import Tensor


def eta_step(
    w: Tensor, x_hat: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor, eta: float = 1.0
) -> Tensor:
    """One step of the eta family: ancestral sampling at ``eta=1``, DDIM at ``eta=0``.

    With ``r = tau_s^2 / tau_t^2`` and ``v = eta tau_s sqrt(1 - r)``::

        w_s = x_hat + sqrt(tau_s^2 - v^2) / tau_t * (w - x_hat) + v * noise

    At ``eta=1`` this is the posterior ``q(w_s | w_t, x_hat)``, i.e. EDM's, divided by alpha_s.

    Parameters
    ----------
    w, x_hat, noise : Tensor, (A, D)
        State, estimate of the clean data, standard normal draws.
    tau_t, tau_s : Tensor, (A,)
    eta : float
        Share of the posterior's noise, 0 to 1.

    Returns
    -------
    Tensor, (A, D)

    References
    ----------
    Ho et al., arXiv:2006.11239, eq. 7; Song et al. (DDIM), arXiv:2010.02502, eq. 12, per atom.
    """
    return spread_step(w, x_hat, tau_t, tau_s, noise, posterior_spread(tau_t, tau_s, eta))


def posterior_spread(tau_t: Tensor, tau_s: Tensor, eta: float = 1.0) -> Tensor:
    """Share eta of the posterior's standard deviation ``tau_s sqrt(1 - tau_s^2 / tau_t^2)``."""
    return eta * tau_s * torch.sqrt(1 - (tau_s / tau_t) ** 2)


def spread_step(
    w: Tensor, x_hat: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor, spread: Tensor
) -> Tensor:
    """A step that adds new noise of a given standard deviation, at most tau_s, and keeps the level.

    ``w_s = x_hat + sqrt(tau_s^2 - v^2) / tau_t * (w - x_hat) + v * noise`` with the spread v.
    """
    shrink = torch.sqrt(tau_s**2 - spread**2) / tau_t
    moved = x_hat + as_column(shrink, w) * (w - x_hat) + as_column(spread, w) * noise
    return torch.where(as_column(tau_s == tau_t), w, moved)


def forward_step(w: Tensor, tau_s: Tensor, tau_t: Tensor, noise: Tensor) -> Tensor:
    """Add the noise that leads from level s up to level t: ``q(w_t | w_s)``."""
    return w + as_column(torch.sqrt(tau_t**2 - tau_s**2), w) * noise


def langevin_step(w: Tensor, x_hat: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor) -> Tensor:
    """One Langevin step at level t with the step size of the transition t to s.

    ``w + e score + sqrt(2 e) noise`` with ``score = (x_hat - w) / tau_t^2`` and
    ``e = tau_t^2 - tau_s^2``. It preserves the marginal at level t to first order in e.
    """
    step = tau_t**2 - tau_s**2
    return (
        w + as_column(step / tau_t**2, w) * (x_hat - w) + as_column(torch.sqrt(2 * step), w) * noise
    )


def dpm_solver_2m_step(
    w: Tensor,
    x_hat: Tensor,
    tau_t: Tensor,
    tau_s: Tensor,
    x_hat_previous: Tensor | None,
    tau_previous: Tensor | None,
) -> Tensor:
    """DPM-Solver++(2M), a second-order deterministic step, per atom.

    With ``h = log(tau_t / tau_s)``, ``h' = log(tau_previous / tau_t)`` and ``q = h' / h``::

        D = x_hat + (x_hat - x_hat_previous) / (2 q),   w_s = (tau_s/tau_t) w + (1 - tau_s/tau_t) D

    An atom without a previous step (``h' = 0``) takes the first-order step, ``D = x_hat``.

    Parameters
    ----------
    w, x_hat : Tensor, (A, D)
    tau_t, tau_s : Tensor, (A,)
    x_hat_previous, tau_previous : Tensor, (A, D) and (A,), or None
        Estimate and level of each atom's previous step.

    References
    ----------
    Lu et al., DPM-Solver++, arXiv:2211.01095, Algorithm 2.
    """
    target = x_hat
    if x_hat_previous is not None and tau_previous is not None:
        step = torch.log(tau_t / tau_s)
        previous = torch.log(tau_previous / tau_t)
        # 1 / (2 q), and 0 where the atom has no previous step
        weight = torch.where(previous > 0, step / (2 * previous.clamp_min(1e-300)), 0.0)
        target = x_hat + as_column(weight, w) * (x_hat - x_hat_previous)
    ratio = tau_s / tau_t
    moved = as_column(ratio, w) * w + as_column(1 - ratio, w) * target
    return torch.where(as_column(tau_s == tau_t), w, moved)


def as_column(coefficient: Tensor, like: Tensor | None = None) -> Tensor:
    """Coefficients (A,) as a column, (A, D) as they are; in the precision of a state."""
    if like is not None:
        coefficient = coefficient.to(like.dtype)
    return coefficient.unsqueeze(1) if coefficient.dim() == 1 else coefficient

"""What to do about translations when atoms have different noise levels.

With one level for all atoms it is enough to remove the centre of mass. With unequal levels it is
not: ``z_i - z_j = alpha_i (x_i - x_j) + (alpha_i - alpha_j) x_j + noise`` leaks absolute positions.
A frame says how positional noise is drawn, what the network sees and how its output is projected.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout


def project_noise(eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
    """Remove from positional noise what a common shift of all atoms explains.

    ``Pi_tau(eps) = eps - q (q . eps) / (q . q)`` with ``q_i = 1 / tau_i``: the orthogonal
    projection that leaves ``sum_i eps_i / tau_i = 0``, which is the expectation of the noise given
    the noisy molecule up to translation. At equal levels it removes the mean, as EDM does.

    Parameters
    ----------
    eps : Tensor, (A, 3)
    tau : Tensor, (A,) float64
        Noise-to-signal ratio of each node. Clean atoms dominate the projection by five orders of
        magnitude, hence double precision inside.
    layout : AtomLayout

    Returns
    -------
    Tensor, (A, 3), dtype of ``eps``
    """
    q = (1 / tau.to(torch.float64)).unsqueeze(1)
    e = eps.to(torch.float64)
    coefficient = layout.sum(q * e) / layout.sum(q * q)
    return (e - q * layout.expand(coefficient)).to(eps.dtype)


def project_rotation(eps: Tensor, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
    """Remove from positional noise what a rotation of all atoms explains.

    With weights ``1 / tau_i^2``, positions Y around their weighted mean and their inertia tensor K:
    ``eps_i - (K^-1 sum_j Y_j x eps_j / tau_j) x Y_i / tau_i``. The orthogonal projection that
    leaves ``sum_i y_i x eps_i / tau_i = 0``, if the noise has been projected by `project_noise`.
    This holds by itself for the expectation of the noise given the noisy molecule, because it is
    that of all rotated ones: nothing true is removed. At equal levels it is the horizontal
    projection of quotient-space diffusion.

    Parameters
    ----------
    eps : Tensor, (A, 3)
    y : Tensor, (A, 3)
        Noisy positions in variance-exploding form (Angstrom).
    tau : Tensor, (A,) float64
    layout : AtomLayout

    Returns
    -------
    Tensor, (A, 3), dtype of ``eps``

    References
    ----------
    Quotient-space diffusion, arXiv:2604.21809, Theorem 4 and eq. 11; the weights are an addition.
    """
    q = (1 / tau.to(torch.float64)).unsqueeze(1)
    e, y = eps.to(torch.float64), y.to(torch.float64)
    centre = layout.sum(q * q * y) / layout.sum(q * q)
    arms = q * (y - layout.expand(centre))
    squares = layout.sum(arms.square().sum(1))
    inertia = -layout.sum(arms.unsqueeze(2) * arms.unsqueeze(1))
    # Atoms on a line do not turn around it, a single one does not turn at all.
    diagonal = squares * (1 + 1e-12) + torch.finfo(torch.float64).tiny
    inertia.diagonal(dim1=1, dim2=2).add_(diagonal.unsqueeze(1))
    momentum = layout.sum(torch.linalg.cross(arms, e))
    turn = torch.linalg.solve_ex(inertia, momentum.unsqueeze(2))[0].squeeze(2)
    return (e - torch.linalg.cross(layout.expand(turn), arms)).to(eps.dtype)


class Frame(Protocol):
    """Positions in, positions out: see `QuotientFrame` and `EDMFrame`."""

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """Turn independent normal draws (A, 3) into the positional noise of the process."""

    def network_input(self, y: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        """Positions the network sees, (A, 3), from variance-exploding ones and alpha (A,)."""

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Project noise (A, 3), predicted or true, on what can be known."""


class QuotientFrame:
    """Positions modulo translation, exact for any levels (default).

    Noise is independent per atom, the network sees the centred positions scaled by one number per
    molecule (the alpha of its noisiest atom), and noise is projected by `project_noise`. With equal
    levels all three are EDM's.
    """

    name = "quotient"

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        return eps

    def network_input(self, y: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(y) * layout.expand(layout.min(alpha)).unsqueeze(1)

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return project_noise(eps, tau, layout)


class EDMFrame:
    """EDM's recipe carried over to unequal levels without correction, for reproduction only.

    Zero-centre-of-mass noise, variance-preserving positions as input, and the mean removed from the
    predicted noise. Wrong by about ``sqrt(2) 2C R / T`` noise standard deviations for molecules of
    radius R (Angstrom).
    """

    name = "edm"

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(eps)

    def network_input(self, y: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return y * alpha.unsqueeze(1)

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(eps)

    @staticmethod
    def error_estimate(interval: int, timesteps: int, radius: float = 3.0) -> float:
        """Size of the neglected term in standard deviations of the noise (radius in Angstrom)."""
        return math.sqrt(2) * 2 * interval * radius / timesteps


FRAMES: dict[str, type] = {frame.name: frame for frame in (QuotientFrame, EDMFrame)}

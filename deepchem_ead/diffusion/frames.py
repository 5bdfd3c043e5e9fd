"""What to do about translations when atoms have different noise levels.

With one level for all atoms it is enough to remove the centre of mass. With unequal levels it is
not: ``z_i - z_j = alpha_i (x_i - x_j) + (alpha_i - alpha_j) x_j + noise`` leaks absolute positions.
A frame says how positional noise is drawn, what the network sees and how its output is projected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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


class Frame(Protocol):
    """Positions in, positions out: see `QuotientFrame`, `PreconditionedFrame` and `EDMFrame`.

    Attributes
    ----------
    exact : bool
        Level 0 has no noise: what stands there is known.
    pair_columns : dict of str to int
        What `pairs` says, and how many columns say it.
    """

    exact: bool
    pair_columns: Mapping[str, int]

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """Turn independent normal draws (A, 3) into the positional noise of the process."""

    def network_input(self, y: Tensor, tau: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        """Positions the network sees, (A, 3), from variance-exploding ones, tau and alpha (A,)."""

    def estimate_input(self, x: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        """An estimate of clean positions (A, 3) as the network sees it beside its input."""

    def step(self, tau: Tensor) -> Tensor | None:
        """`Seen.step` (A,), or None if the frame does not say."""

    def pairs(self, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor | None:
        """`Seen.pairs` (E, W), or None."""

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Project noise (A, 3), predicted or true, on what can be known."""


class _AtomsOnly:
    """Base of frames that say nothing of pairs, and of steps."""

    exact: bool = False
    pair_columns: Mapping[str, int] = {}

    def step(self, tau: Tensor) -> Tensor | None:
        return None

    def pairs(self, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor | None:
        return None


class QuotientFrame(_AtomsOnly):
    """Positions modulo translation, exact for any levels (default).

    Noise is independent per atom, the network sees the centred positions scaled by one number per
    molecule (the alpha of its noisiest atom), and noise is projected by `project_noise`. With equal
    levels all three are EDM's.
    """

    name = "quotient"

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        return eps

    def network_input(self, y: Tensor, tau: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return self.estimate_input(y, alpha, layout)

    def estimate_input(self, x: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(x) * layout.expand(layout.min(alpha)).unsqueeze(1)

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return project_noise(eps, tau, layout)


class PreconditionedFrame:
    r"""Positions modulo translation, each atom shrunk towards the centre as its own noise asks for.

    With s the spread of a molecule and ``v_i = s^2 + tau_i^2`` the network sees, in Angstrom::

        x_i = c + (y_i - c) s^2 / v_i,      c = sum_i y_i / v_i / sum_i 1 / v_i

    which is what is expected of y_i for atoms spread normally around a centre: known atoms
    (tau = 0) stand where they are, beside others at any level, and those of pure noise in the
    centre. Moves are scaled by ``s tau_i / sqrt(v_i)``, the standard deviation of what is left, 0
    for known atoms. What shrinking hides is told for each pair: Gaussians of
    ``|y_i - y_j| / sqrt(v_i + v_j)``, which is bounded at all levels, and for two known atoms their
    distance in a fixed unit.

    Noise is independent per atom and projected by `project_noise`; where a position of a molecule
    is known nothing floats, and nothing is projected but known atoms, which have no noise. With
    equal levels this is the preconditioning of Karras et al., and `PositionResidual` of the same
    scale its output.

    Parameters
    ----------
    scale : float
        s in Angstrom.

    References
    ----------
    Karras et al., arXiv:2206.00364, table 1; the centre and unequal levels are an addition.
    """

    name = "preconditioned"
    exact = True
    #: Gaussians of the scaled distance, evenly from 0 to `FURTHEST`.
    pair_columns: Mapping[str, int] = {"noisy distance": 16}
    FURTHEST = 4.0

    def __init__(self, scale: float = 1.5) -> None:
        self.scale = scale

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        return eps

    def network_input(self, y: Tensor, tau: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        variance = (tau.to(torch.float64).square() + self.scale**2).unsqueeze(1)
        centre = layout.expand(layout.sum(y / variance) / layout.sum(1 / variance))
        shrunk = centre + (y - centre) * (self.scale**2 / variance)
        return torch.where(tau.unsqueeze(1) > 0, shrunk.to(y.dtype), y)

    def estimate_input(self, x: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return x

    def step(self, tau: Tensor) -> Tensor:
        return self.scale * tau * (tau.square() + self.scale**2).rsqrt()

    def pairs(self, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        i, j = layout.pairs
        variance = (tau.to(torch.float64).square() + self.scale**2).to(y.dtype)
        squares = (y[i] - y[j]).square().sum(1) / (variance[i] + variance[j])
        distance = (squares + 1e-8).sqrt().unsqueeze(1)
        n = self.pair_columns["noisy distance"]
        centres = torch.linspace(0, self.FURTHEST, n, dtype=y.dtype, device=y.device)
        spacing = self.FURTHEST / (n - 1)
        offsets = (distance - centres).div_(spacing)
        if offsets.requires_grad:
            return torch.exp(-0.5 * offsets.square())
        # In place: these are the largest arrays of a step beside the network's.
        return offsets.square_().mul_(-0.5).exp_()

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        noisy = tau > 0
        projected = project_noise(eps, torch.where(noisy, tau, 1.0), layout)
        floating = layout.expand(layout.min(tau)) > 0
        kept = torch.where(floating.unsqueeze(1), projected, eps)
        return torch.where(noisy.unsqueeze(1), kept, 0.0)


class EDMFrame(_AtomsOnly):
    """EDM's recipe carried over to unequal levels without correction, for reproduction only.

    Zero-centre-of-mass noise, variance-preserving positions as input, and the mean removed from the
    predicted noise. Wrong by about ``sqrt(2) 2C R / T`` noise standard deviations for molecules of
    radius R (Angstrom).
    """

    name = "edm"

    def noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(eps)

    def network_input(self, y: Tensor, tau: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return self.estimate_input(y, alpha, layout)

    def estimate_input(self, x: Tensor, alpha: Tensor, layout: AtomLayout) -> Tensor:
        return x * alpha.unsqueeze(1)

    def project(self, eps: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return layout.center(eps)

    @staticmethod
    def error_estimate(interval: int, timesteps: int, radius: float = 3.0) -> float:
        """Size of the neglected term in standard deviations of the noise (radius in Angstrom)."""
        return math.sqrt(2) * 2 * interval * radius / timesteps


#: name -> ``f(scale)``, the spread of a molecule in Angstrom.
FRAMES: dict[str, Callable[[float], Frame]] = {
    QuotientFrame.name: lambda scale: QuotientFrame(),
    PreconditionedFrame.name: PreconditionedFrame,
    EDMFrame.name: lambda scale: EDMFrame(),
}

"""What the network is asked to say about positions: their noise, or what a cloud leaves of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout


class PositionTarget(Protocol):
    """How the network's vectors become an estimate of the positions' noise."""

    def noise(self, out: Tensor, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Noise (A, 3) from outputs (A, 3), noisy positions (A, 3) and tau (A,) float64."""

    def weight(self, tau: Tensor) -> Tensor:
        """Weight in the loss of each atom's squared error of the noise, (A,)."""


@dataclass(frozen=True)
class PositionNoise:
    """The network predicts the noise itself (EDM, EAD)."""

    def noise(self, out: Tensor, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return out

    def weight(self, tau: Tensor) -> Tensor:
        return torch.ones_like(tau)


@dataclass(frozen=True)
class PositionResidual:
    r"""The network predicts what the noise is beyond the estimate for a cloud of atoms.

    If atoms were independent and normally distributed around a centre, with standard deviation s
    per coordinate, the expectation of their noise would be known::

        eps_i = tau_i (y_i - c) / (tau_i^2 + s^2),    c = sum_i y_i / (tau_i^2 + s^2) / sum_i ...

    and its error would have the standard deviation ``s / sqrt(tau_i^2 + s^2)``. The network
    predicts the rest in units of the latter, so its target has unit variance at every level, and
    at high noise, where a molecule is a cloud, it need not reproduce its input. The loss is the
    squared error of what it predicts. At equal levels ``s = 1`` is the prediction of the velocity
    ``v = alpha eps - sigma x``.

    Attributes
    ----------
    scale : float
        s in Angstrom.

    References
    ----------
    The scalings are those of Karras et al. (arXiv:2206.00364, table 1) for data of this standard
    deviation, around the centre of molecules with unequal levels; v: Salimans and Ho,
    arXiv:2202.00512, appendix D.
    """

    scale: float

    def noise(self, out: Tensor, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        variance = (tau.square() + self.scale**2).unsqueeze(1)
        centre = layout.sum(y / variance) / layout.sum(1 / variance)
        cloud = tau.unsqueeze(1) * (y - layout.expand(centre)) / variance
        return (cloud + self.scale * variance.rsqrt() * out).to(out.dtype)

    def weight(self, tau: Tensor) -> Tensor:
        return 1 + (tau / self.scale).square()


def position_target(name: str, scale: float) -> PositionTarget:
    """A target by name, "noise" or "residual", for positions of this standard deviation."""
    return PositionResidual(scale) if name == "residual" else PositionNoise()


POSITION_TARGETS = ("noise", "residual")

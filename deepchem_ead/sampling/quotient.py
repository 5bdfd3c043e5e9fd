r"""Steppers on molecules modulo rigid motion: a step does not turn the molecule by the estimate.

The estimate of the noise is made horizontal before each step (`deepchem_ead.diffusion.quotient`):
``x_hat <- y - tau P_y((y - x_hat) / tau)`` in units of each atom's tau. An exact estimate is
horizontal, so this changes nothing for it; of a network trained with ``symmetry="quotient"`` what
turns the molecule is arbitrary and has to be taken out, and of any other it is an error that is
taken out without bias. Kinds, which nothing turns, take the ordinary step. What is at level 0 is
fixed. The last estimate, at level 0, is not asked for by a step: the noise there, of 0.003 A, can
turn a molecule by a thousandth, which changes its shape by the square of that.

References
----------
Quotient-space diffusion, arXiv:2604.21809, Theorem 2 and Corollary 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    AtomLayout,
    Orbits,
    as_column,
    channel,
    eta_step,
    joined,
    level_of,
    posterior_spread,
)
from deepchem_ead.sampling.state import Transition
from deepchem_ead.sampling.steppers import MoleculeStepper, check_share


@dataclass(frozen=True)
class QuotientStepper(MoleculeStepper):
    """The eta family with horizontal estimates: ordinary noise, so that no curvature is needed.

    Noise along the orbits turns the molecule and does not change the law of its shape; neither does
    it need correction. ``eta=1`` is the recommended sampler, ``eta=0`` the probability flow.

    Parameters
    ----------
    eta, noise_scale : float
        See `EtaStepper`.
    """

    eta: float = 1.0
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.eta, self.noise_scale)

    def step_of(self, transition: Transition, layout: AtomLayout) -> Tensor:
        t, x_hat = transition, horizontal_estimate(transition, layout)
        return eta_step(t.w, x_hat, t.tau_t, t.tau_s, self.noise_scale * t.noise, self.eta)


@dataclass(frozen=True)
class QuotientSDEStepper(MoleculeStepper):
    r"""Ancestral steps whose noise is horizontal, too: nothing turns the molecule.

    Without noise along the orbits molecules would end up where orbits are small. The curvature term
    makes up for it; with v the standard deviation of each atom's noise in this step, which is also
    the unit of its arms u, of its inertia tensor K and of the projection P::

        y_s = mean + v (P(xi) - h / 2),       -h_i = tr(K^-1) u_i - K^-1 u_i

    It points outward (Theorem 2, eq. 9; the reference prints the opposite sign in eq. 12). At equal
    levels these are the reference's formulas, with unequal ones those in the metric of the noise;
    atoms without noise in this step are fixed. The term grows as a molecule comes close to a line,
    and its change of a molecule is limited to the molecule's own extent.

    Parameters
    ----------
    noise_scale : float
        See `EtaStepper`.
    """

    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        check_share(1.0, self.noise_scale)

    def step_of(self, transition: Transition, layout: AtomLayout) -> Tensor:
        t, x_hat = transition, horizontal_estimate(transition, layout)
        mean = eta_step(t.w, x_hat, t.tau_t, t.tau_s, torch.zeros_like(t.noise))
        spread = self.noise_scale * posterior_spread(t.tau_t, t.tau_s)
        noisy = mean + as_column(spread, t.w) * t.noise
        units = _of_positions(spread)
        orbits = Orbits.of(channel(t.w, "positions"), units, layout)
        noise = orbits.horizontal(channel(t.noise, "positions").to(torch.float64))
        added = units.unsqueeze(1) * (noise + limited(self.outward(orbits), orbits))
        positions = (channel(mean, "positions") + added).to(t.w.dtype)
        return joined(positions, channel(noisy, "kinds"))

    def outward(self, orbits: Orbits) -> Tensor:
        """What makes up for the missing noise, (A, 3) in units of the noise."""
        return -0.5 * orbits.curvature()


def horizontal_estimate(transition: Transition, layout: AtomLayout) -> Tensor:
    """The estimate of the clean data (A, 3 + F) without what turns or shifts the noisy molecule."""
    w, x_hat, tau = transition.w, transition.x_hat, _of_positions(transition.tau_t)
    known = level_of(transition.levels, "positions") == 0
    units = torch.where(known, 0.0, tau)
    positions, estimate = channel(w, "positions"), channel(x_hat, "positions")
    orbits = Orbits.of(positions, units, layout)
    noise = (positions - estimate).to(torch.float64) / tau.unsqueeze(1)
    clean = (positions - units.unsqueeze(1) * orbits.horizontal(noise)).to(w.dtype)
    return joined(torch.where(known.unsqueeze(1), estimate, clean), channel(x_hat, "kinds"))


def limited(step: Tensor, orbits: Orbits) -> Tensor:
    """A step (A, 3), made no longer than the molecule's arms are all together."""
    squares = [orbits.layout.sum(part.square().sum(1)) for part in (step, orbits.arms)]
    tiny = torch.finfo(torch.float64).tiny
    share = (squares[1] / squares[0].clamp_min(tiny)).sqrt().clamp(max=1)
    return orbits.layout.expand(share).unsqueeze(1) * step


def _of_positions(values: Tensor) -> Tensor:
    """What a transition says of each atom's position, (A,), from (A,) or (A, 3 + F)."""
    return values if values.dim() == 1 else channel(values, "positions")[:, 0]

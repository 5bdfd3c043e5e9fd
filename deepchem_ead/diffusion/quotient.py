r"""Molecules modulo rigid motion: which moves of atoms change a molecule, and which only carry it.

Each atom moves in units of a length s_i of its own: the noise-to-signal ratio tau_i where errors of
the noise are looked at, the standard deviation of a step's noise in sampling. In these units
``u_i = (y_i - c) / s_i``, with the centre ``c = sum_i y_i / s_i^2 / sum_i 1 / s_i^2``, a molecule
that turns or is shifted moves along *vertical* directions ``omega x u_i`` and ``a / s_i``. What is
orthogonal to them is *horizontal*. With the inertia tensor ``K = sum_i |u_i|^2 I - u_i u_i^T``::

    P(v)_i = v_i - a / s_i - (K^-1 sum_j u_j x v_j) x u_i        horizontal part
    h_i    = K^-1 u_i - tr(K^-1) u_i = -1/2 grad_i log det K     mean curvature of the orbit

where a shift by a has been taken out first. ``sqrt(det K)`` is the orbit's volume, so h points to
where orbits are smaller. Equal units give the formulas of the reference.

An atom whose unit is 0 is fixed. Only motions that leave all fixed atoms in place are vertical
then: rotations about one of them, or about the line through all; none if three are not on a line.

References
----------
Quotient-space diffusion, arXiv:2604.21809, Theorem 4; units of their own, and fixed atoms, are an
addition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout

#: Relative size of a determinant below which atoms count as lying on a line.
_ON_A_LINE = 1e-12
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class Orbits:
    """Where rigid motion carries each molecule of a batch; computed in double precision.

    Nothing in it waits for the device.

    Attributes
    ----------
    layout : AtomLayout
    arms : Tensor, (A, 3)
        u; 0 for fixed atoms.
    inverse_units : Tensor, (A, 1)
        ``1 / s``; 0 for fixed atoms.
    floating : Tensor, (B, 1) bool
        Molecules without fixed atoms.
    inverse_inertia : Tensor, (B, 3, 3)
        ``K^-1`` on the axes that molecules can turn about, 0 on others.
    """

    layout: AtomLayout
    arms: Tensor
    inverse_units: Tensor
    floating: Tensor
    inverse_inertia: Tensor

    @classmethod
    def of(cls, y: Tensor, units: Tensor, layout: AtomLayout) -> Orbits:
        """The orbits of positions y (A, 3) in units (A,), at least 0, of the same length unit."""
        y, units = y.to(torch.float64), units.to(torch.float64).unsqueeze(1)
        moves = units > 0
        inverse_units = torch.where(moves, 1 / torch.where(moves, units, 1.0), 0.0)
        fixed = (~moves).to(torch.float64)
        n_fixed = layout.sum(fixed)
        floating = n_fixed == 0
        weights = torch.where(layout.expand(floating), inverse_units.square(), fixed)
        centre = layout.sum(weights * y) / layout.sum(weights)
        relative = y - layout.expand(centre)
        arms = inverse_units * relative
        inertia = inertia_tensor(arms, layout)
        axes = _free_axes(inertia_tensor(fixed * relative, layout), n_fixed)
        return cls(layout, arms, inverse_units, floating, _pseudo_inverse(inertia, axes))

    def horizontal(self, vectors: Tensor) -> Tensor:
        """P of vectors (A, 3) in the units of their atoms, 0 for fixed ones; in their dtype."""
        layout, q = self.layout, self.inverse_units
        v = torch.where(q > 0, vectors.to(torch.float64), 0.0)
        shift = layout.sum(q * v) / layout.sum(q * q).clamp_min(_TINY)
        v = v - q * layout.expand(torch.where(self.floating, shift, 0.0))
        turn = _applied(self.inverse_inertia, layout.sum(_cross(self.arms, v)))
        return (v - _cross(layout.expand(turn), self.arms)).to(vectors.dtype)

    def curvature(self) -> Tensor:
        """h (A, 3) float64, in inverse units."""
        inverse = self.layout.expand(self.inverse_inertia)
        trace = inverse.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
        return _applied(inverse, self.arms) - trace * self.arms


def project_rotation(eps: Tensor, y: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
    """Remove from positional noise what a rigid motion of all atoms explains.

    The horizontal part in units of tau, which leaves ``sum_i y_i x eps_i / tau_i = 0``. This holds
    by itself for the expectation of the noise given the noisy molecule, because it is that of all
    rotated ones: nothing true is removed.

    Parameters
    ----------
    eps : Tensor, (A, 3)
    y : Tensor, (A, 3)
        Noisy positions in variance-exploding form (Angstrom).
    tau : Tensor, (A,) float64
        Noise-to-signal ratios, 0 where the position is known.
    layout : AtomLayout

    Returns
    -------
    Tensor, (A, 3), dtype of ``eps``

    References
    ----------
    arXiv:2604.21809, Theorem 4 and eq. 11; unequal levels are an addition.
    """
    return Orbits.of(y, tau, layout).horizontal(eps)


def inertia_tensor(arms: Tensor, layout: AtomLayout) -> Tensor:
    """``sum_i |u_i|^2 I - u_i u_i^T`` of each molecule, (A, 3) to (B, 3, 3)."""
    outer = layout.sum(arms.unsqueeze(2) * arms.unsqueeze(1))
    eye = torch.eye(3, dtype=arms.dtype, device=arms.device)
    return layout.sum(arms.square().sum(1)).view(-1, 1, 1) * eye - outer


def _free_axes(inertia: Tensor, n_fixed: Tensor) -> Tensor:
    """Projector (B, 3, 3) on the axes of turns that leave atoms of this inertia in place."""
    eye = torch.eye(3, dtype=inertia.dtype, device=inertia.device)
    trace = _trace(inertia)
    # Squared distances (Angstrom^2) that rounding makes of atoms in one place.
    a_point = (trace <= _ON_A_LINE) | (n_fixed.unsqueeze(2) < 2)
    scaled = inertia / torch.where(a_point, 1.0, trace)
    _, determinant = _adjugate(scaled)
    # All turns but those about the line itself have the same moment, half of the trace.
    line = torch.where(determinant < _ON_A_LINE, eye - 2 * scaled, 0.0)
    return torch.where(a_point, eye, line)


def _pseudo_inverse(inertia: Tensor, axes: Tensor) -> Tensor:
    """Inverse of inertia tensors (B, 3, 3) on the axes that a projector leaves."""
    trace = _trace(inertia)
    turns = trace > _TINY
    scale = torch.where(turns, trace, 1.0)
    scaled = inertia / scale
    adjugate, determinant = _adjugate(scaled)
    regular = determinant > _ON_A_LINE
    inverse = adjugate / torch.where(regular, determinant, 1.0)
    inverse = torch.where(regular, inverse, 4 * scaled)  # atoms on a line: moments 0, 1/2, 1/2
    inverse = torch.where(turns, inverse / scale, 0.0)
    n_axes = _trace(axes)
    moment = (axes * inertia).sum((1, 2), keepdim=True)
    about_one = torch.where(moment > _TINY, axes / torch.where(moment > _TINY, moment, 1.0), 0.0)
    return torch.where(n_axes > 2, inverse, torch.where(n_axes > 0.5, about_one, 0.0))


def _adjugate(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Adjugates (B, 3, 3) and determinants (B, 1, 1) of symmetric matrices."""
    a, b, c = symmetric.unbind(1)
    rows = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1)
    return rows, (a * rows[:, 0]).sum(1).view(-1, 1, 1)


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)


def _applied(matrix: Tensor, vector: Tensor) -> Tensor:
    # Not a product of matrices, whose last bit may depend on how many there are.
    return (matrix * vector.unsqueeze(1)).sum(2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.linalg.cross(a, b)
    return product

"""Guidance by the gradient of properties of the estimated molecule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    Asked,
    AtomLayout,
    Denoiser,
    DiffusionProcess,
    Estimate,
    by_column,
    channel,
    joined,
)
from deepchem_ead.sampling.guides.guided import GuidedProcess
from deepchem_ead.sampling.guides.window import LevelWindow

#: ``properties(x_hat (A, 3 + F), layout) -> (B, T)``, differentiable and invariant.
Properties = Callable[[Tensor, AtomLayout], Tensor]


class GradientGuidance(GuidedProcess):
    r"""Draws the estimate of the clean molecule towards target properties, by their gradient.

    Molecules are weighted by ``exp(-sum_k (f_k(x) - y_k)^2 / (2 s_k^2))``. With the gradients
    ``g_k = df_k / dx_hat`` and ``J = dx_hat / dw`` the guided noise is::

        eps <- eps + tau J^T G^T lambda,   lambda = (diag(s^2) + G C G^T)^-1 (f(x_hat) - y)

    At low noise this is ``eps + tau d/dw sum_k (f_k - y_k)^2 / (2 s_k^2)``. ``C = J tau^2`` is the
    covariance of the clean data given the noisy state (Tweedie's formula): a target is missed by
    ``s^2`` and by what the uncertainty of x_hat makes of f. So no step overshoots at high noise,
    and for Gaussian data and linear properties guidance is exact.

    Gradients go through the denoiser. Without that (J = 1) geometry follows, but hardly the
    composition: only the network knows which types of atoms go together.

    Properties learned from molecules say nothing about an x_hat that is none yet, and following
    them there leads away from all molecules: atoms with a ``tau`` above ``max_tau`` are left to the
    inner process, which is evaluated without gradients as long as that is so for all.

    The change of each atom's noise is clipped, and its positional part projected by the frame.
    Properties that are invariant keep sampling equivariant.

    Parameters
    ----------
    process : DiffusionProcess or GuidedProcess
    properties : callable
        ``properties(x_hat (A, 3 + F), layout) -> (B, T)``, NaN where a molecule has none.
    tolerance : Tensor, (T,)
        Standard deviations s, positive.
    max_change : float
        Largest norm of the change of an atom's noise (whose own is about ``sqrt(3 + F)``), before
        the projection.
    max_tau : float
        Largest noise-to-signal ratio (Angstrom) at which atoms are guided.
    window : LevelWindow, optional
        Levels at which molecules are.

    Notes
    -----
    The last T columns of the context are the targets y, NaN for none; the others are the inner
    process's. With gradients the whole batch is computed at once: a molecule's numbers then agree
    between batches to rounding, not to the last bit.

    References
    ----------
    Dhariwal & Nichol, arXiv:2105.05233, sec. 4 (gradients of a classifier); Chung et al. (DPS),
    arXiv:2209.14687 (at x_hat); Song et al. (Pseudoinverse-guided diffusion), ICLR 2023 (the
    uncertainty of x_hat in the denominator).
    """

    def __init__(
        self,
        process: DiffusionProcess | GuidedProcess,
        properties: Properties,
        tolerance: Tensor,
        max_change: float = 2.0,
        max_tau: float = float("inf"),
        window: LevelWindow | None = None,
    ) -> None:
        super().__init__(process, window)
        self.properties = properties
        self.tolerance = tolerance.double()
        self.max_change, self.max_tau = max_change, max_tau

    def own_context(self, context: Tensor | None) -> Tensor | None:
        n_targets = len(self.tolerance)
        if context is None:
            raise ValueError("a guide needs its targets as the last columns of the context")
        return context[:, :-n_targets] if context.shape[1] > n_targets else None

    def guided(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        w, levels, layout, context = asked.w, asked.levels, asked.layout, asked.context
        asked = asked.replace(context=self.own_context(context))
        assert context is not None  # refused before
        targets = context[:, -len(self.tolerance) :].double()
        tau = by_column(self.tau_at(levels), w.shape[1])
        guided = tau <= self.max_tau
        if not guided.any():
            return self.process.estimate(denoiser, asked)
        with torch.enable_grad():
            w = w.detach().requires_grad_()
            estimate = self.process.estimate(denoiser, asked.replace(w=w))
            eps = estimate.noise
            x_hat = w - tau.to(w.dtype) * eps
            values = self.properties(x_hat, layout)
            by_clean, by_state = _gradients(values, x_hat, w)
        eps, values = eps.detach(), values.detach().double()

        # Everything about properties in units of their tolerances.
        missed = (values - targets) / self.tolerance
        known = missed.isfinite()
        missed = torch.where(known, missed, 0.0)
        usable = layout.expand(known).T.unsqueeze(2)
        scale = self.tolerance.view(-1, 1, 1)
        by_clean = torch.where(usable, by_clean / scale, 0.0)
        by_state = torch.where(usable, by_state / scale, 0.0)
        covariance = layout.sum(
            (tau**2 * by_clean.unsqueeze(1) * by_state).sum(3).movedim(2, 0)
        )  # (B, T, T)
        # The Jacobian of a network is symmetric and positive only as far as it has learned to be.
        spread, axes = torch.linalg.eigh((covariance + covariance.mT) / 2)
        along = (axes.mT @ missed.unsqueeze(2)).squeeze(2) / (1 + spread.clamp_min(0))
        pull = (axes @ along.unsqueeze(2)).squeeze(2)  # (B, T)

        change = tau * torch.einsum("tad,at->ad", by_state, layout.expand(pull))
        change = change.where(guided, 0.0)
        length = change.norm(dim=1, keepdim=True)
        change = change * (self.max_change / length.clamp_min(self.max_change))
        change_x = self.frame.project(channel(change, "positions"), tau[:, 0], layout)
        noise = eps + joined(change_x, channel(change, "kinds")).to(eps.dtype)
        bonds = None if estimate.bonds is None else estimate.bonds.detach()
        return Estimate(noise, bonds)


def _gradients(values: Tensor, x_hat: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients (T, A, 3 + F) float64 of properties (B, T) by the clean and by the noisy state."""
    if not values.requires_grad:
        zero = x_hat.new_zeros((values.shape[1], *x_hat.shape), dtype=torch.float64)
        return zero, zero
    # A molecule's property depends on its own atoms only, so the sum gives all gradients.
    by_clean, by_state = zip(
        *(torch.autograd.grad(v.sum(), (x_hat, w), retain_graph=True) for v in values.T),
        strict=True,
    )
    return torch.stack(by_clean).double(), torch.stack(by_state).double()

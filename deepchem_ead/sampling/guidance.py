"""Guidance: processes whose estimate of the noise is drawn towards what is asked for.

A guided process takes the place of the `DiffusionProcess` in the sampling loop. What it needs to
know about each molecule are columns of the ``context`` rows, which travel with their molecules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    AtomLayout,
    Denoiser,
    DiffusionProcess,
    NoiseSchedule,
    by_column,
    level_of,
)
from deepchem_ead.diffusion.feature_targets import FeatureTarget

#: Noise-to-signal ratio (Angstrom) below which an estimate looks like a molecule.
MOLECULE_LIKE = 0.5

#: ``properties(x_hat (A, 3 + F), layout) -> (B, T)``, differentiable and invariant.
Properties = Callable[[Tensor, AtomLayout], Tensor]


class GuidedProcess:
    """What the sampling loop asks of a process, around another process.

    Parameters
    ----------
    process : DiffusionProcess or GuidedProcess
        The one whose noise estimate is changed.

    Attributes
    ----------
    evaluations : int
        Calls of the denoiser for one estimate.
    """

    def __init__(self, process: DiffusionProcess | GuidedProcess) -> None:
        self.process = process
        self.evaluations = evaluations_of(process)

    @property
    def schedule(self) -> NoiseSchedule:
        return self.process.schedule

    @property
    def frame(self):
        return self.process.frame

    @property
    def features(self) -> FeatureTarget:
        return self.process.features

    def draw_noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """See `DiffusionProcess.draw_noise`."""
        return self.process.draw_noise(eps, layout)

    def predict_noise(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        """The guided estimate of the noise, (A, 3 + F)."""
        raise NotImplementedError

    def predict_clean(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        """``x_hat = w - tau eps_hat`` with the guided noise, (A, 3 + F)."""
        eps = self.predict_noise(denoiser, w, levels, layout, context, previous)
        return w - by_column(self.schedule.tau_at(levels).to(w.dtype), w.shape[1]) * eps

    def extrapolated(self, eps: Tensor, other: Tensor, scale: float, w: Tensor, levels: Tensor):
        """``eps + scale (eps - other)`` with features as `FeatureTarget.admissible` allows.

        Types that are extrapolated beyond certainty make states that no network has seen.
        """
        guided = eps + scale * (eps - other)
        tau = self.schedule.tau_at(level_of(levels, "kinds")).to(w.dtype).unsqueeze(1)
        features = self.features.admissible(guided[:, 3:], w[:, 3:], tau)
        return torch.cat([guided[:, :3], features], 1)


def evaluations_of(process: DiffusionProcess | GuidedProcess) -> int:
    """How often a process calls the denoiser for one estimate."""
    return getattr(process, "evaluations", 1)


class ClassifierFreeGuidance(GuidedProcess):
    """``eps = eps(c) + s (eps(c) - eps(null))``: away from what the model says unconditionally.

    The positional part of a molecule is shortened to the length of that of ``eps(c)`` where it is
    longer: noise cannot have any length, and a step too far leads to a state where the next one
    goes further still, until molecules fly apart. Types stay types (`extrapolated`). The frame's
    projection may come before or after. The denoiser is called twice: once with each context, which
    keeps every molecule's numbers independent of the batch.

    Parameters
    ----------
    process : DiffusionProcess
    scale : float
        Guidance scale s, at least 0. 0 is the conditional model.

    Notes
    -----
    Rows of context are ``(c, null)``, both as wide as the denoiser's context.

    References
    ----------
    Ho & Salimans, arXiv:2207.12598, eq. 6; EAD, arXiv:2603.10093, conditional generation; Lin et
    al., arXiv:2305.08891, sec. 3.4 (the length).
    """

    def __init__(self, process: DiffusionProcess | GuidedProcess, scale: float) -> None:
        super().__init__(process)
        if not scale >= 0:
            raise ValueError(f"the guidance scale must not be negative, not {scale}")
        self.scale = scale
        self.evaluations = 2 * evaluations_of(process)

    def predict_noise(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        """The guided estimate of the noise, (A, 3 + F)."""
        told, null = context.chunk(2, 1)
        eps = self.process.predict_noise(denoiser, w, levels, layout, told, previous)
        eps_null = self.process.predict_noise(denoiser, w, levels, layout, null, previous)
        guided = self.extrapolated(eps, eps_null, self.scale, w, levels)
        return no_longer(guided, eps, layout)


def no_longer(guided: Tensor, eps: Tensor, layout: AtomLayout) -> Tensor:
    """Guided noise (A, 3 + F) with positions no longer, a molecule, than those of ``eps``."""
    allowed, reached = (layout.sum(n[:, :3].square().sum(1)) for n in (eps, guided))
    factor = (allowed / reached).sqrt().where(reached > allowed, 1.0)
    return torch.cat([layout.expand(factor).unsqueeze(1) * guided[:, :3], guided[:, 3:]], 1)


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
    ) -> None:
        super().__init__(process)
        self.properties = properties
        self.tolerance = tolerance.double()
        self.max_change, self.max_tau = max_change, max_tau

    def predict_noise(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        """The guided estimate of the noise, (A, 3 + F)."""
        n_targets = len(self.tolerance)
        inner, targets = context[:, :-n_targets], context[:, -n_targets:].double()
        inner = inner if inner.shape[1] else None
        tau = by_column(self.schedule.tau_at(levels), w.shape[1])
        guided = tau <= self.max_tau
        if not guided.any():
            return self.process.predict_noise(denoiser, w, levels, layout, inner, previous)
        with torch.enable_grad():
            w = w.detach().requires_grad_()
            eps = self.process.predict_noise(denoiser, w, levels, layout, inner, previous)
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
        change_x = self.frame.project(change[:, :3], tau[:, 0], layout)
        return eps + torch.cat([change_x, change[:, 3:]], 1).to(eps.dtype)


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


#: How to make a model that can guide from one that cannot: ``regressor`` predicts from what
#: ``featurizer`` makes, ``train`` is a dataset of structures.
DISTIL = """\
import deepchem as dc
from deepchem_ead import EGNNPropertyModel, MoleculeBatch
from deepchem_ead.models.predictors import as_predictor
judge = as_predictor(regressor, featurizer, tasks=["gap"])
labels = judge.predict(MoleculeBatch.from_padded(train.X))
guide = EGNNPropertyModel(judge.tasks)
guide.fit(dc.data.NumpyDataset(train.X, labels), nb_epoch=30)
"""


def no_gradient(model: object) -> str:
    """Why a model cannot guide, and what can be done with it instead."""
    return (
        f"a {type(model).__name__} cannot guide: that takes the gradient of a property by the "
        "coordinates and types of atoms, which it has not. Choose among generated molecules by it "
        "(design(..., predictor=as_predictor(regressor, featurizer, tasks=[...]))), or train a "
        f"model that can guide on its predictions:\n\n{DISTIL}"
    )


@dataclass(frozen=True)
class PropertyGuidance:
    """Target properties, and a differentiable model of them, to steer ``EADModel.generate`` with.

    Molecules are weighted by ``exp(-scale sum_k ((f_k - y_k) / MAD_k)^2)``; see `GradientGuidance`.

    Parameters
    ----------
    model : object
        With ``property_of(positions (A, 3), type_probabilities (A, E), layout) -> (B, T)``, such as
        an `EGNNPropertyModel`, or such a function itself.
    targets : mapping of str to value or sequence of values
        Wanted properties, all or some of the model's, as ``conditions`` of ``EADModel.generate``.
    scale : float
        Strength: a target is aimed at within ``MAD / sqrt(2 scale)``.
    max_change : float
        See `GradientGuidance`.
    max_tau : float
        See `GradientGuidance`. By default 0.5 Angstrom: below, an estimated molecule looks like
        one, which a model that learned from molecules needs (with guidance above 1 those of `qm9`
        fly apart), and guidance above gains little even with one that learned from estimates. What
        means something for any atoms, as their number does, can be infinity.
    tasks : sequence of str, optional
        Names of the T columns; ``model.tasks`` by default.
    mad : sequence of float, optional
        Mean absolute deviations (T,) of the properties, their natural unit; ``model.mad`` by
        default.
    elements : str, optional
        Elements of the E columns, comma separated; ``model.elements`` by default.

    Raises
    ------
    ValueError
        If the scale is not positive, or a target is none of the model's.
    """

    model: Any
    targets: Mapping[str, Any]
    scale: float = 30.0
    max_change: float = 2.0
    max_tau: float = MOLECULE_LIKE
    tasks: Sequence[str] | None = None
    mad: Sequence[float] | None = None
    elements: str | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.model, "property_of") and not callable(self.model):
            raise ValueError(no_gradient(self.model))
        for name in ("scale", "max_change", "max_tau"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"the {name} of a guide must be positive, not {getattr(self, name)}"
                )
        for name in ("tasks", "mad", "elements"):
            if getattr(self, name) is None:
                if not hasattr(self.model, name):
                    raise ValueError(f"the guiding model has no {name!r}; pass {name}=...")
                object.__setattr__(self, name, getattr(self.model, name))
        unknown = [name for name in self.targets if name not in self.tasks]
        if unknown or not self.targets:
            raise ValueError(
                f"targets={list(self.targets)}: choose among the guiding model's properties, "
                f"{', '.join(self.tasks)}"
            )

    @property
    def asked(self) -> list[str]:
        """The properties that have a target, in the model's order."""
        return [name for name in self.tasks if name in self.targets]

    @property
    def columns(self) -> list[int]:
        """Their columns among the model's."""
        return [column for column, name in enumerate(self.tasks) if name in self.targets]

    @property
    def property_of(self) -> Callable[[Tensor, Tensor, AtomLayout], Tensor]:
        """The differentiable function."""
        return getattr(self.model, "property_of", self.model)

"""Autoguidance: away from what a weaker version of the model says."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion import Asked, Denoiser, DiffusionProcess, Estimate
from deepchem_ead.sampling.guides.guided import GuidedProcess, evaluations_of
from deepchem_ead.sampling.guides.window import LevelWindow


class AutoGuidance(GuidedProcess):
    """``eps = eps(model) + s (eps(model) - eps(weak))``: further along what learning has changed.

    A weak version of a model (smaller, or trained for less time) errs in the same places, only
    more. Where the two differ, the better one still errs in the direction of the weaker one, and
    going beyond it corrects for some of that. Types stay types (`extrapolated`). Molecules become
    better than the model's own, and somewhat less diverse.

    Parameters
    ----------
    process : DiffusionProcess or GuidedProcess
        Of the better model.
    weak : DiffusionProcess
        Of the weak model, on the same states and levels.
    denoiser : callable
        The weak model's.
    n_context : int
        Columns of the weak model's context.
    scale : float
        Autoguidance scale s, at least 0. 0 is the better model alone.
    window : LevelWindow, optional
        Levels at which it acts; elsewhere the weak model is not asked.

    Notes
    -----
    Rows of context end with the weak model's. The evaluation of the weak model counts as one.

    References
    ----------
    Karras et al., Guiding a diffusion model with a bad version of itself, arXiv:2406.02507, eq. 4
    (whose w is 1 + s).
    """

    def __init__(
        self,
        process: DiffusionProcess | GuidedProcess,
        weak: DiffusionProcess,
        denoiser: Denoiser,
        n_context: int,
        scale: float,
        window: LevelWindow | None = None,
    ) -> None:
        super().__init__(process, window)
        if not scale >= 0:
            raise ValueError(f"the autoguidance scale must not be negative, not {scale}")
        self.weak, self.weak_denoiser = weak, denoiser
        self.n_context, self.scale = n_context, scale
        self.evaluations = evaluations_of(process) + 1

    def own_context(self, context: Tensor | None) -> Tensor | None:
        n_own = 0 if context is None else context.shape[1] - self.n_context
        return None if context is None or not n_own else context[:, :n_own]

    def guided(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        told = None
        if asked.context is not None and self.n_context:
            told = asked.context[:, -self.n_context :]
        own = asked.replace(context=self.own_context(asked.context))
        estimate = self.process.estimate(denoiser, own)
        weak = self.weak.estimate(self.weak_denoiser, asked.replace(context=told))
        return self.extrapolated(estimate, weak, self.scale, asked)

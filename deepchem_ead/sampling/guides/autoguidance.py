"""Autoguidance: away from what a weaker version of the model says."""

from __future__ import annotations

from deepchem_ead.diffusion import Asked, Denoiser, DiffusionProcess, Estimate
from deepchem_ead.sampling.guides.guided import GuidedProcess, evaluations_of


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
    ) -> None:
        super().__init__(process)
        if not scale >= 0:
            raise ValueError(f"the autoguidance scale must not be negative, not {scale}")
        self.weak, self.weak_denoiser = weak, denoiser
        self.n_context, self.scale = n_context, scale
        self.evaluations = evaluations_of(process) + 1

    def estimate(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        """The guided estimate."""
        context, own, told = asked.context, None, None
        if context is not None:
            n_own = context.shape[1] - self.n_context
            own = context[:, :n_own] if n_own else None
            told = context[:, n_own:] if self.n_context else None
        estimate = self.process.estimate(denoiser, asked.replace(context=own))
        weak = self.weak.estimate(self.weak_denoiser, asked.replace(context=told))
        return self.extrapolated(estimate, weak, self.scale, asked)

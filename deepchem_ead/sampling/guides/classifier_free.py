"""Classifier-free guidance: away from what a conditional model says unconditionally."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion import (
    Asked,
    AtomLayout,
    Denoiser,
    DiffusionProcess,
    Estimate,
    channel,
    joined,
)
from deepchem_ead.sampling.guides.guided import GuidedProcess, evaluations_of
from deepchem_ead.sampling.guides.window import LevelWindow


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
    window : LevelWindow, optional
        Levels at which it acts; elsewhere the model is the conditional one.

    Notes
    -----
    Rows of context are ``(c, null)``, both as wide as the denoiser's context.

    References
    ----------
    Ho & Salimans, arXiv:2207.12598, eq. 6; EAD, arXiv:2603.10093, conditional generation; Lin et
    al., arXiv:2305.08891, sec. 3.4 (the length).
    """

    def __init__(
        self,
        process: DiffusionProcess | GuidedProcess,
        scale: float,
        window: LevelWindow | None = None,
    ) -> None:
        super().__init__(process, window)
        if not scale >= 0:
            raise ValueError(f"the guidance scale must not be negative, not {scale}")
        self.scale = scale
        self.evaluations = 2 * evaluations_of(process)

    def own_context(self, context: Tensor | None) -> Tensor | None:
        return None if context is None else context.chunk(2, 1)[0]

    def guided(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        if asked.context is None:
            raise ValueError("classifier-free guidance needs rows of context, told and null")
        told, null = asked.context.chunk(2, 1)
        estimate = self.process.estimate(denoiser, asked.replace(context=told))
        other = self.process.estimate(denoiser, asked.replace(context=null))
        guided = self.extrapolated(estimate, other, self.scale, asked)
        return guided._replace(noise=no_longer(guided.noise, estimate.noise, asked.layout))


def no_longer(guided: Tensor, eps: Tensor, layout: AtomLayout) -> Tensor:
    """Guided noise (A, 3 + F) with positions no longer, a molecule, than those of ``eps``."""
    lengths = (channel(noise, "positions").square().sum(1) for noise in (eps, guided))
    allowed, reached = map(layout.sum, lengths)
    factor = (allowed / reached).sqrt().where(reached > allowed, 1.0)
    positions = layout.expand(factor).unsqueeze(1) * channel(guided, "positions")
    return joined(positions, channel(guided, "kinds"))

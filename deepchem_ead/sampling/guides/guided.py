"""A process whose estimate of the noise is drawn towards what is asked for."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion import (
    AtomLayout,
    Denoiser,
    DiffusionProcess,
    Frame,
    NoiseSchedule,
    by_column,
    channel,
    joined,
    level_of,
)
from deepchem_ead.diffusion.feature_targets import FeatureTarget


class GuidedProcess:
    """What the sampling loop asks of a process, around another process.

    What it needs to know about each molecule are columns of the ``context`` rows, which travel with
    their molecules.

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
    def frame(self) -> Frame:
        return self.process.frame

    @property
    def features(self) -> FeatureTarget:
        return self.process.features

    def tau_at(self, levels: Tensor) -> Tensor:
        """See `DiffusionProcess.tau_at`."""
        return self.process.tau_at(levels)

    def draw_noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """See `DiffusionProcess.draw_noise`."""
        return self.process.draw_noise(eps, layout)

    def predict_noise(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor | None = None,
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
        context: Tensor | None = None,
        previous: Tensor | None = None,
    ) -> Tensor:
        """``x_hat = w - tau eps_hat`` with the guided noise, (A, 3 + F)."""
        eps = self.predict_noise(denoiser, w, levels, layout, context, previous)
        return w - by_column(self.tau_at(levels).to(w.dtype), w.shape[1]) * eps

    def extrapolated(
        self, eps: Tensor, other: Tensor, scale: float, w: Tensor, levels: Tensor
    ) -> Tensor:
        """``eps + scale (eps - other)`` with features as `FeatureTarget.admissible` allows.

        Types that are extrapolated beyond certainty make states that no network has seen.
        """
        guided = eps + scale * (eps - other)
        tau = self.schedule.tau_at(level_of(levels, "kinds")).to(w.dtype).unsqueeze(1)
        features = self.features.admissible(channel(guided, "kinds"), channel(w, "kinds"), tau)
        return joined(channel(guided, "positions"), features)


def evaluations_of(process: DiffusionProcess | GuidedProcess) -> int:
    """How often a process calls the denoiser for one estimate."""
    return getattr(process, "evaluations", 1)

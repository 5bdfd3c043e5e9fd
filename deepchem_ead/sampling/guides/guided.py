"""A process whose estimate of the noise is drawn towards what is asked for."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion import (
    Asked,
    AtomLayout,
    DiffusionProcess,
    Estimate,
    Estimator,
    Frame,
    NoiseSchedule,
    channel,
    joined,
    level_of,
)
from deepchem_ead.diffusion.feature_targets import FeatureTarget


class GuidedProcess(Estimator):
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

    def extrapolated(
        self, estimate: Estimate, other: Estimate, scale: float, asked: Asked
    ) -> Estimate:
        """Noise ``eps + scale (eps - other)``, features as `FeatureTarget.admissible` allows.

        Types that are extrapolated beyond certainty make states that no network has seen.
        """
        w, eps = asked.w, estimate.noise
        guided = eps + scale * (eps - other.noise)
        tau = self.schedule.tau_at(level_of(asked.levels, "kinds")).to(w.dtype).unsqueeze(1)
        features = self.features.admissible(channel(guided, "kinds"), channel(w, "kinds"), tau)
        return estimate._replace(noise=joined(channel(guided, "positions"), features))


def evaluations_of(process: DiffusionProcess | GuidedProcess) -> int:
    """How often a process calls the denoiser for one estimate."""
    return getattr(process, "evaluations", 1)

"""A process whose estimate of the noise is drawn towards what is asked for."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion import (
    Asked,
    AtomLayout,
    BondNoise,
    Denoiser,
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
from deepchem_ead.sampling.guides.window import LevelWindow


class GuidedProcess(Estimator):
    """What the sampling loop asks of a process, around another process.

    What it needs to know about each molecule are columns of the ``context`` rows, which travel with
    their molecules. A guidance of its own overrides `guided`, and `own_context` if it has such
    columns.

    Parameters
    ----------
    process : DiffusionProcess or GuidedProcess
        The one whose noise estimate is changed.
    window : LevelWindow, optional
        Levels at which it is; elsewhere the estimate is the process's, to the last bit, and costs
        what it costs there. Default: all levels.

    Attributes
    ----------
    evaluations : int
        Calls of the denoiser for one guided estimate.
    """

    def __init__(
        self, process: DiffusionProcess | GuidedProcess, window: LevelWindow | None = None
    ) -> None:
        self.process = process
        self.window = window or LevelWindow()
        self.evaluations = evaluations_of(process)

    @property
    def schedule(self) -> NoiseSchedule:
        return self.process.schedule

    @property
    def frame(self) -> Frame:
        return self.process.frame

    @property
    def bonds(self) -> bool:
        return self.process.bonds

    @property
    def stereo(self) -> bool:
        return self.process.stereo

    @property
    def bond_noise(self) -> BondNoise | None:
        return self.process.bond_noise

    @property
    def features(self) -> FeatureTarget:
        return self.process.features

    def tau_at(self, levels: Tensor) -> Tensor:
        """See `DiffusionProcess.tau_at`."""
        return self.process.tau_at(levels)

    def draw_noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """See `DiffusionProcess.draw_noise`."""
        return self.process.draw_noise(eps, layout)

    def guided(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        """The estimate for molecules that are all within the window."""
        raise NotImplementedError

    def own_context(self, context: Tensor | None) -> Tensor | None:
        """The columns of context (B, K) that the process around which this one is takes."""
        return context

    def evaluations_at(self, levels: Tensor, layout: AtomLayout) -> Tensor:
        """Calls of the denoiser for an estimate of each molecule (B,) at these levels."""
        more = self.evaluations - evaluations_of(self.process)
        return calls_at(self.process, levels, layout) + more * self.window.holds(levels, layout)

    def estimate(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        """The estimate, guided within the window."""
        if self.window.everywhere:
            return self.guided(denoiser, asked)
        guided = self.window.holds(asked.levels, asked.layout)
        if bool(guided.all()):
            return self.guided(denoiser, asked)
        if not bool(guided.any()):
            own = asked.replace(context=self.own_context(asked.context))
            return self.process.estimate(denoiser, own)
        # Each part by itself: of one all are guided, of the other none is.
        nodes = [asked.layout.expand(chosen) for chosen in (guided, ~guided)]
        parts = [self.estimate(denoiser, asked.take(chosen)) for chosen in (guided, ~guided)]
        noise = _merged(nodes, [part.noise for part in parts])
        bonds = [part.bonds for part in parts if part.bonds is not None]
        if not bonds:
            return Estimate(noise)
        first = asked.layout.pairs.first
        return Estimate(noise, _merged([chosen[first] for chosen in nodes], bonds))

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


def _merged(marks: list[Tensor], rows: list[Tensor]) -> Tensor:
    """Rows of all atoms or pairs, from those of the ones that each of ``marks`` (bool) marks."""
    merged = rows[0].new_empty((len(marks[0]), *rows[0].shape[1:]))
    for chosen, part in zip(marks, rows, strict=True):
        merged[chosen] = part
    return merged


def evaluations_of(process: DiffusionProcess | GuidedProcess) -> int:
    """How often a process calls the denoiser for one estimate that is guided."""
    return getattr(process, "evaluations", 1)


def calls_at(
    process: DiffusionProcess | GuidedProcess, levels: Tensor, layout: AtomLayout
) -> Tensor | int:
    """How often a process calls the denoiser for an estimate at these levels.

    Of each molecule (B,), or one number for all.
    """
    if hasattr(process, "evaluations_at"):
        found: Tensor = process.evaluations_at(levels, layout)
        return found
    return evaluations_of(process)

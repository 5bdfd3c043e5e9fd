"""All atoms at one level, as in EDM."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.planned import PlannedRun


@dataclass(frozen=True)
class SynchronousSchedule:
    """All atoms step down the grid together: EDM's sampler (arXiv:2203.17003, Algorithm 2)."""

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> PlannedRun:
        n_steps = len(grid) - 1
        return PlannedRun(lambda m: grid[n_steps - m].expand(layout.n_nodes), n_steps)

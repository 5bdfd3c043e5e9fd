"""A fixed order: windows of atoms, one level apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.planned import PlannedRun
from deepchem_ead.sampling.state import grid_interval


@dataclass(frozen=True)
class StaircaseSchedule:
    """Node i of a molecule follows ``floor(i / window)`` steps behind the first window.

    After m steps node i is at position ``clip(K - m + floor(i / W), 0, K)`` of the grid: nodes of
    one window share their level, neighbouring windows are one step apart. It depends on the order
    of the nodes, so it is not equivariant to permutations.

    Parameters
    ----------
    window : int, optional
        Nodes of a window, W. None: for each molecule the smallest that keeps its levels within the
        spread seen in training, ``ceil(M / (2 C + 1))``: 1 for up to 59 nodes if C = 29.
    interval : int
        C of the training levels, in levels. A molecule of M nodes must fulfil
        ``ceil(M / W) - 1 <= 2 C`` (C in steps of the grid).

    References
    ----------
    EAD, arXiv:2603.10093, eq. 20; the window size used there is not known.
    """

    window: int | None = None
    interval: int = 29

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")
        if self.interval < 0:
            raise ValueError(f"interval must not be negative, not {self.interval}")

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> PlannedRun:
        """Start a run.

        Raises
        ------
        ValueError
            If the levels of a molecule would spread further than in training.
        """
        n_steps = len(grid) - 1
        allowed = 2 * grid_interval(self.interval, grid)
        if self.window is None:
            window = _ceil_divide(layout.counts, allowed + 1)
        else:
            window = torch.full_like(layout.counts, self.window)
        spread = _ceil_divide(layout.counts, window) - 1
        if bool((spread > allowed).any()):
            molecule = int(torch.argmax(spread))
            raise ValueError(
                f"molecule {molecule} with M = {int(layout.counts[molecule])} nodes in windows of "
                f"W = {self.window} spreads over {int(spread[molecule])} steps, but training "
                f"covers 2 * interval = {allowed}; use a larger window or interval"
            )
        nodes = torch.arange(layout.n_nodes, device=layout.index.device)
        delay = (nodes - layout.expand(layout.starts)) // layout.expand(window)
        return PlannedRun(
            lambda m: grid[(n_steps - m + delay).clamp(0, n_steps)], n_steps + int(spread.max())
        )


def _ceil_divide(a: Tensor, b: Tensor | int) -> Tensor:
    return -(-a // b)

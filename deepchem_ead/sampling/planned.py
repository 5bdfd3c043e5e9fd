"""Runs whose levels are known before they start."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from deepchem_ead.sampling.state import SamplerState


class PlannedRun:
    """Walks through rows of levels; no atom is ever repeated.

    Parameters
    ----------
    row : callable
        ``row(m)`` gives the levels (A,) float64 after m steps.
    max_steps : int
        Steps until all levels are 0.
    """

    def __init__(self, row: Callable[[int], Tensor], max_steps: int):
        self.start = row(0)
        self.max_steps = max_steps
        self._row = row
        self._step = 0

    def next(self, state: SamplerState) -> tuple[Tensor, None] | None:
        if self._step == self.max_steps:
            return None
        self._step += 1
        return self._row(self._step), None

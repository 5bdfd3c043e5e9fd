"""Levels written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.planned import PlannedRun


@dataclass(frozen=True, eq=False)
class ReplaySchedule:
    """Given levels for every atom and step, for example those recorded from another run.

    It brings its own grid; ``steps`` of the loop has no effect.

    Parameters
    ----------
    levels : array_like, (K + 1, A)
        Levels before the first step and after each of the K steps; real numbers are allowed. They
        never increase along a column and end at 0. An atom whose level stays is left alone.
    """

    levels: Tensor | Sequence[Sequence[float]]

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> PlannedRun:
        """Start a run.

        Raises
        ------
        ValueError
            If the levels do not fit the batch, leave [0, T], increase, or do not end at 0.
        """
        rows = torch.as_tensor(self.levels).to(grid)
        if rows.dim() != 2 or rows.shape[0] < 1 or rows.shape[1] != layout.n_nodes:
            raise ValueError(
                f"levels must have the shape (steps + 1, {layout.n_nodes} nodes), "
                f"not {tuple(rows.shape)}"
            )
        highest = noise_schedule.timesteps
        _refuse(~((rows >= 0) & (rows <= highest)), rows, f"levels must lie in [0, {highest}]")
        _refuse(rows.diff(dim=0) > 0, rows[1:], "levels must not increase", first_row=1)
        _refuse(rows[-1:] != 0, rows[-1:], "levels must end at 0", first_row=len(rows) - 1)
        return PlannedRun(lambda m: rows[m], len(rows) - 1)


def _refuse(wrong: Tensor, rows: Tensor, message: str, first_row: int = 0) -> None:
    if bool(wrong.any()):
        row, node = wrong.nonzero()[0].tolist()
        raise ValueError(f"{message}: node {node} has {rows[row, node]:g} in row {first_row + row}")

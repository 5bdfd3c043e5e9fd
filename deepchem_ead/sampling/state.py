"""What schedules see of a run, and what the loop asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling.noise import NoiseSource


class Query(NamedTuple):
    """What the network is asked for an estimate of the clean data.

    Attributes
    ----------
    w : Tensor, (A, 3 + F)
        Variance-exploding state.
    levels : Tensor, (A,) or (A, C) float64
        True level of each atom in it, or of each of its channels.
    needed : Tensor, (A,) bool, optional
        Atoms whose estimate is used. Molecules without such atoms are not evaluated, and keep the
        estimate they have; None: all are.
    """

    w: Tensor
    levels: Tensor
    needed: Tensor | None = None


class Transition(NamedTuple):
    """From where to where a stepper is to take each atom.

    Attributes
    ----------
    w, x_hat : Tensor, (A, 3 + F)
        State and estimate of the clean data.
    levels, next_levels : Tensor, (A,) or (A, C) float64
        Levels before and after, the latter not above the former. What has the same level stays as
        it is, to the last bit.
    tau_t, tau_s : Tensor, (A,) or (A, 3 + F) float64
        Noise-to-signal ratios of these levels, of the columns where channels have their own.
    noise : Tensor, (A, 3 + F)
        Fresh noise of the process.
    draw : callable
        ``draw() -> (A, 3 + F)``: more of it, for steppers that need it. They must call it equally
        often in every step, so that no molecule's numbers depend on others.
    """

    w: Tensor
    x_hat: Tensor
    levels: Tensor
    next_levels: Tensor
    tau_t: Tensor
    tau_s: Tensor
    noise: Tensor
    draw: Callable[[], Tensor]


class Step(NamedTuple):
    """One finished iteration of the loop.

    Attributes
    ----------
    levels : Tensor, (A,) or (A, C) float64
        Levels before the step.
    w, x_hat : Tensor, (A, 3 + F)
        State and estimate before the step.
    moved : Tensor, (A, 3 + F)
        State after the step, before the molecule was put back on its centre.
    shift : Tensor, (A, 3)
        What was subtracted from the positions of ``moved`` then. Where the molecule floats means
        nothing, so differences between steps have to leave it out.
    """

    levels: Tensor
    w: Tensor
    x_hat: Tensor
    moved: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class SamplerState:
    """The state of the loop after the network was called.

    Attributes
    ----------
    levels : Tensor, (A,) float64
        Or (A, C), where something is known of an atom but not all (`deepchem_ead.sampling.Start`).
    w : Tensor, (A, 3 + F)
        Variance-exploding state.
    x_hat : Tensor, (A, 3 + F)
        Estimate of the clean data.
    last : Step or None
        The step that led here, None at the start.
    """

    levels: Tensor
    w: Tensor
    x_hat: Tensor
    last: Step | None


class ScheduleRun(Protocol):
    """A schedule at work on one batch.

    Attributes
    ----------
    start : Tensor, (A,) float64
        Levels the run starts at.
    max_steps : int
        The run takes at most this many steps (the network is asked once more, at level 0).
    """

    start: Tensor
    max_steps: int

    def next(self, state: SamplerState) -> tuple[Tensor, Tensor | None] | None:
        """Where to go from ``state``; None if all atoms have arrived at level 0.

        Returns
        -------
        next_levels : Tensor, (A,) float64
            Level the transition leads each atom to, at most its present one.
        repeat : Tensor, (A,) bool, or None
            Atoms that keep their level and are treated by the repeat rule instead. None if the
            schedule, whatever the state, repeats no atom in this iteration.
        """


class Schedule(Protocol):
    """In which order atoms lose their noise."""

    def begin(
        self, layout: AtomLayout, grid: Tensor, noise_schedule: NoiseSchedule, noise: NoiseSource
    ) -> ScheduleRun:
        """Start a run on the levels of ``grid`` (K + 1,), increasing from 0 to T."""


def level_grid(timesteps: int, steps: int | Tensor | Sequence[float] | None = None) -> Tensor:
    """Levels a run visits, increasing from 0 to T, (K + 1,) float64.

    Parameters
    ----------
    timesteps : int
        Highest level T.
    steps : int or sequence of float, optional
        Number of steps K, 1 to T, whose levels are spread evenly and rounded to the integers the
        network was trained on (default: all T). Or the levels themselves, from 0 to T.
    """
    if steps is None:
        steps = timesteps
    if isinstance(steps, int):
        if not 1 <= steps <= timesteps:
            raise ValueError(f"steps must lie between 1 and {timesteps} (timesteps), not {steps}")
        return torch.linspace(0, timesteps, steps + 1, dtype=torch.float64).round()
    grid = torch.as_tensor(steps, dtype=torch.float64)
    if grid.dim() != 1 or len(grid) < 2 or not bool((grid.diff() > 0).all()):
        raise ValueError("the levels of a grid must be at least two increasing numbers")
    if grid[0] != 0 or grid[-1] != timesteps:
        raise ValueError(
            f"a grid must lead from level 0 to level {timesteps}, "
            f"not from {grid[0]:g} to {grid[-1]:g}"
        )
    return grid


def grid_interval(interval: int, grid: Tensor) -> int:
    """The interval C, given in levels, in positions of the grid; at least 1 unless it is 0."""
    n_steps = len(grid) - 1
    return max(1, round(interval * n_steps / float(grid[-1]))) if interval > 0 else 0

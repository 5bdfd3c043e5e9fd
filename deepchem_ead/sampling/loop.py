"""The one loop that all schedules, steppers and repeat rules share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, Denoiser, DiffusionProcess
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.registry import (
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.sampling.repeat import RepeatRule
from deepchem_ead.sampling.state import SamplerState, Schedule, Step, level_grid
from deepchem_ead.sampling.steppers import Stepper


class SampleResult(NamedTuple):
    """What came out of a run, and what really happened in it.

    Attributes
    ----------
    states : Tensor, (A, 3 + F)
        Positions (Angstrom, centred on the mean of all nodes) and scaled features.
    n_evaluations : int
        How often the network was called.
    levels : Tensor, (n_evaluations, A), or None
        Levels at each call, on request; int32 unless some are no integers.
    """

    states: Tensor
    n_evaluations: int
    levels: Tensor | None


@torch.no_grad()
def sample(
    process: DiffusionProcess,
    denoiser: Denoiser,
    layout: AtomLayout,
    n_features: int,
    schedule: str | Schedule = "synchronous",
    stepper: str | Stepper = "ancestral",
    repeat_rule: str | RepeatRule = "literal",
    noise: NoiseSource | None = None,
    steps: int | Tensor | list | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    record_levels: bool = False,
    progress: Any = None,
    initial_state: Tensor | None = None,
) -> SampleResult:
    """Generate molecules.

    Every iteration calls the network once, with the true level of every atom, asks the schedule
    where each atom goes, makes the transitions, applies the repeat rule to stalled atoms and puts
    molecules that moved back on their centre. Atoms at level 0 do not change any more, and
    molecules with such atoms stay where they are. When all atoms are at level 0 the last evaluation
    decodes them.

    Parameters
    ----------
    process : DiffusionProcess
    denoiser : callable
    layout : AtomLayout
        Nodes of each molecule.
    n_features : int
        Feature columns F.
    schedule, stepper, repeat_rule : str or object
        See `SCHEDULES`, `STEPPERS` and `REPEAT_RULES`.
    noise : NoiseSource
        Such as `MoleculeNoise`. Numbers are drawn in the same order for every molecule, whatever
        the batch: for the initial state, for decoding, then in each iteration for the transition
        and, in iterations where the schedule may stall atoms, for the repeat rule.
    steps : int or sequence of float, optional
        Number of steps or levels of the grid, see `level_grid`. Default: all T levels.
    callback : callable, optional
        Called after each evaluation with a dictionary: ``step`` (from 0), ``n_steps`` (the most
        evaluations the run can take), ``levels`` (A,), ``w`` and ``x_hat`` (A, 3 + F), ``layout``.
    record_levels : bool
        Return the levels at each evaluation.
    progress : object, optional
        ``progress.update(1)`` is called after each evaluation (a tqdm bar, for example).
    initial_state : Tensor, (A, 3 + F), optional
        State ``w`` to start from at the schedule's first levels. Default: ``noise / alpha``, EDM's
        standard normal latent.

    Returns
    -------
    SampleResult

    Raises
    ------
    ValueError
        If an argument is unknown or does not fit the batch.

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 2; EDM, arXiv:2203.17003, Algorithm 2. As in EDM's code
    decoding adds noise of level 0 to the estimated positions and reads features off the state at
    level 0.
    """
    if noise is None:
        raise ValueError("noise is required: pass MoleculeNoise(seed, indices, layout.counts)")
    rule = resolve_repeat_rule(repeat_rule)
    kernel = resolve_stepper(stepper).begin(process.schedule)
    grid = level_grid(process.schedule.timesteps, steps).to(layout.index.device)
    run = resolve_schedule(schedule).begin(layout, grid, process.schedule, noise)

    def draw() -> Tensor:
        return process.draw_noise(noise.normal(3 + n_features), layout)

    levels, last = run.start, None
    # decoding noise comes first: how long a batch runs depends on all its molecules
    w, decoding_noise = draw(), draw()
    if initial_state is None:
        w = _centred(w / _column(process.schedule.alpha_at(levels), w), layout)
    else:
        w = _checked(initial_state, w)
    visited: list[Tensor] = []
    n_evaluations = 0

    while True:
        x_hat = process.predict_clean(denoiser, w, levels, layout)
        n_evaluations += 1
        if record_levels:
            visited.append(levels)
        if callback is not None:
            callback(
                {
                    "step": n_evaluations - 1,
                    "n_steps": run.max_steps + 1,
                    "levels": levels,
                    "w": w,
                    "x_hat": x_hat,
                    "layout": layout,
                }
            )
        if progress is not None:
            progress.update(1)
        proposal = run.next(SamplerState(levels, w, x_hat, last))
        if proposal is None:
            break

        next_levels, repeat = proposal
        tau_t, tau_s = process.schedule.tau_at(levels), process.schedule.tau_at(next_levels)
        moved = kernel.step(w, x_hat, tau_t, tau_s, draw())
        if repeat is not None:
            repeated = rule(w, x_hat, moved, tau_t, tau_s, draw())
            moved = torch.where(repeat.unsqueeze(1), repeated, moved)
            next_levels = torch.where(repeat, levels, next_levels)

        shift = _shift_to_centre(moved, w, levels, layout)
        kernel.remember(x_hat, tau_t, next_levels < levels, shift)
        last = Step(levels, w, x_hat, moved, shift)
        w = torch.cat([moved[:, :3] - shift, moved[:, 3:]], 1)
        levels = next_levels

    positions = x_hat + process.schedule.tau[0].to(w.dtype).to(w.device) * decoding_noise
    states = torch.cat([layout.center(positions[:, :3]), w[:, 3:]], 1)
    return SampleResult(states, n_evaluations, _stack_levels(visited) if record_levels else None)


def _shift_to_centre(moved: Tensor, w: Tensor, levels: Tensor, layout: AtomLayout) -> Tensor:
    """Each molecule's centre after a step, (A, 3).

    It is zero where an atom was at level 0 before the step, which must not move. And where nothing
    moved: a molecule that was held must stay the same to the last bit, otherwise velocities that
    are zero would be compared by their rounding errors.
    """
    changed = (moved[:, :3] != w[:, :3]).any(1).to(levels.dtype)
    floating = (layout.min(levels) > 0) & (layout.max(changed) > 0)
    centre = torch.where(floating.unsqueeze(1), layout.mean(moved[:, :3]), 0.0)
    return layout.expand(centre)


def _centred(w: Tensor, layout: AtomLayout) -> Tensor:
    return torch.cat([layout.center(w[:, :3]), w[:, 3:]], 1)


def _checked(initial_state: Tensor, like: Tensor) -> Tensor:
    if initial_state.shape != like.shape:
        raise ValueError(
            f"initial_state must have the shape {tuple(like.shape)}, "
            f"not {tuple(initial_state.shape)}"
        )
    return initial_state.to(like)


def _column(coefficient: Tensor, like: Tensor) -> Tensor:
    return coefficient.to(like.dtype).unsqueeze(1)


def _stack_levels(visited: list[Tensor]) -> Tensor:
    levels = torch.stack(visited)
    integers = levels.to(torch.int32)
    return integers if bool((integers == levels).all()) else levels

"""Molecules that start together, on their way from noise to data."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    DiffusionProcess,
    any_channel,
    as_column,
    by_column,
    channel,
    joined,
    level_of,
    shifted,
    state_width,
)
from deepchem_ead.sampling.grids import Steps, resolve_grid
from deepchem_ead.sampling.guides import calls_at
from deepchem_ead.sampling.noise import NoiseSource
from deepchem_ead.sampling.noisy_bonds import NoisyBonds
from deepchem_ead.sampling.registry import (
    resolve_repeat_rule,
    resolve_schedule,
    resolve_stepper,
)
from deepchem_ead.sampling.repeat import RepeatRule
from deepchem_ead.sampling.start import KnownRows, Start
from deepchem_ead.sampling.state import (
    Query,
    SamplerState,
    Schedule,
    Step,
    Transition,
)
from deepchem_ead.sampling.steppers import MoleculeStepper, Stepper, check_step

#: Estimates of the clean data (A, 3 + F) and, of a process that knows bonds, of these (E, K).
_Answer = tuple[Tensor, Tensor | None]


class Cohort:
    """All of a run but the network: states, levels, schedule, stepper, random numbers, one clock.

    `run_cohorts` evaluates the network on the unfinished molecules of one or more cohorts and gives
    each its estimates. What stands here keeps its shape from the first step to the last, so
    schedules, steppers and noise sources need not know that others share the network with them. A
    step asks for one estimate, or for more if its stepper does.

    Parameters
    ----------
    process : DiffusionProcess
    layout : AtomLayout
    n_features : int
        Feature columns F.
    noise : NoiseSource
    schedule, stepper, repeat_rule : str or object
    steps : int, str or sequence of float, optional
    context : Tensor, (B, K), optional
        What the denoiser is told about each molecule besides its atoms.
    callback : callable, optional
    record_levels : bool
    initial_state : Tensor, (A, 3 + F), optional
    start : Start, optional
        See `sample` for all of these.

    Attributes
    ----------
    query : Query
        What the network is to be evaluated on next.
    w : Tensor, (A, 3 + F)
        State before the present step.
    levels : Tensor, (A,) float64
        Levels of that state.
    x_hat : Tensor, (A, 3 + F)
        The last estimate of the clean data, zeros before the first.
    previous : Tensor, (A, 3 + F)
        The same in the frame of the query, NaN before the first.
    bonds : Bonds or None
        What is given of the bonds, and what noisy ones say.
    stereo : Stereo or None
        What is given of the stereo.
    bonds_hat : Tensor, (E, K), or None
        The last estimate of the bonds, NaN before the first; None of a process without bonds.
    wants_bonds : bool
        Bonds are to be estimated: some are not given.
    unfinished : Tensor, (B,) bool
        Molecules that have not been evaluated with all atoms at level 0: they need the network.
    n_evaluations, n_steps : Tensor, (B,) int64
        Evaluations each molecule has needed so far, those of a guidance included, and estimates
        that began a step or were the last.
    calls : int
        Evaluations for the molecule that needed most, estimate by estimate.
    pairs_left : int
        Squared numbers of nodes of the unfinished molecules, summed: what they cost the network.
    finished : bool
        Nothing is left to do.
    """

    def __init__(
        self,
        process: DiffusionProcess,
        layout: AtomLayout,
        n_features: int,
        noise: NoiseSource,
        schedule: str | Schedule = "synchronous",
        stepper: str | Stepper = "ancestral",
        repeat_rule: str | RepeatRule = "literal",
        steps: Steps | None = None,
        context: Tensor | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        record_levels: bool = False,
        initial_state: Tensor | None = None,
        start: Start | None = None,
    ) -> None:
        self._process, self.layout, self.context = process, layout, context
        self._noise, self._n_columns = noise, state_width(n_features)
        self._callback = callback
        self._rule = resolve_repeat_rule(repeat_rule)
        self._kernel = resolve_stepper(stepper).begin(process.schedule)
        if isinstance(self._kernel, MoleculeStepper):
            self._kernel = self._kernel.on(layout)
        check_step(self._kernel)
        grid = resolve_grid(steps, process.schedule).to(layout.index.device)
        self._known = None
        if start is not None:
            self._known = KnownRows(start, layout, self._n_columns, process.schedule.timesteps)
            grid = self._known.begun(grid)
        self._run = resolve_schedule(schedule).begin(layout, grid, process.schedule, noise)
        self._last: Step | None = None
        self._visited: list[Tensor] | None = [] if record_levels else None

        self.levels = self._capped(self._run.start)
        # decoding noise comes first: how long a cohort runs depends on all its molecules
        noise_t, self._decoding_noise = self._draw(), self._draw()
        if initial_state is None:
            w = _centred(
                noise_t / as_column(process.schedule.alpha_at(self._run.start), noise_t), layout
            )
        else:
            w = _checked(initial_state, noise_t)
        if self._known is not None:
            tau = by_column(process.tau_at(self._known.levels), self._n_columns)
            w = self._known.begin(w, noise_t, tau)
        if context is not None and len(context) != layout.n_molecules:
            raise ValueError(f"context has {len(context)} rows for {layout.n_molecules} molecules")
        self.w, self.x_hat = w, torch.zeros_like(w)
        self.previous = torch.full_like(w, torch.nan)
        self.bonds, self.bonds_hat, self.wants_bonds = None, None, False
        if process.bonds:
            self.bonds = None if start is None else start.bonds
            self.wants_bonds = self.bonds is None or not bool(self.bonds.given.all())
            n_pairs = len(layout.pairs.first)
            self.bonds_hat = torch.full_like(w[:1, :1], torch.nan).expand(n_pairs, len(BOND_KINDS))
            if self.bonds is not None and not self.wants_bonds:
                self.bonds_hat = self.bonds.certain.to(w.dtype)
        self._noisy_bonds: NoisyBonds | None = None
        if process.bond_noise is not None:
            known = None if self._known is None else self._known.levels == 0
            self._noisy_bonds = NoisyBonds(
                process.bond_noise, process.schedule, layout, noise, self.bonds, known
            )
            self.bonds = self._noisy_bonds.bonds
        self.stereo = start.stereo if process.stereo and start is not None else None
        self.unfinished = torch.ones_like(layout.counts, dtype=torch.bool)
        self.n_evaluations = torch.zeros_like(layout.counts)
        self.n_steps = torch.zeros_like(layout.counts)
        self.calls = 0
        self.pairs_left = int(layout.counts.square().sum())
        self.finished = False
        self._course = self._steps()
        self.query = next(self._course)

    def _capped(self, levels: Tensor) -> Tensor:
        """Levels of a schedule (A,), but 0 where all is known: (A,) or (A, C)."""
        if self._known is None:
            return levels
        levels = levels.unsqueeze(1) if self._by_channel else levels
        return torch.minimum(levels, self._known.levels)

    @property
    def _by_channel(self) -> bool:
        return self._known is not None and self._known.levels.dim() > 1

    def _by_column(self, values: Tensor) -> Tensor:
        """What depends on levels as it is multiplied with states: (A,) or (A, 3 + F)."""
        return by_column(values, self._n_columns) if values.dim() > 1 else values

    def _draw(self) -> Tensor:
        return self._process.draw_noise(self._noise.normal(self._n_columns), self.layout)

    @property
    def placed(self) -> Tensor | None:
        """Molecules (B,) bool that come out in the frame of `Start.clean`; None: none are."""
        return None if self._known is None else self._known.placed

    @property
    def started(self) -> bool:
        """Whether there is an earlier estimate, ``previous``."""
        return self.calls > 0

    def advance(self, x_hat: Tensor, bonds: Tensor | None = None) -> None:
        """Go on to the next query, given the network's estimate for the present one.

        Rows of molecules that are finished, or that the query does not need, do not count.

        Parameters
        ----------
        x_hat : Tensor, (A, 3 + F)
        bonds : Tensor, (E, K), optional
            Of a process that knows bonds.
        """
        try:
            self.query = self._course.send((x_hat, bonds))
        except StopIteration:
            self.finished, self.pairs_left = True, 0

    def _steps(self) -> Generator[Query, _Answer, None]:
        """The whole run, from query to query."""
        step = 0
        while True:
            x_hat = yield from self._estimate(Query(self.w, self.levels))
            self._count_step()
            if self._visited is not None:
                self._visited.append(self.levels)
            if self._callback is not None:
                self._callback(
                    {
                        "step": step,
                        "n_steps": self._run.max_steps + 1,
                        "n_evaluations": self.calls,
                        "levels": self.levels,
                        "w": self.w,
                        "x_hat": x_hat,
                        "layout": self.layout,
                    }
                )
            step += 1
            proposal = None
            if self.pairs_left:
                proposal = self._run.next(SamplerState(self.levels, self.w, x_hat, self._last))
            if proposal is None:
                return
            yield from self._move(x_hat, *proposal)

    def _estimate(self, query: Query) -> Generator[Query, _Answer, Tensor]:
        """Ask the network, unless nobody needs the answer."""
        asking = self.unfinished
        if query.needed is not None:
            asking = asking & (self.layout.max(query.needed.to(torch.uint8)) > 0)
            if not bool(asking.any()):
                return self.x_hat
        x_hat, bonds = yield query
        if bonds is not None and self.bonds_hat is not None:
            asked = self.layout.expand(asking)[self.layout.pairs.first].unsqueeze(1)
            self.bonds_hat = torch.where(asked, bonds, self.bonds_hat)
        # A second evaluation of a last state, told the first, would say something else.
        x_hat = torch.where(self.layout.expand(asking).unsqueeze(1), x_hat, self.x_hat)
        if self._known is not None:
            x_hat = self._known.fill(x_hat)
        self.x_hat = self.previous = x_hat
        calls = asking * calls_at(self._process, query.levels, self.layout)
        self.n_evaluations += calls
        self.calls += int(calls.max())
        return x_hat

    def _count_step(self) -> None:
        self.n_steps += self.unfinished
        if bool((self.levels == 0).any()):
            waiting = any_channel(self.levels > 0).to(torch.uint8)
            self.unfinished = self.unfinished & (self.layout.max(waiting) > 0)
            self.pairs_left = int(self.layout.counts[self.unfinished].square().sum())

    def _move(
        self, x_hat: Tensor, next_levels: Tensor, repeat: Tensor | None
    ) -> Generator[Query, _Answer, None]:
        w, levels, next_levels = self.w, self.levels, self._capped(next_levels)
        tau_t = self._by_column(self._process.schedule.tau_at(levels))
        tau_s = self._by_column(self._process.schedule.tau_at(next_levels))
        transition = Transition(
            w, x_hat, levels, next_levels, tau_t, tau_s, self._draw(), self._draw
        )  # fmt: skip
        moved = self._kernel.step(transition)
        if isinstance(moved, Generator):
            moved = yield from self._answered(moved)
        if repeat is not None:
            repeated = self._rule(w, x_hat, moved, tau_t, tau_s, self._draw())
            moved = torch.where(repeat.unsqueeze(1), repeated, moved)
            repeat = repeat.unsqueeze(1) if self._by_channel else repeat
            next_levels = torch.where(repeat, levels, next_levels)
        if self._known is not None:
            moved = self._known.fill(moved)

        shift = _shift_to_centre(moved, w, level_of(levels, "positions"), self.layout)
        self._kernel.remember(x_hat, tau_t, self._by_column(next_levels < levels), shift)
        self._last = Step(levels, w, x_hat, moved, shift)
        self.w = shifted(moved, -shift)
        self.previous = shifted(self.x_hat, -shift)
        self.levels = next_levels
        if self._noisy_bonds is not None and self.bonds_hat is not None:
            self.bonds = self._noisy_bonds.follow(next_levels, self.bonds_hat)

    def _answered(
        self, stepper: Generator[Query, Tensor, Tensor]
    ) -> Generator[Query, _Answer, Tensor]:
        """Give a stepper its estimates until it returns the new state."""
        try:
            query = next(stepper)
            while True:
                query = stepper.send((yield from self._estimate(query)))
        except StopIteration as end:
            moved: Tensor = end.value
            return moved

    def decode(self) -> Tensor:
        """The finished molecules (A, 3 + F): centred positions (Angstrom) and scaled features.

        Molecules of which positions are known are in the frame of these instead.
        """
        tau_0 = self._process.tau_at(self.levels.new_zeros(1)).to(self.w.dtype)
        positions = channel(self.x_hat + tau_0 * self._decoding_noise, "positions")
        kinds = channel(self.w, "kinds")
        centred = joined(self.layout.center(positions), kinds)
        if self._known is None:
            return centred
        placed = self.layout.expand(self._known.placed).unsqueeze(1)
        return self._known.returned(torch.where(placed, joined(positions, kinds), centred))

    def visited_levels(self) -> Tensor | None:
        """Levels before each step and at the end (steps, A), int32 unless some are no integers.

        None if they were not to be recorded.
        """
        if self._visited is None:
            return None
        levels = torch.stack(self._visited)
        integers = levels.to(torch.int32)
        return integers if bool((integers == levels).all()) else levels


def _shift_to_centre(moved: Tensor, w: Tensor, levels: Tensor, layout: AtomLayout) -> Tensor:
    """Each molecule's centre after a step, (A, 3).

    It is zero where an atom was at level 0 before the step, which must not move. And where nothing
    moved: a molecule that was held must stay the same to the last bit, otherwise velocities that
    are zero would be compared by their rounding errors.
    """
    positions, before = channel(moved, "positions"), channel(w, "positions")
    changed = (positions != before).any(1).to(levels.dtype)
    floating = (layout.min(levels) > 0) & (layout.max(changed) > 0)
    centre = torch.where(floating.unsqueeze(1), layout.mean(positions), 0.0)
    return layout.expand(centre)


def _centred(w: Tensor, layout: AtomLayout) -> Tensor:
    return joined(layout.center(channel(w, "positions")), channel(w, "kinds"))


def _checked(initial_state: Tensor, like: Tensor) -> Tensor:
    if initial_state.shape != like.shape:
        raise ValueError(
            f"initial_state must have the shape {tuple(like.shape)}, "
            f"not {tuple(initial_state.shape)}"
        )
    return initial_state.to(like)

"""Which levels the schedules visit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_toys import make_process, pair_denoiser

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling import (
    AdaptiveSchedule,
    MoleculeNoise,
    RandomCoinSchedule,
    ReplaySchedule,
    SamplerState,
    SettledFirstSchedule,
    StaircaseSchedule,
    Step,
    SynchronousSchedule,
    level_grid,
    sample,
)
from deepchem_ead.sampling.clocked import ClockedRun
from deepchem_ead.sampling.state import grid_interval
from deepchem_ead.sampling.velocities import (
    environment_velocity,
    estimate_increment,
    latent_increment,
)


def begin(schedule, counts, steps=None, timesteps=100, noise=None):
    layout = AtomLayout.from_counts(counts)
    grid = level_grid(timesteps, steps)
    return schedule.begin(layout, grid, NoiseSchedule.polynomial_2(timesteps), noise)


def walk(run):
    """All levels of a run that does not look at the state, (max_steps + 1, A)."""
    rows = [run.start]
    while (proposal := run.next(None)) is not None:
        next_levels, repeat = proposal
        assert len(rows) <= run.max_steps
        rows.append(next_levels if repeat is None else torch.where(repeat, rows[-1], next_levels))
    return torch.stack(rows)


@dataclass
class FlaggedRun(ClockedRun):
    """Flags from a rule instead of velocities."""

    def __init__(self, layout, grid, interval, sync_fraction, flags):
        super().__init__(layout, grid, interval, sync_fraction)
        self.flags = flags

    def advancing(self, state):
        return self.flags()


@pytest.mark.parametrize("flags", ["none", "all", "random"])
@settings(max_examples=25, deadline=None)
@given(
    n_steps=st.integers(1, 60),
    interval=st.integers(0, 25),
    sync_fraction=st.floats(0, 1),
    n_nodes=st.integers(1, 7),
    seed=st.integers(0, 1000),
)
def test_clocked_levels_keep_their_promises(flags, n_steps, interval, sync_fraction, n_nodes, seed):
    generator = torch.Generator().manual_seed(seed)
    chance = {"none": 0.0, "all": 1.0, "random": 0.5}[flags]
    run = FlaggedRun(
        AtomLayout.from_counts([n_nodes]),
        level_grid(n_steps),
        interval,
        sync_fraction,
        lambda: torch.rand(n_nodes, generator=generator) < chance,
    )
    levels = walk(run)
    n_iterations = len(levels) - 1
    assert n_iterations <= run.max_steps <= n_steps + 2 * interval
    clock = torch.arange(n_steps, n_steps - n_iterations - 1, -1)
    first_async = n_steps - round((1 - sync_fraction) * n_steps)
    change = levels.diff(dim=0)
    assert ((change == 0) | (change == -1)).all()
    assert (levels.min(1).values >= clock.clamp_min(0)).all()
    assert (levels.max(1).values <= (clock + 2 * interval).clamp_min(0)).all()
    assert (levels[: first_async + 1] == clock[: first_async + 1, None]).all()
    assert (levels[-1] == 0).all() and levels[-2].any()
    if flags == "all":
        assert n_iterations == n_steps
    if flags == "none" and first_async < n_steps:
        assert n_iterations == n_steps + 2 * interval


@pytest.mark.parametrize("schedule", [AdaptiveSchedule, RandomCoinSchedule, SettledFirstSchedule])
def test_sync_fraction_1_and_interval_0_are_synchronous(schedule):
    counts = [4, 2]

    def run(chosen):
        noise = MoleculeNoise(1, [0, 1], counts)
        layout = AtomLayout.from_counts(counts)
        return sample(
            make_process(30), pair_denoiser, layout, 2, chosen, noise=noise, record_levels=True
        )

    expected = run(SynchronousSchedule())
    result = run(schedule(sync_fraction=1.0))
    assert torch.equal(result.states, expected.states)
    assert torch.equal(result.levels, expected.levels)
    assert torch.equal(run(schedule(sync_fraction=0.3, interval=0)).levels, expected.levels)
    assert expected.n_evaluations == 31


def test_atoms_that_always_advance_are_synchronous():
    noise = MoleculeNoise(0, [0], [5])
    always = begin(RandomCoinSchedule(probability=1.0), [5], noise=noise)
    assert torch.equal(walk(always), walk(begin(SynchronousSchedule(), [5])))


def test_one_coin_for_all_atoms_of_a_molecule():
    counts = [4, 3]
    noise = MoleculeNoise(0, [0, 1], counts)
    run = begin(RandomCoinSchedule(sync_fraction=0.1, together=True), counts, noise=noise)
    levels = walk(run)
    first, second = levels[:, :4], levels[:, 4:]
    assert torch.equal(first, first[:, :1].expand(-1, 4))
    assert torch.equal(second, second[:, :1].expand(-1, 3))
    assert not torch.equal(first[:, 0], second[:, 0])
    assert (first[:, 0].diff() == 0).any()  # repeats


def test_adaptive_flags_compare_the_last_velocities():
    """The first atom's velocities fall, then rise; the second's are constant."""
    run = begin(AdaptiveSchedule(sync_fraction=0.03, window=3, velocity="latent"), [2])
    zeros = torch.zeros(2, 4)
    state, repeats = SamplerState(run.start, zeros, zeros, None), []
    for speed in [[9, 1], [8, 1], [7, 1], [6, 1], [8, 1], [7, 1], [6, 1], [6, 1]]:
        next_levels, repeat = run.next(state)
        repeats.append(None if repeat is None else repeat.tolist())
        if repeat is not None:
            next_levels = torch.where(repeat, state.levels, next_levels)
        alpha = NoiseSchedule.polynomial_2(100).alpha_at(next_levels).float()
        moved = torch.zeros(2, 4)
        moved[:, 1] = torch.tensor(speed) / alpha
        last = Step(state.levels, zeros, zeros, moved, torch.zeros(2, 3))
        state = SamplerState(next_levels, zeros, zeros, last)
    # three of a hundred steps go together; 6, 8 is no decrease and stays in the window of 3
    falls, rises = [False, False], [True, False]
    assert repeats == [None, None, None, falls, falls, rises, rises, falls]


def test_velocities_leave_out_shift_and_use_the_newer_alpha():
    schedule = NoiseSchedule.polynomial_2(100)
    w = torch.randn(3, 5, dtype=torch.float64)
    moved = w + torch.randn(3, 5, dtype=torch.float64)
    x_hat, x_hat_new = torch.randn(2, 3, 5, dtype=torch.float64)
    old, new = torch.tensor([50.0, 40.0, 7.0]), torch.tensor([49.0, 40.0, 6.0])
    shift = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).expand(3, 3)
    step = Step(old.double(), w, x_hat, moved, shift)
    alpha_old, alpha_new = schedule.alpha[old.long(), None], schedule.alpha[new.long(), None]
    latent = latent_increment(step, new.double(), schedule)
    assert torch.allclose(latent[:, :3], alpha_new * (moved - w)[:, :3], atol=1e-14)
    assert torch.allclose(latent[:, 3:], (alpha_new * moved - alpha_old * w)[:, 3:], atol=1e-14)
    estimate = estimate_increment(step, x_hat_new)
    assert torch.allclose(estimate[:, :3], (x_hat_new - x_hat)[:, :3] + shift, atol=1e-14)
    assert torch.allclose(estimate[:, 3:], (x_hat_new - x_hat)[:, 3:], atol=1e-14)


@dataclass
class Spy:
    """A schedule that notes what the loop tells it and what it answers."""

    schedule: AdaptiveSchedule

    def begin(self, *args):
        self.notes, self.run = [], self.schedule.begin(*args)
        self.start, self.max_steps = self.run.start, self.run.max_steps
        return self

    def next(self, state):
        self.notes.append((state, self.run.next(state)))
        return self.notes[-1][1]


@pytest.mark.parametrize("velocity", ["latent", "x0hat", "environment"])
@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("repeat_rule", ["hold", "repaint"])
def test_atoms_are_repeated_where_the_trajectory_accelerates(velocity, window, repeat_rule):
    """Repeats computed once more from the states the loop went through."""
    process, counts, interval = make_process(60), [5, 3], 12
    spy = Spy(AdaptiveSchedule(0.5, window=window, interval=interval, velocity=velocity))
    sample(
        process, pair_denoiser, AtomLayout.from_counts(counts), 1, spy, repeat_rule=repeat_rule,
        noise=MoleculeNoise(2, [0, 1], counts, torch.float64),
    )  # fmt: skip
    speeds, n_repeats = [], 0
    for m, (state, proposal) in enumerate(spy.notes[:-1]):
        if m > 0:
            before, last = spy.notes[m - 1][0], state.last
            assert last.w is before.w and last.x_hat is before.x_hat
            drift = torch.cat([last.shift, torch.zeros(8, 1)], 1)
            if velocity == "environment":
                change = surroundings(state.x_hat, before.x_hat, counts)
            elif velocity == "x0hat":
                change = state.x_hat + drift - before.x_hat
            else:
                alpha = process.schedule.alpha_at(state.levels)[:, None]
                old = process.schedule.alpha_at(before.levels)[:, None]
                change = alpha * (state.w + drift - before.w)
                change[:, 3:] = alpha * state.w[:, 3:] - old * before.w[:, 3:]
            speeds.append(change.norm(dim=1))
        if m < 30:
            assert proposal[1] is None
            continue
        rising = (torch.stack(speeds[-window:]).diff(dim=0) > 1e-10).any(0)
        free = (state.levels > 0) & (state.levels <= max(60 - m - 1 + 2 * interval, 0))
        assert torch.equal(proposal[1], rising & free)
        n_repeats += int(proposal[1].sum())
    assert n_repeats > 50


def surroundings(new, old, counts):
    """What changed around each atom, (A, 1), pair by pair."""
    rows = []
    for atoms in torch.arange(sum(counts)).split(counts):
        for i in atoms:
            total = 0.0
            for j in atoms:
                d, before = ((x[i, :3] - x[j, :3]).norm() for x in (new, old))
                change = (d - before) ** 2 + (new[j, 3:] - old[j, 3:]).square().sum()
                total += torch.exp(-(d**2) / (2 * 1.5**2)) * change
            rows.append(total.sqrt())
    return torch.stack(rows).unsqueeze(1)


def test_what_turns_and_moves_as_a_whole_has_not_changed():
    """Two water molecules: one turns, one opens, and all its atoms feel it."""
    water = torch.tensor([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]], dtype=torch.float64)
    types = torch.eye(3, dtype=torch.float64)
    old = torch.cat([torch.cat([water, types], 1)] * 2)
    new = old.clone()
    new[:3, :3] = water[:, [1, 0, 2]] + torch.tensor([3.0, 0, 1])  # a quarter turn, and away
    new[3:, 1] *= 1.1
    layout = AtomLayout.from_counts([3, 3])
    zeros = torch.zeros(6, dtype=torch.float64)
    last = Step(zeros, old, old, old, torch.zeros(6, 3))
    found = environment_velocity(SamplerState(zeros, new, new, last), layout, None)
    assert found[:3].abs().max() < 1e-7
    assert found[3:].min() > 0.01
    assert torch.allclose(found, surroundings(new, old, [3, 3])[:, 0])


@pytest.mark.parametrize("reverse", [False, True])
def test_atoms_wait_until_their_estimate_has_settled(reverse):
    """Repeats computed once more from the estimates the loop went through."""
    process, counts, interval, window = make_process(60), [5, 3, 1], 12, 4
    schedule = SettledFirstSchedule(0.5, window=window, interval=interval, reverse=reverse)
    spy = Spy(schedule)
    result = sample(
        process, pair_denoiser, AtomLayout.from_counts(counts), 1, spy, repeat_rule="repaint",
        noise=MoleculeNoise(2, [0, 1, 2], counts, torch.float64), record_levels=True,
    )  # fmt: skip
    moves = []
    for m, (state, proposal) in enumerate(spy.notes[:-1]):
        if m > 0:
            drift = torch.cat([state.last.shift, torch.zeros(9, 1)], 1)
            moves.append((state.x_hat + drift - spy.notes[m - 1][0].x_hat).norm(dim=1))
        if m < 30:
            assert proposal[1] is None
            continue
        move = torch.stack(moves[-window:]).mean(0)
        for atoms in torch.arange(9).split(counts):
            left = atoms[state.levels[atoms] > 0]
            average = sum(move[left].tolist()) / max(len(left), 1)
            waits = move[atoms] < average - 1e-12 if reverse else move[atoms] > average + 1e-12
            free = (state.levels[atoms] > 0) & (state.levels[atoms] <= max(59 - m + 24, 0))
            assert torch.equal(proposal[1][atoms], waits & free)
    repeats = (result.levels.diff(dim=0) == 0).logical_and(result.levels[1:] > 0).sum(0)
    assert repeats[8] == 0  # alone in its molecule
    assert repeats[:8].max() > 18
    if not reverse:  # who waits is behind, and has less of an estimate: few repeat for all
        assert repeats[:5].min() < 6 and repeats[5:8].min() < 6


def test_settled_and_unsettled_first_are_opposites():
    state, runs = (
        None,
        [
            begin(SettledFirstSchedule(0.0, window=2, interval=5, reverse=r), [4])
            for r in (False, True)
        ],
    )
    zeros = torch.zeros(4, 4)
    for speed in ([1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 2.0, 1.0]):
        last = Step(torch.full((4,), 90.0), zeros, zeros, zeros, torch.zeros(4, 3))
        estimate = torch.zeros(4, 4)
        estimate[:, 3] = torch.tensor(speed)  # the type counts as the position does
        state = SamplerState(torch.full((4,), 90.0), zeros, estimate, last)
        waiting = [run.next(state)[1].tolist() for run in runs]
    # means of two: 1, 5, 2.5, 2.5 around 2.75
    assert waiting == [[False, True, False, False], [True, False, True, True]]


@pytest.mark.parametrize(("counts", "window", "steps"), [([7, 3], 2, None), ([29], None, 50)])
def test_staircase_rows(counts, window, steps):
    run = begin(StaircaseSchedule(window=window), counts, steps)
    levels = walk(run)
    grid = level_grid(100, steps)
    position = torch.searchsorted(grid, levels)
    assert (levels[0] == 100).all() and (levels[-1] == 0).all() and levels[-2].any()
    width = window or -(-29 // (2 * grid_interval(29, grid) + 1))
    assert len(levels) == len(grid) - 1 + -(-max(counts) // width)
    for nodes in position.split(counts, dim=1):
        step = nodes.diff(dim=1)
        inside = torch.arange(1, nodes.shape[1]) % width != 0
        assert (step[:, inside] == 0).all()
        assert ((step == 0) | (step == 1)).all()
        assert (nodes[:, -1] - nodes[:, 0]).max() == -(-nodes.shape[1] // width) - 1
    row = position[20].split(counts)[0]
    expected = len(grid) - 1 - 20 + torch.arange(counts[0]) // width
    assert torch.equal(row, expected.clamp(0, len(grid) - 1))


def test_staircase_refuses_to_spread_further_than_training():
    with pytest.raises(ValueError, match=r"molecule 1 with M = 12 nodes in windows of W = 1"):
        begin(StaircaseSchedule(window=1, interval=5), [11, 12])
    # the default window adapts to each molecule alone
    levels = walk(begin(StaircaseSchedule(interval=5), [11, 12]))
    assert torch.equal(levels[:, :11], walk(begin(StaircaseSchedule(interval=5), [11]))[:112])


def test_replay():
    levels = [[100, 90.5, 100], [50, 90.5, 3], [0, 0, 0]]
    assert walk(begin(ReplaySchedule(levels), [2, 1])).tolist() == levels
    for bad, message in [
        ([[100, 100]] * 2, r"shape \(steps \+ 1, 3 nodes\), not \(2, 2\)"),
        ([[101, 1, 1], [0, 0, 0]], r"lie in \[0, 100\]: node 0 has 101 in row 0"),
        ([[float("nan"), 1, 1], [0, 0, 0]], r"lie in \[0, 100\]: node 0 has nan in row 0"),
        ([[9, 5, 1], [8, 6, 1], [0, 0, 0]], "not increase: node 1 has 6 in row 1"),
        ([[9, 5, 1], [8, 4, 1]], "end at 0: node 0 has 8 in row 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            begin(ReplaySchedule(bad), [2, 1])


def test_grid():
    assert torch.equal(level_grid(1000), torch.arange(1001.0, dtype=torch.float64))
    assert level_grid(1000, 3).tolist() == [0, 333, 667, 1000]
    for steps in range(1, 101):
        assert (level_grid(100, steps).diff() > 0).all()
    assert grid_interval(29, level_grid(1000)) == 29
    assert grid_interval(29, level_grid(1000, 100)) == 3
    assert grid_interval(29, level_grid(1000, 10)) == 1
    assert grid_interval(0, level_grid(1000, 10)) == 0
    with pytest.raises(ValueError, match="increasing"):
        level_grid(10, [0, 3, 3, 10])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveSchedule(sync_fraction=1.2), "sync_fraction must lie between 0 and 1"),
        (lambda: AdaptiveSchedule(window=1), "window must be at least 2"),
        (lambda: AdaptiveSchedule(interval=-1), "interval must not be negative"),
        (lambda: AdaptiveSchedule(velocity="eps"), "velocity must be one of latent, x0hat"),
        (lambda: SettledFirstSchedule(velocity="eps"), "velocity must be one of latent, x0hat"),
        (lambda: SettledFirstSchedule(window=0), "window must be at least 1"),
        (lambda: SettledFirstSchedule(interval=-1), "interval must not be negative"),
        (lambda: RandomCoinSchedule(probability=2), "probability must lie between 0 and 1"),
        (lambda: StaircaseSchedule(window=0), "window must be at least 1"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()

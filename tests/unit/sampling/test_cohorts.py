"""Cohorts side by side: the same molecules as alone, from a batch that finished ones leave."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from sampling_toys import make_process, pair_denoiser

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import (
    AdaptiveSchedule,
    Cohort,
    MoleculeNoise,
    RandomCoinSchedule,
    ReplaySchedule,
    SettledFirstSchedule,
    StaircaseSchedule,
    run_cohorts,
    sample,
)

COUNTS = [6, 3, 9, 4, 6, 1, 7, 3, 6, 9, 2, 5, 6]
PROCESS = make_process(24)
# wide enough that molecules finish at different times
COIN = RandomCoinSchedule(sync_fraction=0.2, interval=15)
RUNS = [
    (AdaptiveSchedule(sync_fraction=0.2, interval=15), "ancestral", "repaint"),
    (AdaptiveSchedule(0.2, interval=15, velocity="x0hat", window=3), "dpm++2m", "literal"),
    (SettledFirstSchedule(0.2, interval=15, velocity="environment"), "ancestral", "renoise"),
    (COIN, "dpm++2m", "repaint"),
    (COIN, "heun", "renoise"),
    (StaircaseSchedule(window=1, interval=5), "ancestral", "literal"),
]


def context_of(indices):
    return torch.tensor([[0.1 * i, 1.0 - 0.3 * i] for i in indices])


def cohort_of(indices, schedule, with_context=True, **options):
    counts = [COUNTS[i] for i in indices]
    noise = MoleculeNoise(0, indices, counts)
    context = context_of(indices) if with_context else None
    layout = AtomLayout.from_counts(counts)
    return Cohort(PROCESS, layout, 2, noise, schedule, context=context, **options)


class Job:
    """Molecules of COUNTS that enter as long as at most ``capacity`` are in the batch."""

    def __init__(self, capacity, schedule, **options):
        self.capacity, self.schedule, self.options = capacity, schedule, options
        self.entered, self.calls = [], []

    def enter(self, counts):
        first = sum(map(len, self.entered))
        indices = list(range(first, min(first + self.capacity - len(counts), len(COUNTS))))
        if not indices:
            return None
        self.entered.append(indices)
        return cohort_of(indices, self.schedule, **self.options)

    def denoiser(self, seen):
        self.calls.append(seen.layout)
        return pair_denoiser(seen)

    def run(self, **options):
        return list(run_cohorts(PROCESS, self.denoiser, self.enter, **options))


@cache
def alone(index, schedule, stepper="ancestral", rule="literal"):
    count, context = COUNTS[index], context_of([index])
    return sample(
        PROCESS, pair_denoiser, AtomLayout.from_counts([count]), 2, schedule, stepper, rule,
        MoleculeNoise(0, [index], [count]), context=context, record_levels=True,
    )  # fmt: skip


@pytest.mark.parametrize("refill_at", [0.01, 0.25, 1.0])
@pytest.mark.parametrize(("schedule", "stepper", "rule"), RUNS)
def test_a_molecule_does_not_depend_on_who_enters_and_leaves(schedule, stepper, rule, refill_at):
    job = Job(5, schedule, stepper=stepper, repeat_rule=rule, record_levels=True)
    cohorts = job.run(refill_at=refill_at)
    for indices, cohort in zip(job.entered, cohorts, strict=True):
        counts = [COUNTS[i] for i in indices]
        states = cohort.decode().split(counts)
        levels = cohort.visited_levels().split(counts, dim=1)
        for k, index in enumerate(indices):
            expected = alone(index, schedule, stepper, rule)
            assert torch.equal(states[k], expected.states)
            assert int(cohort.n_evaluations[k]) == expected.n_evaluations
            assert torch.equal(levels[k][: int(cohort.n_steps[k])], expected.levels)
    assert sum(job.entered, []) == list(range(len(COUNTS)))
    assert max(layout.n_molecules for layout in job.calls) <= 5


@pytest.mark.parametrize("refill_at", [0.01, 0.25, 0.5])
def test_finished_molecules_leave(refill_at):
    job = Job(6, COIN)
    cohorts = job.run(refill_at=refill_at)
    needed = sum(int((c.n_evaluations * c.layout.counts.square()).sum()) for c in cohorts)
    computed = sum(int(layout.counts.square().sum()) for layout in job.calls)
    assert needed <= computed <= needed / (1 - refill_at)
    # others entered before the first six were all finished
    assert len(job.entered[1]) < 6


def test_molecules_of_equal_size_stand_side_by_side():
    job = Job(6, COIN)
    job.run()
    mixed = [layout for layout in job.calls if layout is not job.calls[0]]
    assert len(mixed) > 10
    for layout in mixed:
        assert (layout.counts.diff() >= 0).all()


def test_cohorts_come_out_in_the_order_they_entered():
    calls = []

    def replay(name, indices, columns):
        rows = torch.cat(
            [
                torch.tensor(c)[:, None].expand(-1, COUNTS[i])
                for i, c in zip(indices, columns, strict=True)
            ],
            1,
        )
        return cohort_of(indices, ReplaySchedule(rows), callback=lambda step: calls.append(name))

    # one of two molecules is finished soon, and what takes its place is finished before the other
    long = replay("long", [0, 4], [[24.0, 20.0, 16.0, 12.0, 8.0, 0.0], [24.0, *[0.0] * 5]])
    short = replay("short", [1], [[24.0, 0.0]])
    waiting = iter([long, short])
    out = list(run_cohorts(PROCESS, pair_denoiser, lambda counts: next(waiting, None)))
    assert calls == ["long"] * 2 + ["long", "short"] * 2 + ["long"] * 2
    assert out[0] is long and out[1] is short and len(out) == 2


def test_evaluations_are_counted_for_each_molecule():
    counts = COUNTS[:6]
    result = sample(
        PROCESS, pair_denoiser, AtomLayout.from_counts(counts), 2, COIN,
        noise=MoleculeNoise(0, range(6), counts), record_levels=True,
    )  # fmt: skip
    running = [int((trace > 0).any(1).sum()) for trace in result.levels.split(counts, dim=1)]
    assert result.molecule_evaluations.tolist() == [n + 1 for n in running]
    assert len(set(running)) > 1
    assert result.n_evaluations == max(running) + 1 == len(result.levels)


def test_a_run_ends_when_all_molecules_are_finished():
    rows = [[24.0] * 2, [20.0] * 2, *[[0.0] * 2] * 5]
    layout, noise = AtomLayout.from_counts([2]), MoleculeNoise(0, [0], [2])
    result = sample(PROCESS, pair_denoiser, layout, 2, ReplaySchedule(rows), noise=noise)
    assert result.n_evaluations == 3


def test_context_reaches_the_molecules():
    schedule = COIN
    with_context = alone(3, schedule).states
    counts = [COUNTS[3]]
    without = sample(
        PROCESS, pair_denoiser, AtomLayout.from_counts(counts), 2, schedule,
        noise=MoleculeNoise(0, [3], counts),
    ).states  # fmt: skip
    assert not torch.equal(with_context, without)
    with pytest.raises(ValueError, match="context has 2 rows for 1 molecules"):
        sample(
            PROCESS, pair_denoiser, AtomLayout.from_counts(counts), 2, schedule,
            noise=MoleculeNoise(0, [3], counts), context=context_of([0, 1]),
        )  # fmt: skip


def test_nothing_to_do():
    assert list(run_cohorts(PROCESS, pair_denoiser, lambda counts: None)) == []

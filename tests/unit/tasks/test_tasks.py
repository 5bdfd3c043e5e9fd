"""Tasks: what is given, the levels that are trained for it, and where sampling starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling_toys import make_process, pair_denoiser

from deepchem_ead.diffusion import AtomLayout, channel, level_of, sample_levels
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.sampling import MoleculeNoise, sample
from deepchem_ead.tasks import TASKS, Edit, Known, TaskMixture, TrainingBatch, resolve_task
from deepchem_ead.training.noising import (
    evaluation_noise,
    keyed_generator,
    training_earlier,
    training_noise,
)

TOP = 1000


def config_of(**options):
    return EADConfig.load("qm9-small", **{"channel_levels": True, "seed": 3, **options})


def encoded_molecules(config, n=64):
    table, _ = load_sample()
    return AtomEncoding(config).encode(table.to_padded(29)[: 10 * n : 10])


def batch_of(n=400, seed=0, variable=True):
    config = config_of(variable_size=variable)
    encoded = encoded_molecules(config, n)
    generator = torch.Generator().manual_seed(seed)
    levels = sample_levels(encoded.layout, TOP, 29, encoded.is_dummy, generator=generator)
    return TrainingBatch(encoded.clean, levels, encoded.is_dummy, encoded.layout)


@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("name", list(TASKS))
def test_training_levels_are_in_range_and_repeatable(name, variable):
    task, batch = resolve_task(name), batch_of(60, variable=variable)
    first, again = (task.training_levels(batch, keyed_generator(1, 2)) for _ in range(2))
    assert torch.equal(first, again) and first.dtype == torch.int64
    assert first.shape == ((batch.layout.n_nodes, 2) if task.by_channel else batch.levels.shape)
    assert ((first >= 0) & (first <= TOP)).all()
    for each in (level_of(first, "positions"), level_of(first, "kinds")):
        assert ((each == batch.levels) | (each == 0)).all()  # given, or as Algorithm 1 says


def test_edit_keeps_any_number_of_atoms_and_no_dummies():
    batch, n = batch_of(), 400
    kept = Edit().kept(batch, torch.Generator().manual_seed(0))
    assert not (kept & batch.is_dummy).any()
    share = batch.layout.sum(kept.float()) / batch.layout.sum(batch.real.float())
    assert (share == 0).any() and (share == 1).any()  # empty and full included
    # Uniform, as the number is and as what is left is.
    assert abs(float(share.mean()) - 0.5) < 4 * (1 / 12 / n) ** 0.5
    assert abs(float((share < 0.25).float().mean()) - 0.25) < 0.08


def test_kept_parts_are_in_one_place_unless_scattered():
    batch = batch_of(200)
    x = channel(batch.clean, "positions")

    def spread(scattered):
        kept = Edit(scattered).kept(batch, torch.Generator().manual_seed(1))
        few = batch.layout.sum(kept.float())
        distances = [
            torch.pdist(x[kept & (batch.layout.index == m)]).mean()
            for m in torch.nonzero((few >= 2) & (few <= 5))[:, 0].tolist()
        ]
        return float(torch.stack(distances).mean())

    assert spread(0.0) < 0.75 * spread(1.0)


def test_tasks_have_the_shares_that_are_configured():
    mixture = TaskMixture.read("free=1,edit=2,conformer=1")
    assert mixture.shares == (0.25, 0.5, 0.25) and mixture.by_channel
    n = 4000
    counts = torch.bincount(mixture.draw(n, torch.Generator().manual_seed(0)), minlength=3)
    for count, share in zip(counts.tolist(), mixture.shares, strict=True):
        assert abs(count / n - share) < 4 * (share * (1 - share) / n) ** 0.5
    batch = batch_of(400)
    levels = mixture.training_levels(batch, torch.Generator().manual_seed(0))
    told = batch.layout.sum(((levels[:, 1] == 0) & (levels[:, 0] > 0)).float())
    conformers = float((told > batch.layout.counts / 2).float().mean())
    assert abs(conformers - 0.25) < 0.09


@pytest.mark.parametrize("tasks", ["edit", "free=0.5,edit=0.25,conformer=0.25"])
def test_draws_depend_on_seed_and_step_only(tasks):
    config = config_of(tasks=tasks)
    encoded = encoded_molecules(config)
    levels, eps, _ = training_noise(encoded, config, 7)
    for other in (training_noise(encoded, config, 7), training_noise(encoded, config, 8)):
        assert torch.equal(other[0], levels) == torch.equal(other[1], eps)
    # What is given, too, is drawn anew in each step.
    later = training_noise(encoded, config, 8)[0]
    assert ((later == 0) != (levels == 0)).float().mean() > 0.1
    elsewhere = config_of(tasks=tasks, seed=4)
    assert not torch.equal(training_noise(encoded, elsewhere, 7)[0], levels)
    # An evaluation: of a molecule by its row, whatever is beside it.
    rows = np.arange(100, 164)
    together = evaluation_noise(encoded, config, rows)[0].split(encoded.layout.counts.tolist())
    table, _ = load_sample()
    k = int(encoded.order[5])
    alone = AtomEncoding(config).encode(table.to_padded(29)[10 * k : 10 * k + 1])
    assert torch.equal(evaluation_noise(alone, config, rows[k : k + 1])[0], together[5])


def test_only_free_draws_what_was_drawn_before():
    """The same numbers as Algorithm 1 alone, to the last bit, and nothing else is drawn."""
    config = config_of(channel_levels=False)
    encoded = encoded_molecules(config)
    levels, eps, _ = training_noise(encoded, config, 7)
    generator = keyed_generator(config.seed, 7)
    expected = sample_levels(
        encoded.layout, config.timesteps, config.interval, encoded.is_dummy, config.p_sync,
        generator, config.level_power,
    )  # fmt: skip
    assert torch.equal(levels, expected)
    assert torch.equal(eps, torch.randn(eps.shape, generator=generator))
    batch = TrainingBatch(encoded.clean, levels, encoded.is_dummy, encoded.layout)
    assert TaskMixture.read("free").training_levels(batch, None) is levels


def test_known_rows_are_known_to_the_earlier_state():
    config = config_of(
        tasks="edit,conformer", self_conditioning=True, denoiser="attention", n_layers=1
    )
    encoded = encoded_molecules(config)
    levels, *_ = training_noise(encoded, config, 0)
    earlier = next(e for s in range(9) if (e := training_earlier(encoded, levels, config, s)))
    assert torch.equal(earlier.levels == 0, levels == 0)
    assert (earlier.levels >= levels).all() and (earlier.levels > levels).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "free,edti"}, "tasks: task must be one of .*did you mean 'edit'"),
        ({"tasks": "edit=0"}, "share of edit must be a positive number"),
        ({"tasks": "edit=half"}, "share of edit must be a positive number"),
        ({"tasks": "edit,edit=2"}, "edit is given twice"),
        ({"tasks": "conformer", "channel_levels": False}, "set channel_levels=True"),
    ],
)
def test_clear_errors(options, message):
    with pytest.raises(ValueError, match=message):
        config_of(**options)


# ---------------------------------------------------------------------- sampling

COUNTS = [6, 4, 5]
LAYOUT = AtomLayout.from_counts(COUNTS)
CLEAN = torch.randn(15, 5, generator=torch.Generator().manual_seed(0)) + torch.tensor(
    [100.0, -200, 50, 0, 0]
)
GIVEN = torch.tensor([1, 1, 1, 0, 0, 0, *[0] * 4, *[1] * 5], dtype=torch.bool)


def run(start, **options):
    return sample(
        make_process(20), pair_denoiser, LAYOUT, 2, noise=MoleculeNoise(0, range(3), COUNTS),
        start=start, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "stepper"),
    [("synchronous", "heun"), ("adaptive", "churn"), ("random-coin", "dpm++2s"),
     ("staircase", "rtk"), ("settled-first", "ancestral")],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1])
def test_what_an_edit_keeps_returns_to_the_last_bit(schedule, stepper, seed):
    result = sample(
        make_process(20), pair_denoiser, LAYOUT, 2, schedule, stepper,
        noise=MoleculeNoise(seed, range(3), COUNTS),
        start=Edit().start(Known(CLEAN, GIVEN), LAYOUT),
    )  # fmt: skip
    assert torch.equal(result.states[GIVEN], CLEAN[GIVEN])
    assert result.states.isfinite().all()


def test_free_starts_as_without_a_start():
    start = resolve_task("free").start(Known(torch.full((15, 5), torch.nan), GIVEN), LAYOUT)
    assert torch.equal(run(start).states, run(None).states)


def test_conformers_have_the_given_kinds():
    start = resolve_task("conformer").start(Known(CLEAN, torch.ones(15, dtype=torch.bool)), LAYOUT)
    states = run(start).states
    assert torch.equal(channel(states, "kinds"), channel(CLEAN, "kinds"))
    assert (channel(states, "positions") != channel(CLEAN, "positions")).all()
    assert LAYOUT.mean(channel(states, "positions")).abs().max() < 1e-5  # none is known: centred


def test_variations_start_at_their_level_with_the_molecule():
    told = []
    start = resolve_task("variation:level=9").start(
        Known(CLEAN, torch.ones(15, dtype=torch.bool)), LAYOUT
    )
    result = run(start, callback=told.append, record_levels=True)
    assert (result.levels[0] == 9).all() and result.n_evaluations == 10  # 9 .. 0
    tau = float(make_process(20).schedule.tau[9])
    noise = MoleculeNoise(0, range(3), COUNTS).normal(5)
    expected = CLEAN + tau * noise
    first = told[0]["w"]
    assert torch.equal(channel(first, "kinds"), channel(expected, "kinds"))
    torch.testing.assert_close(
        channel(first, "positions"), LAYOUT.center(channel(expected, "positions")),
        rtol=0, atol=1e-4,
    )  # fmt: skip
    fewer = run(start, steps=10)
    assert fewer.n_evaluations == 6  # 9, 8, 6, 4, 2, 0


def test_levels_of_a_start_are_told_in_clear_errors():
    for levels in (torch.tensor([3.0, 4] + [20] * 13), torch.full((15,), 21.0)):
        with pytest.raises(ValueError, match="levels of a start are"):
            run(resolve_task("free").start(Known(CLEAN, GIVEN), LAYOUT)._replace(levels=levels))
    with pytest.raises(ValueError, match="level of a variation must be positive"):
        resolve_task("variation:level=0")

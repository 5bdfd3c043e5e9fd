"""Generation: one seed one result, sizes, schedules by name, and what is reported back."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.diffusion import AtomLayout, PositionNoise, PositionResidual, sample_levels
from deepchem_ead.generation import job as generation
from deepchem_ead.generation.job import GenerationSettings
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.sizes import node_counts
from deepchem_ead.models import EADConfig
from deepchem_ead.sampling import (
    AdaptiveSchedule,
    EtaStepper,
    RandomCoinSchedule,
    ReplaySchedule,
    StaircaseSchedule,
    SynchronousSchedule,
)

SMALL = {"n_layers": 2, "n_features": 32, "batch_size": 16, "preset": "qm9-small"}


@pytest.fixture(scope="module")
def model(qm9_sample, tmp_path_factory):
    """A network that has seen a few steps: its molecules are rubbish, but not trivial."""
    model = EADModel(**SMALL, model_dir=str(tmp_path_factory.mktemp("model")))
    model.fit(qm9_sample.select(range(64)), nb_epoch=10, checkpoint_interval=0)
    return model


@pytest.fixture(scope="module")
def variable_model(qm9_sample, tmp_path_factory):
    model = EADModel(
        **SMALL, variable_size=True, model_dir=str(tmp_path_factory.mktemp("variable"))
    )
    model.fit(qm9_sample.select(range(64)), nb_epoch=10, checkpoint_interval=0)
    return model


def assert_same_molecules(one, other):
    assert len(one) == len(other)
    assert np.array_equal(one.offsets, other.offsets)
    assert np.array_equal(one.atomic_numbers, other.atomic_numbers)
    assert np.array_equal(one.coordinates, other.coordinates)


@pytest.mark.parametrize("schedule", ["adaptive", "synchronous", "random-coin"])
def test_molecules_do_not_depend_on_the_batch_size(model, schedule):
    options = dict(schedule=schedule, seed=7, steps=40, progress=False)
    together = model.generate(7, batch_size=7, **options)
    for batch_size in (1, 3):
        assert_same_molecules(together, model.generate(7, batch_size=batch_size, **options))


#: Molecules of it finish at different times, so that others enter a batch that goes on.
RAGGED = RandomCoinSchedule(probability=0.8, sync_fraction=0.1, interval=300)


def test_molecules_do_not_depend_on_who_enters_the_batch_when(model):
    options = dict(schedule=RAGGED, seed=7, steps=20, progress=False, record_levels=True)
    together = model.generate(14, batch_size=14, **options)
    seen = []
    refilled = model.generate(14, batch_size=6, **options, callback=seen.append)
    assert_same_molecules(together, refilled)
    for one, other in zip(together.info["levels"], refilled.info["levels"], strict=True):
        assert np.array_equal(one, other)
    assert together.info["evaluations"] == refilled.info["evaluations"]
    assert [len(trace) for trace in together.info["levels"]] == together.info["evaluations"]
    # groups took turns: a later one began before an earlier one had ended
    first = [tuple(sorted(step["molecules"])) for step in seen]
    assert any(a > b for a, b in zip(first[:-1], first[1:], strict=True))
    assert sum(set(first), ()) and sorted(sum(set(first), ())) == list(range(14))
    for step in seen:
        assert step["layout"].counts.tolist() == together.counts[step["molecules"]].tolist()


def evaluated_layouts(model, monkeypatch):
    """All layouts the denoiser is called with from now on."""
    layouts, forward = [], model.model.sampling_denoiser.forward

    def noted(seen):
        layouts.append(seen.layout)
        return forward(seen)

    monkeypatch.setattr(model.model.sampling_denoiser, "forward", noted)
    return layouts


def test_batches_are_bounded_and_stay_full(model, monkeypatch):
    budget, sizes = 500, [9, 25, 4, 7, 12, 29, 3, 8, 8, 20, 5, 11]
    monkeypatch.setattr(generation, "PAIRS_PER_BATCH", budget)
    layouts = evaluated_layouts(model, monkeypatch)
    molecules = model.generate(
        len(sizes), n_atoms=sizes, steps=12, schedule=RAGGED, seed=0, progress=False
    )
    assert molecules.counts.tolist() == sizes
    pairs = [int(layout.counts.square().sum()) for layout in layouts]
    # 25 and 29 atoms are too many for any batch and are computed alone
    for layout, n_pairs in zip(layouts, pairs, strict=True):
        assert n_pairs <= budget or layout.n_molecules == 1
        assert (layout.counts.diff() >= 0).all()
    evaluations = np.array(molecules.info["evaluations"])
    needed = int((evaluations * np.square(sizes)).sum())
    assert needed <= sum(pairs) <= needed / 0.75


def test_parts_come_in_order_while_others_wait(model):
    options = SamplingOptions(RAGGED, steps=12, seed=4, batch_size=3)
    settings = generation.GenerationSettings.resolve(model.config, options)
    seen = []
    parts = generation.generate_batches(
        model, 11, settings, progress=False, callback=lambda step: seen.extend(step["molecules"])
    )
    first = next(parts)
    assert max(seen) < 10
    rest = list(parts)
    whole = model.generate(11, RAGGED, steps=12, seed=4, progress=False)
    together = MoleculeBatch.concatenate([part.molecules for part in (first, *rest)])
    assert_same_molecules(together, whole)


def test_progress_counts_molecules(model, monkeypatch):
    class Bar(contextlib.nullcontext):
        updates = []

        def __init__(self, total, **options):
            assert total == 7
            super().__init__(self)

        def update(self, n):
            self.updates.append(n)

    monkeypatch.setattr(generation, "tqdm", Bar)
    model.generate(7, RAGGED, steps=12, seed=4, batch_size=3)
    assert min(Bar.updates) >= 0 and len(Bar.updates) > 12
    assert sum(Bar.updates) == pytest.approx(7)


def test_the_first_molecules_of_a_longer_job_are_the_same(model):
    options = dict(seed=3, steps=20, progress=False)
    assert_same_molecules(model.generate(2, **options), model.generate(5, **options)[:2])


def test_random_padding_draws_nodes_as_in_training(qm9_sample, tmp_path):
    model = EADModel(
        **SMALL, variable_size=True, dummy_padding="random", p_fixed_size=0.5,
        model_dir=str(tmp_path),
    )  # fmt: skip
    model.fit(qm9_sample.select(range(64)), nb_epoch=1, checkpoint_interval=0)
    indices = np.arange(4000)
    drawn, _ = node_counts(model, None, np.empty((4000, 0)), indices, 0)
    expected = np.zeros(30)
    limited = np.zeros(30)
    for size, n in enumerate(model.model.size_counts.tolist()):
        expected[size:] += n / 64 / (30 - size)
        limited[size : size + 3] += n / 64 / min(3, 30 - size)
    share = np.bincount(drawn, minlength=30) / len(indices)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(indices))
    few = SimpleNamespace(config=replace(model.config, max_dummies=2), model=model.model)
    share = np.bincount(node_counts(few, None, np.empty((4000, 0)), indices, 0)[0]) / 4000
    assert np.abs(share - limited[: len(share)]).max() < 4 * np.sqrt(0.25 / len(indices))

    never = SimpleNamespace(config=replace(model.config, p_fixed_size=1.0), model=model.model)
    sizes, all_atoms = node_counts(never, None, np.empty((4000, 0)), indices, 0)
    assert all_atoms and set(sizes) <= set(model.model.size_counts.nonzero()[:, 0].tolist())
    with pytest.raises(ValueError, match="needs a model that knows dummy atoms"):
        node_counts(never, "free", np.empty((4000, 0)), indices, 0)

    flags = []
    hook = model.model.sampling_denoiser.register_forward_pre_hook(
        lambda module, inputs: flags.append(inputs[0].h[:, -1].unique().tolist())
    )
    model.generate(3, steps=2, seed=0, progress=False)
    model.generate(3, n_atoms=6, steps=2, seed=0, progress=False)
    hook.remove()
    assert flags[0] == [0.0] and flags[-1] == [1.0]


def test_seeds_differ_and_are_reported(model):
    one, other = (model.generate(2, steps=5, seed=s, progress=False) for s in (0, 1))
    assert not np.array_equal(one.coordinates[:3], other.coordinates[:3])
    drawn = model.generate(2, steps=5, progress=False)
    again = model.generate(2, steps=5, seed=drawn.info["seed"], progress=False)
    assert_same_molecules(drawn, again)


@pytest.mark.parametrize(
    "schedule, evaluations",
    [
        ("synchronous", 51),
        (AdaptiveSchedule(sync_fraction=1.0), 51),
        # 50 steps of the grid, 2 C = 2 * round(29 * 50 / 1000) more, and the decoding
        ("adaptive", 50 + 2 * 1 + 1),
        (AdaptiveSchedule(interval=100), 50 + 2 * 5 + 1),
    ],
)
def test_network_evaluations_are_counted(model, schedule, evaluations):
    calls = 0

    def count(module, args, output):
        nonlocal calls
        calls += 1

    hook = model.model.sampling_denoiser.register_forward_hook(count)
    molecules = model.generate(4, schedule=schedule, steps=50, seed=0, progress=False)
    hook.remove()
    assert molecules.info["n_evaluations"] == calls <= evaluations
    assert calls > 50


def test_levels_are_recorded_on_request(model):
    molecules = model.generate(
        3, steps=30, seed=0, batch_size=2, progress=False, record_levels=True
    )
    levels = molecules.info["levels"]
    assert [trace.shape[1] for trace in levels] == molecules.counts.tolist()
    for trace in levels:
        assert (trace[0] == 1000).all() and (trace[-1] == 0).all()
        assert (np.diff(trace, axis=0) <= 0).all()


def test_sizes_follow_the_training_histogram(model):
    counts = model.model.size_counts.numpy()
    molecules = model.generate(300, steps=1, schedule="synchronous", seed=0, progress=False)
    assert set(molecules.counts.tolist()) <= set(np.flatnonzero(counts).tolist())
    expected = (counts * np.arange(len(counts))).sum() / counts.sum()
    assert abs(molecules.counts.mean() - expected) < 0.5


def test_sizes_can_be_asked_for(model, variable_model):
    for m in (model, variable_model):
        assert m.generate(3, n_atoms=[5, 29, 1], steps=3, progress=False).counts.tolist() == [
            5,
            29,
            1,
        ]
        assert m.generate(2, n_atoms=4, steps=3, progress=False).counts.tolist() == [4, 4]


def test_sizes_never_seen_in_training_are_made_with_a_warning(model, variable_model, caplog):
    for m in (model, variable_model):
        caplog.clear()
        assert m.config.max_atoms == 29
        options = dict(steps=3, seed=0, progress=False)
        assert m.generate(2, n_atoms=[29, 29], **options).counts.tolist() == [29, 29]
        assert not caplog.records
        larger = m.generate(3, n_atoms=[4, 30, 41], **options)
        assert larger.counts.tolist() == [4, 30, 41]
        assert np.isfinite(larger.coordinates).all()
        (record,) = caplog.records
        told = "a molecule of 41 atoms: the model was trained on molecules of up to 29"
        assert told in record.getMessage()
        # the warning changes nothing about the sizes it does not concern
        assert_same_molecules(larger[:1], m.generate(1, n_atoms=4, **options))


def test_dummy_atoms_make_sizes_variable(variable_model):
    molecules = variable_model.generate(6, steps=40, seed=0, progress=False)
    assert molecules.counts.max() <= 29
    assert len(set(molecules.counts.tolist())) > 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(n=-1), "n must not be negative"),
        (dict(n=2, n_atoms=[30, 0]), "n_atoms must be at least 1, not 0"),
        (dict(n=2, n_atoms=[3, 4, 5]), "3 entries for 2 molecules"),
        (dict(n=2, steps=0), "steps must lie between 1 and 1000"),
        (dict(n=2, steps=1001), "steps must lie between 1 and 1000"),
        (dict(n=2, batch_size=0), "batch_size must be at least 1"),
        (dict(n=2, seed=-1), "seed must not be negative"),
        (dict(n=2, schedule="adaptif"), "schedule must be one of .*adaptive"),
        (dict(n=2, stepper="euler"), "stepper must be one of"),
        (dict(n=2, repeat_rule="again"), "repeat_rule must be one of .*repaint"),
        (dict(n=2, noise_scale=-0.1), "noise_scale must not be negative, not -0.1"),
        (dict(n=2, noise_scale=0.5, stepper="dpm++2m"), "adds none; use stepper='ancestral'"),
    ],
)
def test_wrong_arguments_are_explained(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.generate(progress=False, **arguments)


@pytest.mark.parametrize(
    ("preset", "changes", "steps"),
    [
        ("qm9-small", {}, 100), (None, {}, 100), ("paper-qm9", {}, 1000), ("paper-geom", {}, 1000),
        ("qm9", {"sampling_steps": 250}, 250), ("qm9-small", {"timesteps": 60}, 60),
    ],
)  # fmt: skip
def test_new_models_take_a_hundred_steps(preset, changes, steps):
    config = EADConfig.load(preset, **changes)
    assert GenerationSettings.resolve(config).steps == steps


def test_trained_models_keep_the_steps_they_had(model, tmp_path):
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["sampling_steps"]  # written before there was one
    path.write_text(json.dumps(record))
    for old in (EADModel.from_pretrained(tmp_path), EADModel(initial_weights=tmp_path)):
        assert GenerationSettings.resolve(old.config).steps == old.config.timesteps > 100
    assert EADModel.from_pretrained("qm9").config.sampling_steps == 93


def test_the_noise_scale_is_the_configurations_unless_it_is_given(model, tmp_path):
    options = dict(n=2, n_atoms=6, steps=10, seed=0, progress=False)
    plain, low = model.generate(**options), model.generate(noise_scale=0.5, **options)
    assert not np.array_equal(plain.coordinates, low.coordinates)
    assert "noise_scale=0.5" in low.info["stepper"]
    model.save_pretrained(tmp_path)
    cold = EADModel.from_pretrained(tmp_path, noise_scale=0.5, sampling_steps=10)
    del options["steps"]
    assert np.array_equal(cold.generate(**options).coordinates, low.coordinates)
    warm = cold.generate(noise_scale=1.0, **options)
    assert np.array_equal(warm.coordinates, plain.coordinates)
    asked = cold.generate(stepper=EtaStepper(noise_scale=0.25), **options)
    assert "noise_scale=0.25" in asked.info["stepper"]
    cold.generate(stepper="dpm++2m", **options)  # adds no noise to scale


def test_schedule_and_repeat_rule_are_the_configurations_unless_they_are_given(model, tmp_path):
    options = dict(n=2, n_atoms=9, steps=40, seed=0, progress=False)
    coin = model.generate(schedule="random-coin", repeat_rule="renoise", **options)
    adaptive = model.generate(**options)
    assert adaptive.info["schedule"] == "adaptive"
    model.save_pretrained(tmp_path)
    changes = {"sampling_schedule": "random-coin", "repeat_rule": "renoise"}
    other = EADModel.from_pretrained(tmp_path, **changes)
    found = other.generate(**options)
    assert found.info["schedule"] == "random-coin" and found.info["repeat_rule"] == "renoise"
    assert np.array_equal(found.coordinates, coin.coordinates)
    back = other.generate(schedule="adaptive", repeat_rule=model.config.repeat_rule, **options)
    assert np.array_equal(back.coordinates, adaptive.coordinates)
    for name in changes:
        with pytest.raises(ValueError, match=name):
            EADModel("qm9-small", **{name: "adaptif"})


def test_no_molecules_are_an_empty_batch(model):
    molecules = model.generate(0, progress=False)
    assert len(molecules) == 0 and molecules.smiles == []


def test_an_untrained_model_needs_sizes(tmp_path):
    model = EADModel(**SMALL, model_dir=str(tmp_path))
    with pytest.raises(ValueError, match="fit it first or pass n_atoms"):
        model.generate(1)
    assert len(model.generate(1, n_atoms=3, steps=2, progress=False)) == 1


def test_callback_sees_every_step(model):
    steps = []
    model.generate(2, steps=10, schedule="synchronous", progress=False, callback=steps.append)
    assert [s["step"] for s in steps] == list(range(11))
    assert steps[0]["w"].shape == steps[0]["x_hat"].shape


@pytest.mark.parametrize("stepper", ["ancestral", "ddim", "dpm++2m", "heun"])
@pytest.mark.parametrize("rule", ["literal", "repaint", "hold", "langevin", "renoise"])
def test_every_stepper_works_with_every_repeat_rule(model, stepper, rule):
    molecules = model.generate(
        2, steps=25, stepper=stepper, repeat_rule=rule, seed=1, progress=False
    )
    assert np.isfinite(molecules.coordinates).all()


def test_schedule_objects_are_accepted(model):
    levels = torch.linspace(1000, 0, 11, dtype=torch.float64)[:, None].expand(11, 12)
    replay = model.generate(2, schedule=ReplaySchedule(levels), n_atoms=6, seed=0, progress=False)
    sync = model.generate(
        2, schedule=SynchronousSchedule(), n_atoms=6, steps=10, seed=0, progress=False
    )
    np.testing.assert_allclose(replay.coordinates, sync.coordinates, atol=1e-4)
    staircase = model.generate(
        2, schedule=StaircaseSchedule(window=3), n_atoms=9, steps=20, seed=0, progress=False
    )
    assert np.isfinite(staircase.coordinates).all()


def test_training_mode_survives_generation(model):
    model.model.train()
    model.generate(1, steps=2, progress=False)
    assert model.model.training


@pytest.mark.parametrize("positions", [PositionNoise(), PositionResidual(1.5)])
def test_the_whole_model_is_equivariant_at_mixed_levels(model, qm9_sample, positions):
    """A2 for the process around the network: rotations, reflections, shifts (spec T)."""
    encoded = model.encoding.encode(qm9_sample.X[:6])
    layout: AtomLayout = encoded.layout
    generator = torch.Generator().manual_seed(0)
    levels = sample_levels(layout, 1000, 29, generator=generator)
    network = model.model.sampling_denoiser.double()
    try:
        process = replace(model.model.process, positions=positions)
        w = process.add_noise(
            encoded.clean.double(), levels,
            torch.randn(encoded.clean.shape, generator=generator, dtype=torch.float64),
        )  # fmt: skip
        clean = process.predict_clean(network, w, levels, layout)
        Q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
        shift = layout.expand(torch.randn(layout.n_molecules, 3, dtype=torch.float64))
        moved = torch.cat([w[:, :3] @ Q.T + shift, w[:, 3:]], 1)
        moved_clean = process.predict_clean(network, moved, levels, layout)
        expected = torch.cat([clean[:, :3] @ Q.T + shift, clean[:, 3:]], 1)
        torch.testing.assert_close(moved_clean, expected, rtol=1e-9, atol=1e-9)
    finally:
        network.float()


def test_denoising_loss_does_not_depend_on_the_batch_size(model, qm9_sample):
    data = qm9_sample.select(range(20))
    losses = model.predict(data)
    assert losses.shape == (20, 1)
    size, model.batch_size = model.batch_size, 3
    try:
        assert np.array_equal(losses, model.predict(data))
    finally:
        model.batch_size = size


def test_evaluate_speaks_of_loss_and_molecules_alike(model, qm9_sample):
    import deepchem as dc

    from deepchem_ead import GenerativeMetric

    data = qm9_sample.select(range(30))
    scores = model.evaluate(
        data,
        ["denoising_loss", "validity", GenerativeMetric("novelty", name="new")],
        n_samples=4,
        steps=10,
    )
    assert list(scores) == ["denoising_loss", "validity", "new"]
    assert scores["denoising_loss"] == pytest.approx(model.predict(data).mean())
    assert 0 <= scores["validity"] <= 1
    with pytest.raises(ValueError, match="compares labels with predictions"):
        model.evaluate(data, dc.metrics.Metric(dc.metrics.mae_score))


def test_the_seed_decides_the_noise_of_training_and_evaluation(model, qm9_sample):
    from dataclasses import replace

    from deepchem_ead.training.noising import evaluation_noise, training_noise

    encoded = model.encoding.encode(qm9_sample.X[:3])
    other = replace(model.config, seed=model.config.seed + 1)
    rows = np.arange(3)
    for draw, key, another in ((training_noise, 5, 6), (evaluation_noise, rows, rows + 1)):
        levels, eps, _ = draw(encoded, model.config, key)
        assert torch.equal(eps, draw(encoded, model.config, key)[1])
        assert not torch.equal(eps, draw(encoded, model.config, another)[1])
        assert not torch.equal(eps, draw(encoded, other, key)[1])
        assert not torch.equal(levels, draw(encoded, other, key)[0])


def test_a_model_that_finds_the_size_keeps_full_noise(variable_model, tmp_path):
    """With less noise nearly all atoms become the most probable type, dummies."""
    variable_model.save_pretrained(tmp_path)
    cold = EADModel.from_pretrained(tmp_path, noise_scale=0.5)
    options = dict(n=1, steps=3, seed=0, progress=False)
    assert "noise_scale=1.0" in cold.generate(**options).info["stepper"]
    assert "noise_scale=0.5" in cold.generate(n_atoms=5, **options).info["stepper"]
    assert "noise_scale=0.5" in cold.generate(noise_scale=0.5, **options).info["stepper"]


def test_a_model_that_finds_the_size_does_not_amplify_noise_unasked(variable_model, tmp_path):
    variable_model.save_pretrained(tmp_path)
    churned = EADModel.from_pretrained(tmp_path, stepper="churn:gamma=0.5")
    options = dict(n=1, steps=3, seed=0, progress=False)
    found = churned.generate(**options)
    assert "ChurnStepper(gamma=0.0" in found.info["stepper"]
    plain = churned.generate(stepper="ancestral", **options)
    np.testing.assert_array_equal(found.positions, plain.positions)
    assert "gamma=0.5" in churned.generate(n_atoms=5, **options).info["stepper"]
    assert "gamma=0.4" in churned.generate(stepper="churn", **options).info["stepper"]

"""What a denoiser is told besides the state: its previous estimate, and sums over the molecule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attention_data import attention
from denoiser_data import N_IN
from sampling_toys import (
    RecordedNoise,
    assert_sampling_is_equivariant,
    make_process,
    pair_denoiser,
    pairs,
    random_rotation,
    seeing,
)

from deepchem_ead import CheckpointError, EADModel
from deepchem_ead.diffusion import AtomLayout, EarlierState, Seen, TypeTarget, sample_levels
from deepchem_ead.diffusion.process import COUNT_SCALE
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.molnet import load_qm9_3d
from deepchem_ead.sampling import AutoGuidance, ClassifierFreeGuidance, sample
from deepchem_ead.training.noising import EARLIER_SHARE, training_earlier, training_noise
from deepchem_ead.training.resident import ResidentTrainer

LAYOUT = AtomLayout.from_counts([4, 3, 6])
TINY = {
    "preset": "qm9", "n_layers": 1, "n_features": 32, "n_heads": 2, "batch_size": 16,
    "warmup_steps": 0, "learning_rate_decay": "none", "learning_rate": 3e-3,
    "self_conditioning": True, "composition": False,
}  # fmt: skip


def distances(x, layout):
    receiver, sender = pairs(layout)
    return (x[receiver] - x[sender]).norm(dim=1)


@seeing
def listening(x, h, layout, reference=None):
    """`pair_denoiser` of 2 features and a level that heeds all it is told of an estimate."""
    reference = x if reference is None else reference
    features, level, previous = h[:, :2], h[:, 2:3], h[:, 3:]
    receiver, _ = pairs(layout)
    lengths = torch.zeros_like(x[:, :1])
    lengths.index_add_(0, receiver, distances(reference, layout).unsqueeze(1))
    told = 1 + 0.1 * previous.sum(1, keepdim=True).tanh() + 0.1 * lengths / (1 + lengths)
    dx, h_out = pair_denoiser(x, torch.cat([features * told, level], 1), layout)
    return dx * told, h_out


def state(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    w, previous = torch.randn(2, 13, 5, generator=generator, dtype=torch.float64)
    return w, sample_levels(LAYOUT, 100, 10, generator=generator), previous


PROCESS = make_process(100, self_conditioning=True)


# ---------------------------------------------------------------------------- process


def test_the_denoiser_sees_features_a_flag_and_a_reference_like_its_input():
    w, levels, previous = state()
    previous[4:7] = torch.nan  # the second molecule has no estimate
    seen = {}

    @seeing
    def record(x, h, layout, reference=None):
        seen.update(x=x, h=h, reference=reference)
        return pair_denoiser(x, h, layout)

    PROCESS.predict_noise(record, w, levels, LAYOUT, None, previous)
    has = torch.ones(13, 1, dtype=torch.float64)
    has[4:7] = 0
    assert torch.equal(seen["h"][:, 5:], has)
    assert torch.equal(seen["h"][:, 3:5], torch.where(has > 0, previous[:, 3:], 0.0))
    alpha = PROCESS.schedule.alpha_at(levels)
    scaled = PROCESS.frame.estimate_input(previous[:, :3], alpha, LAYOUT)
    torch.testing.assert_close(seen["reference"], torch.where(has > 0, scaled, seen["x"]))
    PROCESS.predict_noise(record, w, levels, LAYOUT)
    assert seen["reference"] is None and not seen["h"][:, 3:].any()


def test_every_molecule_is_told_its_own_estimate_or_none():
    w, levels, previous = state()
    told = PROCESS.predict_noise(listening, w, levels, LAYOUT, None, previous)
    alone = PROCESS.predict_noise(listening, w, levels, LAYOUT)
    mixed = previous.clone()
    mixed[4:7] = torch.nan
    found = PROCESS.predict_noise(listening, w, levels, LAYOUT, None, mixed)
    assert torch.equal(found[4:7], alone[4:7])
    assert torch.equal(found[:4], told[:4]) and torch.equal(found[7:], told[7:])
    assert not torch.isclose(told, alone).all(1).any()


def test_training_tells_the_estimate_from_the_noisier_state():
    clean, levels, _ = state(1)
    generator = torch.Generator().manual_seed(2)
    eps, more = torch.randn(2, 13, 5, generator=generator, dtype=torch.float64)
    later = (levels + 3).clamp_max(100)
    told = torch.tensor([True, False, True])
    calls = []

    @seeing
    def record(x, h, layout, reference=None):
        calls.append(torch.is_grad_enabled())
        return listening(x, h, layout, reference)

    earlier = EarlierState(later, more, told)
    loss = PROCESS.loss(record, clean, levels, eps, LAYOUT, earlier=earlier)
    assert calls == [False, True]

    w = PROCESS.add_noise(clean, levels, eps)
    tau_s, tau_t = PROCESS.schedule.tau_at(levels), PROCESS.schedule.tau_at(later)
    noisier = w + (tau_t**2 - tau_s**2).sqrt().unsqueeze(1) * more
    # The variance of both is that of the later level.
    assert ((noisier - clean).var() / (tau_t**2).mean()).item() == pytest.approx(1, abs=0.6)
    previous = PROCESS.predict_clean(listening, noisier, later, LAYOUT)
    previous[4:7] = torch.nan
    predicted = PROCESS.predict_noise(listening, w, levels, LAYOUT, None, previous)
    target = torch.cat([PROCESS.frame.project(eps[:, :3], tau_s, LAYOUT), eps[:, 3:]], 1)
    expected = LAYOUT.sum((predicted - target).square().sum(1)) / (5 * LAYOUT.counts)
    torch.testing.assert_close(loss, expected)
    untold = PROCESS.loss(listening, clean, levels, eps, LAYOUT)
    assert torch.equal(loss[1], untold[1]) and loss[0] != untold[0]


def test_every_node_is_told_sums_over_its_molecule():
    table = torch.eye(2, dtype=torch.float64)
    process = make_process(
        100, self_conditioning=True, composition=True, features=TypeTarget(table)
    )
    w, levels, previous = state()
    previous[4:7] = torch.nan
    seen = {}

    @seeing
    def record(x, h, layout, reference=None):
        seen["h"] = h
        return x, h

    process.predict_noise(record, w, levels, LAYOUT, None, previous)
    tau = process.schedule.tau_at(levels).unsqueeze(1)
    kinds = process.features.evidence(w[:, 3:], tau)
    for nodes in (slice(0, 4), slice(4, 7), slice(7, 13)):
        counts = kinds[nodes].sum(0)
        assert counts.sum().item() == pytest.approx(nodes.stop - nodes.start)  # all its atoms
        told = seen["h"][nodes, -4:-2]
        torch.testing.assert_close(told, (COUNT_SCALE * counts).expand_as(told))
        estimated = seen["h"][nodes, -2:]
        expected = torch.zeros(2) if nodes.start == 4 else previous[nodes, 3:].sum(0)
        torch.testing.assert_close(estimated, expected.expand_as(estimated).double())


def test_guidance_passes_the_estimate_on():
    w, levels, previous = state()

    @seeing
    def one(x, h, layout, reference=None):  # with one column of context before the estimate
        return listening(x, torch.cat([h[:, :3], h[:, 3:4] + h[:, 4:]], 1), layout, reference)

    context = torch.tensor([[0.1, 0.7], [0.2, 0.8], [0.3, 0.9]], dtype=torch.float64)
    rows = context[:, :1], context[:, 1:]
    mine, theirs = (PROCESS.predict_noise(one, w, levels, LAYOUT, row, previous) for row in rows)
    for guided, arguments in (
        (ClassifierFreeGuidance(PROCESS, 0.5), (one,)),
        (AutoGuidance(PROCESS, PROCESS, one, 1, 0.5), (one,)),
    ):
        found = guided.predict_noise(*arguments, w, levels, LAYOUT, context, previous)
        torch.testing.assert_close(found, 1.5 * mine - 0.5 * theirs)


# ---------------------------------------------------------------------------- sampling


@pytest.mark.parametrize(
    ("schedule", "stepper"),
    [("synchronous", "ancestral"), ("adaptive", "ancestral"), ("adaptive", "heun")],
)
def test_each_evaluation_is_told_the_estimate_of_the_one_before(schedule, stepper):
    process = make_process(30, self_conditioning=True)
    references, features, estimates = [], [], []

    @seeing
    def record(x, h, layout, reference=None):
        reference = x if reference is None else reference
        scale = layout.expand(layout.min(process.schedule.alpha_at(levels_now[0])))
        references.append(distances(reference / scale.unsqueeze(1), layout))
        features.append(h[:, 3:])
        return listening(x, h, layout, reference)

    levels_now = [torch.full((13,), 30.0, dtype=torch.float64)]

    class Watched:
        """The process, with the levels of a call noted before and its estimate after it."""

        def __getattr__(self, name):
            return getattr(process, name)

        def estimate(self, denoiser, asked):
            levels_now[0] = asked.levels
            found = process.estimate(denoiser, asked)
            estimates.append(process.clean(asked, found.noise))
            return found

    sample(
        Watched(), record, LAYOUT, 2, schedule, stepper, noise=RecordedNoise(13), steps=30
    )  # fmt: skip
    assert not features[0].any()
    assert len(features) == len(estimates) > 30
    for k in range(1, len(features)):
        torch.testing.assert_close(features[k][:, :2], estimates[k - 1][:, 3:], rtol=0, atol=0)
        assert (features[k][:, 2] == 1).all()
        expected = distances(estimates[k - 1][:, :3], LAYOUT)
        error = (references[k] - expected).abs().max()
        assert error <= 1e-9 * estimates[k - 1].abs().max()


def test_sampling_is_equivariant():
    process = make_process(30, self_conditioning=True)
    assert_sampling_is_equivariant(process, listening, LAYOUT, 2)


# ---------------------------------------------------------------------------- denoiser


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_the_reference_takes_the_place_of_the_inputs_distances(backend):
    denoiser = attention(backend=backend)
    generator = torch.Generator().manual_seed(0)
    x, other = torch.randn(2, 13, 3, generator=generator)
    h = torch.rand(13, N_IN, generator=generator)
    with torch.no_grad():
        plain = denoiser(Seen(x, h, LAYOUT))
        assert all(map(torch.equal, plain, denoiser(Seen(x, h, LAYOUT, x))))
        told = denoiser(Seen(x, h, LAYOUT, other))
        turned = denoiser(Seen(x, h, LAYOUT, other @ random_rotation(1, reflect=True).float() + 3))
    assert not torch.allclose(told[0], plain[0], atol=1e-3)
    for one, same in zip(told, turned, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def data():
    return load_qm9_3d(source="sample", reload=False)[1][0].select(range(0, 640, 10))


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    model = EADModel(model_dir=str(tmp_path_factory.mktemp("model")), **TINY)
    model.fit(data, nb_epoch=5, checkpoint_interval=0)
    return model


def assert_molecules_do_not_depend_on_the_batch(model):
    options = dict(steps=12, seed=3, progress=False, schedule="adaptive")
    many = model.generate(7, **options)
    few = model.generate(7, batch_size=2, **options)
    assert np.array_equal(many.atomic_numbers, few.atomic_numbers)
    assert np.array_equal(many.coordinates, few.coordinates)


def test_half_of_the_steps_tell_an_estimate_from_a_little_further_up(data):
    config = EADConfig.load(**TINY)
    encoded = AtomEncoding(config).encode(data.X, list(map(str, data.ids)), None)
    levels, *_ = training_noise(encoded, config, 0)
    drawn = [training_earlier(encoded, levels, config, step) for step in range(400)]
    told = [earlier for earlier in drawn if earlier is not None]
    assert len(told) == pytest.approx(200, abs=4 * 10)
    ahead = torch.stack([earlier.levels - levels for earlier in told[:50]])
    assert ahead.min() == 0 and 30 < ahead.max() <= EARLIER_SHARE * config.timesteps
    assert (ahead == ahead.round()).all() and ahead.median() < 12
    assert (told[0].levels <= config.timesteps).all()
    # one number for a molecule, but for those at the last level
    below = (told[0].levels < config.timesteps).long()
    spread = encoded.layout.max(ahead[0] * below) - encoded.layout.max(ahead[0])
    assert (spread[encoded.layout.min(below) > 0] == 0).all()
    again = training_earlier(encoded, levels, config, 7)
    assert (again is None) == (drawn[7] is None)
    plain = EADConfig(self_conditioning=False)
    assert all(training_earlier(encoded, levels, plain, step) is None for step in range(9))


def test_it_listens_to_the_composition(data, tmp_path):
    model = EADModel(model_dir=str(tmp_path), **{**TINY, "composition": True})
    model.fit(data, nb_epoch=5, checkpoint_interval=0)
    columns = model.model.denoiser.embedding.weight[:, -6 - 7 :]
    assert columns.abs().min() > 0
    # Finished molecules wait in the batch for others: their last estimate must not change.
    assert_molecules_do_not_depend_on_the_batch(model)


def test_a_run_in_two_parts_equals_one_run(data, tmp_path):
    whole = EADModel(model_dir=str(tmp_path / "whole"), **TINY)
    whole.fit(data, nb_epoch=3)

    def stop(model, step, **kwargs):
        if step == 7:
            model.stop_training()

    first = EADModel(model_dir=str(tmp_path / "parts"), **TINY)
    first.fit(data, nb_epoch=3, callbacks=stop)
    second = EADModel(model_dir=str(tmp_path / "parts"), **TINY)
    second.fit(data, nb_epoch=2, restore=True)
    assert second.get_global_step() == whole.get_global_step() == 12
    one, other = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_it_is_told_is_trained_and_molecules_do_not_depend_on_the_batch(model):
    columns = model.model.denoiser.embedding.weight[:, -8:]
    assert columns.shape[1] == 8 and columns.abs().min() > 0  # H C N O F, dummy, charge, flag
    assert_molecules_do_not_depend_on_the_batch(model)


def test_saved_weights_generate_the_same(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = EADModel.from_pretrained(tmp_path)
    options = dict(steps=10, seed=0, progress=False)
    one, other = model.generate(3, **options), loaded.generate(3, **options)
    assert np.array_equal(one.coordinates, other.coordinates)


def test_the_device_resident_trainer_learns_it_too(data):
    config = EADConfig.load(**{**TINY, "batch_size": 32})
    trainer = ResidentTrainer(data.X, config, device="cpu")
    trainer.fit(epochs=8)
    columns = trainer.network.denoiser.embedding.weight[:, -8:]
    assert columns.abs().min() > 0 and columns.isfinite().all()


# ---------------------------------------------------------------------------- warm start


def test_a_model_that_is_told_more_starts_as_its_source(data, model, tmp_path):
    plain = EADModel(model_dir=str(tmp_path / "plain"), **{**TINY, "self_conditioning": False})
    plain.fit(data, nb_epoch=2, checkpoint_interval=0)
    plain.save_pretrained(tmp_path / "source")
    told = EADModel(initial_weights=tmp_path / "source", self_conditioning=True)
    assert told.predict(data) == pytest.approx(plain.predict(data), rel=1e-6)
    assert not told.model.denoiser.embedding.weight[:, -8:].any()

    # New context goes before the columns of the estimate, which stay where they are.
    model.save_pretrained(tmp_path / "told")
    wider = EADModel(initial_weights=tmp_path / "told", conditions=["gap"])
    mine, theirs = (m.model.sampling_denoiser.embedding.weight for m in (wider, model))
    n = theirs.shape[1] - 8
    assert torch.equal(mine[:, :n], theirs[:, :n]) and torch.equal(mine[:, -8:], theirs[:, n:])
    assert mine.shape[1] > theirs.shape[1] and not mine[:, n:-8].any()
    with pytest.raises(CheckpointError, match="self_conditioning is False here and True there"):
        EADModel(initial_weights=tmp_path / "told", self_conditioning=False)

    # Sums of what is told come last.
    counting = EADModel(initial_weights=tmp_path / "told", composition=True)
    weight = counting.model.sampling_denoiser.embedding.weight
    assert torch.equal(weight[:, : theirs.shape[1]], theirs)
    assert weight.shape[1] == theirs.shape[1] + 6 + 7 and not weight[:, -6 - 7 :].any()
    assert counting.predict(data) == pytest.approx(model.predict(data), rel=1e-6)
    counting.save_pretrained(tmp_path / "counting")
    with pytest.raises(CheckpointError, match="composition is False here and True there"):
        EADModel(initial_weights=tmp_path / "counting", composition=False)


def test_other_denoisers_refuse():
    with pytest.raises(ValueError, match="denoiser='attention'; 'egnn' does not"):
        EADConfig(self_conditioning=True)
    with pytest.raises(ValueError, match="composition needs feature_target='types'"):
        EADConfig(composition=True)

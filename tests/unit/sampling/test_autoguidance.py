"""Autoguidance: its formula, its context, and generation with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sampling_toys import assert_sampling_is_equivariant, make_process, pair_denoiser, seeing

from deepchem_ead import EADModel
from deepchem_ead.diffusion import AtomLayout, sample_levels
from deepchem_ead.generator.pretrained import WEAK
from deepchem_ead.molnet import load_qm9_3d
from deepchem_ead.sampling import AutoGuidance, ClassifierFreeGuidance, evaluations_of

LAYOUT = AtomLayout.from_counts([4, 3, 6])
SMALL = {"preset": "qm9-small", "n_layers": 1, "n_features": 32, "batch_size": 16}
FAST = dict(schedule="synchronous", steps=12, seed=3, progress=False)


def told_denoiser(strength: float):
    """`pair_denoiser` that depends on the context after two features and the level, if any."""

    @seeing
    def denoiser(x, h, layout):
        told = 1 + strength * h[:, 3:].sum(1, keepdim=True)
        dx, h_out = pair_denoiser(x, torch.cat([h[:, :2] * told, h[:, 2:3]], 1), layout)
        return dx * told, h_out

    return denoiser


def noisy():
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(13, 5, generator=generator, dtype=torch.float64)
    levels = sample_levels(LAYOUT, 100, 10, generator=generator)
    own, null, weak = torch.randn(3, 3, 2, generator=generator, dtype=torch.float64)
    return w, levels, own, null, weak


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("n_context", [0, 1, 2])
def test_noise_is_extrapolated_away_from_the_weak_model(scale, n_context):
    process, weak_process = make_process(100), make_process(100)
    w, levels, own, _, told = noisy()
    told = told[:, :n_context]
    better, weak = told_denoiser(0.3), told_denoiser(0.7)
    guided = AutoGuidance(process, weak_process, weak, n_context, scale)
    eps = guided.predict_noise(better, w, levels, LAYOUT, torch.cat([own, told], 1))
    mine = process.predict_noise(better, w, levels, LAYOUT, own)
    theirs = weak_process.predict_noise(weak, w, levels, LAYOUT, told if n_context else None)
    assert not torch.allclose(mine, theirs)
    torch.testing.assert_close(eps, (1 + scale) * mine - scale * theirs, rtol=0, atol=1e-12)
    assert evaluations_of(guided) == 2
    nothing = guided if n_context == 0 else AutoGuidance(process, weak_process, weak, 0, scale)
    alone = nothing.predict_noise(better, w, levels, LAYOUT, None)
    mine, theirs = (process.predict_noise(d, w, levels, LAYOUT) for d in (better, weak))
    torch.testing.assert_close(alone, (1 + scale) * mine - scale * theirs, rtol=0, atol=1e-12)


def test_it_joins_classifier_free_guidance():
    process = make_process(100)
    w, levels, own, null, told = noisy()
    better, weak = told_denoiser(0.3), told_denoiser(0.7)
    free = ClassifierFreeGuidance(process, 1.5)
    guided = AutoGuidance(free, process, weak, 2, 2.0)
    eps = guided.predict_noise(better, w, levels, LAYOUT, torch.cat([own, null, told], 1))
    mine = free.predict_noise(better, w, levels, LAYOUT, torch.cat([own, null], 1))
    theirs = process.predict_noise(weak, w, levels, LAYOUT, told)
    torch.testing.assert_close(eps, 3 * mine - 2 * theirs, rtol=0, atol=1e-12)
    assert evaluations_of(guided) == 3
    with pytest.raises(ValueError, match="not be negative, not -1"):
        AutoGuidance(process, process, weak, 0, -1)


def test_guided_sampling_is_equivariant():
    process = make_process(30)
    guided = AutoGuidance(process, process, told_denoiser(0.7), 0, 1.5)
    assert_sampling_is_equivariant(guided, pair_denoiser, LAYOUT, 2)


# ---------------------------------------------------------------------------- models


def fitted(folder, **options) -> EADModel:
    train = load_qm9_3d(source="sample", reload=False)[1][0]
    model = EADModel(
        **{**SMALL, "variable_size": True, "p_fixed_size": 0.5, **options},
        model_dir=str(folder), learning_rate=1e-2, warmup_steps=0, learning_rate_decay="none",
    )  # fmt: skip
    model.fit(train.select(range(0, 640, 10)), nb_epoch=2, checkpoint_interval=0)
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("model"), conditions=["gap", "alpha"])


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("weak"), conditions=["alpha"], n_features=16, seed=1)


def same(one, other) -> bool:
    return np.array_equal(one.atomic_numbers, other.atomic_numbers) and np.array_equal(
        one.coordinates, other.coordinates
    )


def test_generation_away_from_a_weak_model(model, weak):
    """The weak model is told those conditions that it knows, whatever their order."""
    plain = model.generate(4, n_atoms=9, **FAST)
    guided = model.generate(4, n_atoms=9, autoguidance_scale=1.0, weak_model=weak, **FAST)
    assert not same(plain, guided)
    assert guided.info["autoguidance_scale"] == 1.0 and "autoguidance_scale" not in plain.info
    assert guided.info["n_evaluations"] == 2 * plain.info["n_evaluations"]
    asked = {"conditions": {"alpha": [60, 70, 75, 80], "gap": 0.25}, "guidance_scale": 1.0}
    options = dict(autoguidance_scale=1.0, weak_model=weak, **asked, **FAST)
    whole = model.generate(4, **options)
    assert same(whole, model.generate(4, batch_size=1, **options))
    seen = []
    hook = weak.model.sampling_denoiser.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].h)
    )
    model.generate(4, **options)
    hook.remove()
    embedded = weak.model.context(
        torch.zeros(4, dtype=torch.bool), torch.tensor([[60.0], [70], [75], [80]]).double()
    )
    width = embedded.shape[1]
    assert torch.equal(seen[0][:: model.config.max_atoms, -width:], embedded)


def test_guided_by_itself_it_is_itself(model):
    plain = model.generate(3, n_atoms=9, **FAST)
    guided = model.generate(3, n_atoms=9, autoguidance_scale=2.0, weak_model=model, **FAST)
    assert np.array_equal(plain.atomic_numbers, guided.atomic_numbers)
    np.testing.assert_allclose(plain.coordinates, guided.coordinates, atol=1e-4)


def test_the_weak_model_comes_with_the_weights(model, weak, tmp_path):
    model.weak_model = weak
    try:
        expected = model.generate(3, autoguidance_scale=1.0, **FAST)
        model.save_pretrained(tmp_path)
    finally:
        model.weak_model = None
    assert (Path(tmp_path) / WEAK / "model.safetensors").exists()
    loaded = EADModel.from_pretrained(tmp_path)
    assert same(expected, loaded.generate(3, autoguidance_scale=1.0, **FAST))
    assert same(
        expected,
        model.generate(3, autoguidance_scale=1.0, weak_model=tmp_path / WEAK, **FAST),
    )


def test_what_cannot_guide_is_refused(model, weak, tmp_path):
    with pytest.raises(ValueError, match="came without one: pass weak_model="):
        model.generate(2, autoguidance_scale=1.0, **FAST)
    with pytest.raises(ValueError, match="not be negative, not -1"):
        model.generate(2, autoguidance_scale=-1.0, weak_model=weak, **FAST)
    with pytest.raises(ValueError, match="without an autoguidance_scale"):
        model.generate(2, weak_model=weak, **FAST)
    other = EADModel(**SMALL, elements="H,C,N,O", model_dir=str(tmp_path))
    with pytest.raises(ValueError, match="elements is 'H,C,N,O,F' in the model and 'H,C,N,O'"):
        model.generate(2, autoguidance_scale=1.0, weak_model=other, **FAST)

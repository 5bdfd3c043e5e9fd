"""What users do on a GPU, on a pretended one; test_pretended_gpu.py runs this.

The compiled CPU kernels are switched off, so that PyTorch computes the same on both devices.
"""

from __future__ import annotations

import contextlib
import logging
import sys

import numpy as np
import pytest
import torch
from pretend_gpu import Device, pretend_gpu, unwrap
from property_data import labelled

import deepchem_ead
from benchmarks import gpu, sample_resident, train_resident
from benchmarks.pack_qm9 import pack
from deepchem_ead import EADModel, EGNNPropertyModel
from deepchem_ead.commands.jobs.installation import describe_installation
from deepchem_ead.denoisers import AttentionDenoiser
from deepchem_ead.diffusion import AtomLayout, Seen
from deepchem_ead.generation import job as generation
from deepchem_ead.kernels.triton import attention_check, self_check
from deepchem_ead.models import EADConfig
from deepchem_ead.training.resident import ResidentTrainer

SMALL = {"n_layers": 1, "n_features": 32, "n_heads": 4, "batch_size": 32, "max_atoms": 29,
         "ema_decay": 0.9}  # fmt: skip
TOLD = {"conditions": "gap", "p_uncond": 0.3, "feature_target": "types"}
DUMMIES = {"variable_size": True, "dummy_padding": "random", "p_fixed_size": 0.4}
QUICK = {"steps": 4, "seed": 3, "progress": False}
GAP = {"gap": "5.4 eV"}


def slow(*arguments):
    return pytest.param(*arguments, marks=pytest.mark.slow)


def both(function):
    """What a function of the device returns for the CPU and for the GPU."""
    results = []
    for device, context in (("cpu", contextlib.nullcontext()), ("cuda", pretend_gpu())):
        with context:
            results.append(function(device))
    return results


def weights_of(module) -> list[torch.Tensor]:
    return [unwrap(p.detach()).clone() for p in module.parameters()]


def assert_close(one, other, rtol=1e-3, atol=1e-5):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def assert_same_molecules(one, other):
    assert np.array_equal(one.atomic_numbers, other.atomic_numbers)
    np.testing.assert_allclose(one.coordinates, other.coordinates, atol=2e-3)


@pytest.fixture(scope="module")
def data():
    return labelled(["gap"], slice(96))


@pytest.fixture(scope="module")
def models():
    """Weights that come with the package and with a weak model, on both devices."""
    return both(lambda device: EADModel.from_pretrained("qm9-1", device=device))


# ---------------------------------------------------------------------------- DeepChem models


@pytest.mark.parametrize(
    "denoiser, changes",
    [("egnn", {}), ("attention", TOLD | DUMMIES), slow("egnn", TOLD), slow("attention", {})],
)
def test_a_model_trains_scores_generates_and_is_saved(data, denoiser, changes, tmp_path):
    def use(device):
        folder = tmp_path / device
        options = {**SMALL, **changes, "denoiser": denoiser, "device": device}
        options["placement"] = "resident" if changes else "host"  # "auto" is another on each
        model = EADModel(model_dir=str(folder), **options)
        model.fit(data, nb_epoch=1)
        again = EADModel(model_dir=str(folder), **options)
        again.fit(data, nb_epoch=2, restore=True)
        assert all(p.device.type == device for p in again.model.parameters())
        again.save_pretrained(folder / "model")
        loaded = EADModel.from_pretrained(folder / "model", device=device)
        asked = {"conditions": GAP, "guidance_scale": 0.5} if changes else {}
        return again, loaded.predict(data), loaded.generate(3, **QUICK, **asked)

    (cpu, cpu_scores, _), (gpu, gpu_scores, molecules) = both(use)
    assert_close(weights_of(cpu.model), weights_of(gpu.model), atol=1e-4)
    np.testing.assert_allclose(gpu_scores, cpu_scores, rtol=1e-2)
    assert len(molecules) == 3 and np.isfinite(molecules.coordinates).all()
    # What was trained on the GPU is loaded without one.
    elsewhere = EADModel.from_pretrained(tmp_path / "cuda/model", device="cpu")
    np.testing.assert_allclose(elsewhere.predict(data), gpu_scores, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "synchronous"},
        {"schedule": "adaptive", "record_levels": True},
        {"n_atoms": [9, 15, 12, 12], "noise_scale": 0.9, "batch_size": 2},
        slow({"autoguidance_scale": 0.5}),
        {"conditions": GAP, "guide": "qm9-guide", "guidance_scale": 1.0},
    ],
)
def test_a_gpu_generates_the_molecules_of_the_cpu(models, options):
    cpu, gpu = models
    expected = cpu.generate(4, **QUICK, **options)
    with pretend_gpu():
        assert_same_molecules(gpu.generate(4, **QUICK, **options), expected)


def test_a_gpu_generates_bonds_too():
    cpu, gpu = both(lambda device: EADModel.from_pretrained("qm9", device=device))
    expected = cpu.generate(3, **QUICK)
    with pretend_gpu():
        found = gpu.generate(3, **QUICK)
    assert_same_molecules(found, expected)
    for i in range(3):
        assert np.array_equal(found.graph(i).bonds, expected.graph(i).bonds)


def test_a_gpu_has_batches_of_its_own_size(models, monkeypatch):
    monkeypatch.setattr(generation, "PAIRS_PER_BATCH", 1)
    monkeypatch.setattr(generation, "GPU_PAIRS_PER_BATCH", 3 * 9**2)
    sizes = []
    options = {
        **QUICK,
        "steps": 2,
        "callback": lambda step: sizes.append(step["layout"].n_molecules),
    }
    with pretend_gpu():
        models[1].generate(4, n_atoms=9, **options)
    assert set(sizes) == {3, 1}


def test_columns_of_pairs_and_outputs_of_pairs_on_a_gpu():
    def compute(device):
        torch.manual_seed(0)
        denoiser = AttentionDenoiser(
            5, 3, 1, 32, 4, backend="auto", n_pair_columns=4, n_pair_outputs=2
        ).to(device)
        layout = AtomLayout.from_counts([5, 1, 3])
        random = [torch.randn(9, 3), torch.randn(9, 5), torch.randn(26, 4), torch.rand(9)]
        x, h, told, step = (t.to(device) for t in random)
        out = denoiser(Seen(x, h, layout.to(device), step=step, pairs=told))
        sum(t.square().sum() for t in (*out, out.pairs)).backward()
        gradients = [p.grad for p in denoiser.parameters()]
        return [unwrap(t.detach()).clone() for t in (*out, out.pairs, *gradients)]

    assert_close(*both(compute))


@pytest.mark.slow
def test_bf16_on_a_gpu():
    with pretend_gpu():
        model = EADModel.from_pretrained("qm9-1", device="cuda", precision="bf16")
        molecules = model.generate(2, **QUICK)
    assert np.isfinite(molecules.coordinates).all()


@pytest.mark.parametrize("guided, most", [(False, 4), slow(True, 14)])
def test_the_host_hardly_waits_while_sampling(models, guided, most):
    """Copies of noise, and a look at who is finished; with a guide also at who is real."""
    options = {"seed": 3, "progress": False}
    if guided:
        options |= {"conditions": GAP, "guide": "qm9-guide", "guidance_scale": 1.0}
    waits = []
    with pretend_gpu():
        for steps in (3, 6):
            before = Device.waits
            models[1].generate(2, steps=steps, **options)
            waits.append(Device.waits - before)
    assert waits[1] - waits[0] <= 3 * most


def test_property_models_and_design(data, models, tmp_path):
    def use(device):
        oracle = EGNNPropertyModel(
            "gap", n_layers=1, n_features=32, batch_size=32, device=device, warmup_steps=0,
            model_dir=str(tmp_path / device),
        )  # fmt: skip
        oracle.fit(data, nb_epoch=2)
        oracle.save_checkpoint()
        oracle.restore()
        shipped = EGNNPropertyModel.from_pretrained("qm9-properties", device=device)
        return oracle.predict(data), shipped

    (cpu, cpu_oracle), (gpu, gpu_oracle) = both(use)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-2)
    expected = models[0].generate(4, **QUICK)
    with pretend_gpu():
        found = gpu_oracle.predict_molecules_uncertainty(expected)
        result = deepchem_ead.design(
            models[1], GAP, gpu_oracle, n=4, tolerance="9 eV", guide="qm9-guide", steps=4, seed=0
        )
    for a, b in zip(cpu_oracle.predict_molecules_uncertainty(expected), found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3)
    assert result.molecules is not None


def test_a_guide_learns_from_estimates(data, tmp_path):
    with pretend_gpu():
        guide = EGNNPropertyModel(
            "gap", n_layers=1, n_features=32, batch_size=32, device="cuda", estimates_of="qm9-1",
            max_tau=2.0, model_dir=str(tmp_path),
        )  # fmt: skip
        assert np.isfinite(guide.fit(data, nb_epoch=1))


# ---------------------------------------------------------------------------- the resident trainer


def train(X, changes, device, graph, properties=None, epochs=3, folder=None, **options):
    config = EADConfig(**{**SMALL, "learning_rate": 3e-3, "batch_size": 24, **changes})
    trainer = ResidentTrainer(X, config, folder, device, graph, properties=properties, **options)
    if folder is not None:
        trainer.restore()
    trainer.fit(epochs=epochs)
    return trainer


RATES = {"learning_rate_decay": "cosine", "warmup_steps": 5, "p_sync": 0.2, "level_power": 1.5}
ASKED = {**TOLD, **DUMMIES, "dummy_weight": 0.5, "level_features": "fourier"}
ESTIMATES = {"self_conditioning": True, "feature_target": "types", "composition": True,
             "composition_weight": 0.1, "symmetry": "quotient", "precision": "bf16"}  # fmt: skip


@pytest.mark.parametrize(
    "denoiser, changes",
    [
        ("attention", RATES),
        slow("egnn", RATES),
        slow("egnn", ASKED),
        slow("attention", ASKED),
        slow("attention", ESTIMATES),
        slow("attention", {**ESTIMATES, "symmetry": "averaged"}),
    ],
)
def test_a_graph_trains_as_without_one_bit_for_bit(data, denoiser, changes):
    """Rates, averages, epochs and noise are no constants of the graph, and nothing in it waits."""
    properties = data.y if "conditions" in changes else None
    changes = {**changes, "denoiser": denoiser}
    cpu = train(data.X, changes, "cpu", False, properties)
    with pretend_gpu():
        eager = train(data.X, changes, "cuda", False, properties)
        graph = train(data.X, changes, "cuda", True, properties)
    assert graph._step._graph is not None and eager._step._graph is None
    for part in ("denoiser", "average", "embedding_average"):
        if getattr(graph.network, part) is not None:
            found, expected = (weights_of(getattr(t.network, part)) for t in (graph, eager))
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    if changes.get("precision") != "bf16":
        assert_close(weights_of(graph.network.average), weights_of(cpu.network.average), atol=1e-4)


@pytest.mark.parametrize(
    "dummies",
    [
        {"variable_size": False},
        {"variable_size": True},
        {"variable_size": True, "p_fixed_size": 0.4},
        DUMMIES,
    ],
)
@pytest.mark.parametrize("denoiser", ["egnn", "attention"])
@pytest.mark.parametrize("told", [{}, TOLD])
def test_the_host_never_waits_in_a_step(data, dummies, denoiser, told, monkeypatch):
    changes = {**dummies, **told, "denoiser": denoiser, "level_features": "fourier",
               "dummy_weight": 0.5, "p_sync": 0.2, "level_power": 1.5}  # fmt: skip
    with pretend_gpu():
        trainer = train(data.X, changes, "cuda", False, data.y if told else None, epochs=0)
        trainer._step.placement.begin(0, 0, 0)
        for mode in ("default", "error"):  # the first step builds what is built once
            monkeypatch.setattr(Device, "sync_debug_mode", mode)
            trainer._step.gradients()
            trainer._step.update()


def test_a_restored_run_captures_anew(data, tmp_path):
    with pretend_gpu():
        changes = {"denoiser": "egnn"}
        straight = train(data.X, changes, "cuda", True, epochs=4)
        train(data.X, changes, "cuda", True, epochs=2, folder=tmp_path)
        resumed = train(data.X, changes, "cuda", True, epochs=4, folder=tmp_path)
    assert resumed._step._graph is not None
    assert len(resumed._step._graph.operations) < 1500  # pairs are not cut as for a CPU's cache
    assert resumed.global_step == straight.global_step == 16
    assert_close(weights_of(resumed.network), weights_of(straight.network), rtol=0, atol=0)


def test_a_step_that_waits_goes_on_without_a_graph_and_says_so(data, monkeypatch, caplog):
    center = AtomLayout.center
    monkeypatch.setattr(
        AtomLayout, "center", lambda self, x: center(self, x) + 0 * float(x.detach().sum())
    )
    with pretend_gpu(), caplog.at_level(logging.WARNING):
        trainer = train(data.X, {"denoiser": "attention"}, "cuda", True)
    assert trainer._step._graph is None and trainer.global_step == 12
    assert "without a CUDA graph: the step waits for the device" in caplog.text


# ---------------------------------------------------------------------------- kernels and scripts


@pytest.fixture
def triangles(monkeypatch):
    """Molecules so small that interpreting kernels takes seconds; self checks to match."""
    monkeypatch.setattr(self_check, "_COUNTS", (1, 2, 3))
    errors = attention_check.relative_errors
    monkeypatch.setattr(
        attention_check, "relative_errors", lambda f, h, p, counts, *a: errors(f, h, p, (3,), *a)
    )
    X = np.zeros((10, 3, 4), np.float32)
    X[:, :, :3] = np.random.default_rng(0).normal(size=(10, 3, 3))
    X[:, :, 3] = [8, 1, 1]
    return X


@pytest.mark.parametrize("denoiser, precision", [("egnn", "bf16"), slow("attention", "fp32")])
def test_kernels_are_launched_by_a_graph(triangles, denoiser, precision, caplog):
    changes = {"denoiser": denoiser, "precision": precision, "batch_size": 2, "max_atoms": 3,
               "variable_size": False}  # fmt: skip
    launched, trainers = [], []
    with pretend_gpu(kernels=True), caplog.at_level(logging.INFO):
        for graph in (False, True):
            before = Device.kernels
            trainers.append(train(triangles, changes, "cuda", graph, epochs=1))
            assert trainers[-1].network.denoiser.active_backend == f"triton {precision}"
            launched.append(Device.kernels - before)
    assert f"triton {precision}" in caplog.text and "PyTorch computes" not in caplog.text
    eager, graph = trainers
    assert graph._step._graph is not None and launched[1] < launched[0]
    assert_close(weights_of(graph.network), weights_of(eager.network), rtol=0, atol=0)


def script(module, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
    module.main()


@pytest.mark.parametrize("kernels", [True, False])
def test_a_gpu_is_found_and_described(kernels):
    with pretend_gpu(kernels):
        assert EADModel(**SMALL).device.type == "cuda"
        described = describe_installation()
    expected = "Triton kernels, if" if kernels else "PyTorch (switched off by DEEPCHEM_EAD_TRITON=0"
    assert f"a pretended GPU; {expected}" in described


@pytest.mark.slow
def test_scripts_for_a_gpu_run(data, monkeypatch, capsys, tmp_path):
    pack(tmp_path / "data.npz", data.X[:64])
    file = ["--data", tmp_path / "data.npz"]
    settings = ["--preset", "qm9", "--set", "n_layers=1", "n_features=32", "n_heads=4",
                "batch_size=32", "--epochs", 4]  # fmt: skip
    monkeypatch.setattr(gpu, "VARIANTS", [gpu.VARIANTS[0], gpu.VARIANTS[2]])
    monkeypatch.setattr(gpu, "PRESET_VARIANTS", [gpu.PRESET_VARIANTS[-1]])
    monkeypatch.setattr(
        gpu, "ResidentTrainer", lambda *a, **k: ResidentTrainer(*a, **{**k, "block_steps": 2})
    )
    (tmp_path / "small.yaml").write_text("{denoiser: attention, n_layers: 1, n_features: 32}")
    # The large products that measure the ceiling, smaller.
    monkeypatch.setattr(
        torch, "randn", lambda *s, f=torch.randn, **k: f(*(64 if n == 8192 else n for n in s), **k)
    )
    with pretend_gpu():
        script(train_resident, monkeypatch, *file, "--out", tmp_path / "run", *settings)
        script(sample_resident, monkeypatch, "--model", tmp_path / "run/model", "--n", 3,
               "--steps", 4, "--device", "cuda", "--out", tmp_path / "molecules.npz")  # fmt: skip
        small = ["--quick", "--features", 32, "--batch", 32]
        script(gpu, monkeypatch, *file, *small, "--layers", 1)
        script(gpu, monkeypatch, *file, "--preset", tmp_path / "small.yaml", *small)
    out = capsys.readouterr().out
    assert "on a pretended GPU" in out and "3 molecules" in out and "failed" not in out, out
    assert np.load(tmp_path / "molecules.npz")["X"].shape[0] == 3

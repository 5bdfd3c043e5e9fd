"""Training with everything on the device: the same training as `EADModel.fit`, restartable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deepchem as dc
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.pack_qm9 import pack, unpack
from deepchem_ead import CheckpointError, EADModel
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.models import EADConfig
from deepchem_ead.training.noising import training_conditions
from deepchem_ead.training.placement import ResidentPlacement
from deepchem_ead.training.resident import ResidentTrainer
from deepchem_ead.training.resident_data import ResidentMolecules, compose

CPU = torch.device("cpu")
SMALL = {"preset": "qm9-small", "n_layers": 1, "n_features": 32, "batch_size": 32, "max_atoms": 25,
         "warmup_steps": 0, "learning_rate_decay": "none", "learning_rate": 3e-3}  # fmt: skip
DUMMIES = [
    {"variable_size": False},
    {"variable_size": True},
    {"variable_size": True, "p_fixed_size": 0.4},
    {"variable_size": True, "dummy_padding": "random", "p_fixed_size": 0.4},
    {"variable_size": True, "dummy_padding": "random", "max_dummies": 2, "p_fixed_size": 0.4},
]


@pytest.fixture(scope="module")
def X(qm9_sample):
    return qm9_sample.X[::15][:128]


def config(**changes):
    return EADConfig.load(**{**SMALL, **changes})


def trainer(X, folder=None, changes=None, **options):
    return ResidentTrainer(X, config(**(changes or {})), folder, "cpu", **options)


def assert_same_weights(one, other, **tolerance):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **{"rtol": 0, "atol": 0, **tolerance})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(0, 300))
def test_slots_follow_the_frequencies(frequencies, more):
    frequencies = np.array([*frequencies, 1])
    n_slots = len(frequencies) + more
    slots = compose(frequencies, n_slots, np.arange(len(frequencies)))
    assert slots.sum() == n_slots and slots.min() >= 1
    # Taking a slot from any size would give it more weight than any has now.
    heaviest = (frequencies / slots).max()
    several = slots > 1
    assert (frequencies[several] / (slots[several] - 1) >= heaviest - 1e-9).all()


@pytest.mark.parametrize("changes", DUMMIES)
def test_epochs_are_weighted_as_random_batches_would_be(X, changes):
    settings = config(**changes)
    encoding = AtomEncoding(settings)
    molecules = ResidentMolecules(X, encoding, settings, CPU)
    nodes = molecules.layout.counts
    plans = [molecules.plan(epoch) for epoch in range(3)]
    assert not torch.equal(plans[0].molecules, plans[1].molecules)
    assert torch.equal(plans[1].molecules, molecules.plan(1).molecules)
    for plan in plans:
        assert plan.molecules.shape == plan.fixed_size.shape == (len(X) // 32, 32)
        assert float(plan.weight.sum()) == pytest.approx(1)
        atoms = torch.from_numpy(molecules.counts)[plan.molecules]
        assert (atoms <= nodes).all()
        if not settings.variable_size:
            assert (atoms == nodes).all() and not plan.fixed_size.any()
            share = np.bincount(molecules.counts) / len(X)
            for size in set(nodes.tolist()):
                assert float(plan.weight[nodes == size].sum()) == pytest.approx(share[size])
        used = plan.weight.expand_as(plan.fixed_size) > 0
        flagged = plan.fixed_size & used
        assert (atoms[flagged] == nodes.expand_as(atoms)[flagged]).all()
        if settings.p_fixed_size:
            weight = plan.weight.expand_as(plan.fixed_size)
            share = float(weight[plan.fixed_size].sum() / len(plan.molecules))
            assert share == pytest.approx(0.4, abs=0.2)
        else:
            assert not plan.fixed_size.any()


@pytest.mark.parametrize("changes", DUMMIES)
def test_batches_are_what_the_encoding_makes_of_the_molecules(X, changes):
    settings = config(**changes)
    encoding = AtomEncoding(settings)
    molecules = ResidentMolecules(X, encoding, settings, CPU)
    rows = np.argsort(encoding.count_atoms(X), kind="stable")  # of X, as they are stored
    chosen = molecules.plan(2).molecules[0]
    nodes = molecules.layout.counts.numpy()
    n_nodes = nodes if settings.variable_size else None
    expected = encoding.encode(X[rows[chosen]], n_nodes=n_nodes)
    found = molecules.gather(chosen)
    assert torch.equal(found.clean, expected.clean)
    if settings.variable_size:
        assert torch.equal(found.is_dummy, expected.is_dummy)
    else:
        assert found.is_dummy is None


def test_steps_are_those_of_the_model(X, tmp_path):
    """Same initial weights, loss, clipping, AdamW and averages, given the same batches."""
    resident = trainer(X, changes={"learning_rate": 1e-3})
    batches = []
    resident.network.register_forward_pre_hook(lambda module, inputs: batches.append(inputs[0]))
    model = EADModel(model_dir=str(tmp_path), **{**SMALL, "learning_rate": 1e-3})
    model._ensure_built()
    model._before_training(_dataset(X))
    assert_same_weights(resident.network, model.model)
    weight = resident.molecules.plan(0).weight
    resident.fit(epochs=2)
    for batch in batches[:4]:
        model._pytorch_optimizer.zero_grad()
        (model.model(batch)[:, 0] * weight).sum().backward()
        model._pytorch_optimizer.step()
    assert len(batches) == 8
    early = trainer(X, changes={"learning_rate": 1e-3})
    early.fit(epochs=1)
    assert_same_weights(early.network, model.model, rtol=1e-5, atol=2e-6)


@pytest.fixture(scope="module")
def properties(X):
    """Two properties in a unit of their own, one of them unknown now and then."""
    values = np.random.default_rng(3).normal(40, 7, (len(X), 2))
    values[::5, 1] = np.nan
    return values


CONDITIONAL = {"conditions": "a,b", "variable_size": True, "dummy_padding": "random",
               "p_fixed_size": 0.4, "p_uncond": 0.3, "feature_target": "types"}  # fmt: skip


def test_conditional_steps_are_those_of_the_model(X, properties, tmp_path):
    resident = trainer(X, None, CONDITIONAL, properties=properties)
    batches = []
    resident.network.register_forward_pre_hook(lambda module, inputs: batches.append(inputs[0]))
    model = EADModel(model_dir=str(tmp_path), **{**SMALL, **CONDITIONAL})
    model._ensure_built()
    model._before_training(dc.data.NumpyDataset(X, properties, np.isfinite(properties)))
    # Means of the labels are summed in another order.
    assert_same_weights(resident.network, model.model, rtol=1e-12)
    weight = resident.molecules.plan(0).weight
    resident.fit(epochs=1)
    # Every molecule is told its own properties, or that they are unknown.
    stored = torch.from_numpy(resident.molecules.properties)
    plan = resident.molecules.plan(0)
    known = 0
    for batch, chosen in zip(batches, plan.molecules, strict=True):
        told = batch["conditions"]
        seen = ~told.isnan()
        assert torch.equal(told[seen], stored[chosen][seen])
        known += int(seen.sum())
    assert 0 < known < stored.isfinite().sum()
    for batch in batches:
        model._pytorch_optimizer.zero_grad()
        (model.model(batch)[:, 0] * weight).sum().backward()
        model._pytorch_optimizer.step()
    assert_same_weights(resident.network, model.model, rtol=1e-4, atol=2e-5)


def test_conditional_weights_generate_what_is_asked_for(X, properties, tmp_path):
    resident = trainer(X, None, CONDITIONAL, properties=properties)
    resident.fit(epochs=1)
    resident.save_pretrained(tmp_path)
    model = EADModel.from_pretrained(tmp_path)
    assert_same_weights(model.model.average.module, resident.network.average.module)
    assert_same_weights(
        model.model.embedding_average.module, resident.network.embedding_average.module
    )
    assert_same_weights(model.model.statistics, resident.network.statistics)
    asked = model.generate(2, conditions={"a": 40.0}, steps=4, seed=0, progress=False)
    assert len(asked) == 2


def test_hidden_conditions_are_those_of_the_model(X, properties):
    """Keyed by seed and step as on the host, whatever the epoch."""
    settings = config(**CONDITIONAL)
    molecules = ResidentMolecules(X, AtomEncoding(settings), settings, CPU, properties)
    plan = molecules.plan(1, first_step=7)
    for row, seen in enumerate(plan.seen.numpy()):
        assert np.array_equal(seen, training_conditions(32, settings, 7 + row))
    assert torch.equal(plan.molecules, molecules.plan(1, first_step=9).molecules)
    placement = ResidentPlacement(molecules, settings, equivariant=True)
    placement.begin(epoch=1, batch=2, step=9)
    told = placement.batch()[0]["conditions"]
    expected = training_conditions(32, settings, 9)
    stored = molecules.conditions(plan.molecules[2]).isfinite().numpy()
    assert np.array_equal(told.isfinite().numpy(), expected & stored)


def test_the_distribution_of_hidden_conditions():
    n, p = 40_000, 4
    found = training_conditions(n, config(conditions="a,b,c,d", p_uncond=0.2), 0)
    number = np.bincount(found.sum(1), minlength=p + 1) / n
    np.testing.assert_allclose(number, np.array([5, 9.6, 4.8, 3.2, 2.4]) / 25, atol=0.01)
    np.testing.assert_allclose(found.mean(0), 0.384, atol=0.01)


def test_it_learns_and_its_weights_score_the_same_in_the_model(X, tmp_path):
    resident = trainer(X, tmp_path / "run", {"ema_decay": 0.9}, block_steps=4)
    losses = []
    resident.fit(epochs=30, report=lambda block: losses.append(block["loss"]))
    assert losses[0] > 0.8 and np.mean(losses[-5:]) < 0.6 * losses[0]
    resident.save_pretrained(tmp_path / "model")
    data = _dataset(X)
    trained = EADModel.from_pretrained(tmp_path / "model")
    restored = EADModel(model_dir=str(tmp_path / "run"), **{**SMALL, "ema_decay": 0.9})
    restored.restore()
    scores = trained.predict(data)
    assert np.array_equal(scores, restored.predict(data))
    batch, _, _ = trained._prepare_batch(([X[:40], np.arange(40)], None, None))
    with torch.no_grad():
        mine = resident.network.eval()(batch)[:, 0].numpy()
    np.testing.assert_allclose(scores[:40, 0], mine, rtol=1e-5)
    assert scores.mean() < 0.8
    assert restored.get_global_step() == resident.global_step == 120
    assert restored.training_position.finished
    sizes = np.bincount((X[:, :, 3] > 0).sum(1), minlength=26)
    assert restored.model.size_counts.tolist() == sizes.tolist()


def test_the_model_continues_a_run_and_the_trainer_one_of_the_model(X, tmp_path):
    trainer(X, tmp_path).fit(epochs=1)
    model = EADModel(model_dir=str(tmp_path), **SMALL)
    model.fit(_dataset(X), nb_epoch=1, restore=True)
    assert model.get_global_step() == 8
    again = trainer(X, tmp_path)
    assert again.restore() and again.global_step == 8
    assert_same_weights(again.network, model.model)
    again.fit(epochs=3)
    assert again.global_step == 12


@pytest.mark.parametrize("changes", [{}, {"learning_rate_decay": "cosine", "warmup_steps": 5}])
def test_a_killed_run_continues_bit_for_bit(X, tmp_path, changes):
    straight = trainer(X, None, changes, block_steps=3)
    straight.fit(epochs=3)

    def kill(block):
        if block["step"] == 8:
            raise KeyboardInterrupt

    killed = trainer(X, tmp_path, changes, block_steps=3)
    with pytest.raises(KeyboardInterrupt):
        killed.fit(epochs=3, checkpoint_minutes=0, report=kill)
    resumed = trainer(X, tmp_path, changes, block_steps=3)
    assert resumed.restore() and 0 < resumed.global_step < 8
    resumed.fit(epochs=3)
    assert resumed.global_step == straight.global_step == 12
    assert_same_weights(resumed.network, straight.network)


def test_time_ends_a_run_and_a_pause_does_not(X, tmp_path):
    resident = trainer(X, tmp_path, {"learning_rate_decay": "cosine"}, block_steps=1)
    resident.fit(minutes=60, pause_after=0.005)
    assert 0.3 <= resident.elapsed < 60
    again = trainer(X, tmp_path, {"learning_rate_decay": "cosine"}, block_steps=1)
    again.restore()
    assert again.elapsed == resident.elapsed and again.global_step == resident.global_step
    again.fit(minutes=again.elapsed / 60 + 0.005)
    assert float(again.rate) < 0.7 * again.config.learning_rate
    steps = again.global_step
    again.fit(minutes=again.elapsed / 60)
    assert again.global_step == steps > resident.global_step


@pytest.mark.parametrize("changes", DUMMIES)
@pytest.mark.parametrize("denoiser", ["egnn", "attention"])
def test_every_kind_of_model_trains(X, changes, denoiser):
    changes = {**changes, "denoiser": denoiser, "n_heads": 4, "level_features": "fourier",
               "dummy_weight": 0.5, "p_sync": 0.2}  # fmt: skip
    resident = trainer(X[:64], None, changes)
    before = [p.detach().clone() for p in resident.network.denoiser.parameters()]
    assert 0.2 < resident.fit(epochs=1) < 2
    after = resident.network.denoiser.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_loss_that_is_no_number_stops_before_the_checkpoint(X, tmp_path):
    resident = trainer(X, tmp_path)
    with torch.no_grad():
        next(resident.network.denoiser.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        resident.fit(epochs=1)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_trained_is_refused(X, tmp_path):
    with pytest.raises(ValueError, match=r"'alpha' needs properties of the shape \(128, 1"):
        trainer(X, None, {"conditions": "alpha"})
    with pytest.raises(ValueError, match=r"conditions='' needs .* \(128, 0\), not \(128, 2\)"):
        trainer(X, properties=np.zeros((128, 2)))
    with pytest.raises(ValueError, match=r"batch_size=4, but molecules come in \d+ sizes"):
        trainer(X, None, {"batch_size": 4})
    with pytest.raises(ValueError, match="no molecules"):
        trainer(X[:0])
    with pytest.raises(ValueError, match="epochs, minutes"):
        trainer(X).fit()
    trainer(X, tmp_path).save_checkpoint()
    with pytest.raises(CheckpointError, match="n_features"):
        trainer(X, tmp_path, {"n_features": 64}).restore()
    assert not trainer(X, tmp_path / "empty").restore()


def test_a_damaged_checkpoint_is_passed_over(X, tmp_path):
    resident = trainer(X, tmp_path, block_steps=2)
    resident.fit(epochs=1, checkpoint_minutes=0)
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert resident.restore() and resident.global_step == 2
    for file in tmp_path.iterdir():  # begun anew, the run would write over what is left of it
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        resident.restore()


def test_packed_molecules_come_back(X, tmp_path):
    properties = np.random.default_rng(0).normal(size=(len(X), 2)).astype(np.float32)
    pack(tmp_path / "packed.npz", X, properties)
    again, labels = unpack(tmp_path / "packed.npz")
    assert np.array_equal(labels, properties)
    assert np.array_equal(again[..., 3], X[:, : again.shape[1], 3])
    assert np.abs(again[..., :3] - X[:, : again.shape[1], :3]).max() <= 0.5 / 2048 + 1e-6
    far = X.copy()
    far[3, 0, 0] = 20.0
    with pytest.raises(ValueError, match="molecule 3 reaches"):
        pack(tmp_path / "far.npz", far)


BARE = """
import sys
for name in ("deepchem", "rdkit", "pandas", "sklearn"):
    sys.modules[name] = None
import runpy
sys.argv = ["train_resident", *sys.argv[1:]]
runpy.run_module("benchmarks.train_resident", run_name="__main__")
"""


def test_trains_where_deepchem_and_rdkit_are_missing(X, tmp_path):
    pack(tmp_path / "data.npz", X)
    words = ["--data", tmp_path / "data.npz", "--out", tmp_path / "run", "--preset", "qm9-small",
             "--set", "n_layers=1", "n_features=32", "batch_size=32", "learning_rate=1e-3",
             "--block-steps", "2", "--device", "cpu"]  # fmt: skip
    root = Path(__file__).parents[3]
    for epochs in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", BARE, *map(str, words), "--epochs", epochs],
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "continuing from step 4" in done.stdout
    rows = (tmp_path / "run/curve.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4", "6", "8"]
    model = EADModel.from_pretrained(tmp_path / "run/model")
    assert model.config.learning_rate == 1e-3
    assert np.isfinite(model.predict(_dataset(X[:8]))).all()


def test_benchmark_without_a_gpu_says_so(capsys, monkeypatch):
    from benchmarks import gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    gpu.main()
    assert capsys.readouterr().out == "There is no GPU here: nothing was timed.\n"


def _dataset(X):
    import deepchem as dc

    return dc.data.NumpyDataset(X, np.zeros((len(X), 1)), np.ones((len(X), 1)))

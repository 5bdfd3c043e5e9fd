"""Training with the direct objective: estimates of all molecules, kept, told and continued."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import EADModel
from deepchem_ead.diffusion import AtomLayout, random_turns, turn
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.last_estimates import LastEstimates
from deepchem_ead.training.noising import noised
from deepchem_ead.training.resident import ResidentTrainer
from deepchem_ead.training.world import World

TINY = {
    "preset": "conformers-qm9-direct", "n_layers": 1, "n_features": 32, "n_heads": 2,
    "bonds": False, "stereo": False, "charged_kinds": "", "batch_size": 16, "warmup_steps": 0,
    "learning_rate_decay": "none", "variable_size": False, "p_fixed_size": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def X(qm9_sample):
    X = qm9_sample.X
    return X[(X[:, :, 3] > 0).sum(1) == 17][:40]


def dataset(X):
    return dc.data.NumpyDataset(X)


def model(folder, **changes):
    return EADModel(model_dir=str(folder), **{**TINY, **changes})


def assert_same(one, other):
    mine, theirs = (
        m.model.state_dict() | m.model.last_estimates.tensors() for m in (one, other)
    )  # fmt: skip
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


# ---------------------------------------------------------------------------- what is kept


def test_estimates_are_kept_as_they_were_proposed_turned_back_and_only_once():
    kept = LastEstimates(5)
    kept.prepare(np.array([3, 2, 4]), 1)
    generator = torch.Generator().manual_seed(0)
    items, layout = torch.tensor([2, 1, 2]), AtomLayout.from_counts([4, 2, 4])
    turns, told = random_turns(layout, generator), torch.tensor([True, True, False])
    found = torch.randn(10, 5, generator=generator)
    kept.propose(items, turn(found, turns, layout), layout, turns)
    assert not kept.passes.any() and not kept.of(items, told, layout).known.any()
    kept.commit()
    assert kept.passes[:-1].tolist() == [0, 1, 1]
    back = kept.of(items[:2], told[:2], AtomLayout.from_counts([4, 2]))
    torch.testing.assert_close(back.state, found[:6])  # the first of a molecule that is there twice
    again = kept.of(items, told, layout, turns)
    torch.testing.assert_close(again.state[:6], turn(found, turns, layout)[:6])
    assert again.known.tolist() == [True, True, False]
    kept.commit()  # nothing new
    assert kept.passes[:-1].tolist() == [0, 1, 1]
    other = LastEstimates(5)
    other.load(kept.tensors())
    other.prepare(np.array([3, 2, 4]), 1)
    assert all(torch.equal(v, kept.tensors()[k]) for k, v in other.tensors().items())


def test_other_molecules_begin_anew_with_a_warning(X, tmp_path, caplog):
    found = model(tmp_path)
    found.fit(dataset(X), nb_epoch=2, checkpoint_interval=0)
    assert found.model.last_estimates.tensors()["passes"].tolist() == [2] * 40
    assert "begin anew" not in caplog.text
    found.fit(dataset(X[::-1].copy()), nb_epoch=1, checkpoint_interval=0)
    assert "estimates begin anew" in caplog.text
    assert found.model.last_estimates.tensors()["passes"].tolist() == [1] * 40


def test_what_is_kept_is_what_the_network_said(X, tmp_path):
    """In the frame of the data, although the molecule was seen anywhere, and closer each time."""
    found = model(tmp_path, learning_rate=3e-3, tasks="conformer", level_power=4.0)
    data = dataset(X[:8])
    found.fit(data, nb_epoch=40, checkpoint_interval=0)
    state = found.model.last_estimates.tensors()["state"]
    clean = found.encoding.encode(data.X).clean
    assert not state.requires_grad
    assert torch.equal(state[:, 3:], clean[:, 3:])  # the kinds are given
    centre = state[:, :3].view(8, 17, 3).mean(1)
    assert centre.abs().max() < 1e-3
    # The best turn is none, and molecules are nearer to themselves than to others.
    apart = (state[:, :3].view(8, 1, 17, 3) - clean[:, :3].view(1, 8, 17, 3)).square().sum((2, 3))
    assert (apart.argmin(1) == torch.arange(8)).sum() >= 6


def test_a_model_of_variable_size_that_meets_no_dummy_atoms_keeps_estimates(X, tmp_path):
    found = model(tmp_path, variable_size=True, p_fixed_size=1.0)
    found.fit(dataset(X[:16]), nb_epoch=2, checkpoint_interval=0)
    kept = found.model.last_estimates.tensors()
    assert kept["passes"].tolist() == [2] * 16 and len(kept["state"]) == 16 * 17


# ---------------------------------------------------------------------------- what is told


def test_half_of_the_molecules_are_told_by_seed_and_step_only(X):
    config = EADConfig.load(**TINY)
    encoded = AtomEncoding(config).encode(np.repeat(X[:1], 400, 0))
    told = [noised(encoded, config, step, True)["told"] for step in (1, 1, 2)]
    assert torch.equal(told[0], told[1]) and not torch.equal(told[0], told[2])
    assert 150 < int(told[0].sum()) < 250
    plain = EADConfig.load(**{**TINY, "objective": "noise", "stepper": "ancestral"})
    batch = noised(encoded, plain, 0, True)
    assert batch["told"] is None and noised(encoded, config, 0, True)["earlier"] is None


def test_estimates_turn_with_molecules_that_a_network_sees_turned(X, tmp_path, monkeypatch):
    found = model(tmp_path, denoiser="transformer")
    found.fit(dataset(X[:16]), nb_epoch=1, checkpoint_interval=0)
    kept, clean = found.model.last_estimates, found.encoding.encode(X[:16]).clean
    kept.state[:-1] = clean
    batches, told, of = [], [], kept.of
    found.model.register_forward_pre_hook(lambda _, args: batches.append(args[0]["clean"]))
    monkeypatch.setattr(kept, "of", lambda *args: told.append(of(*args)) or told[-1])
    found.fit(dataset(X[:16]), nb_epoch=1, checkpoint_interval=0)
    torch.testing.assert_close(told[0].state, batches[0])
    assert not torch.allclose(*(x[:, :3].norm(dim=0) for x in (batches[0], clean)), rtol=1e-3)


# ---------------------------------------------------------------------------- runs that go on


@pytest.mark.parametrize("placement", ["host", "resident"])
def test_a_run_in_two_parts_equals_one_run(X, tmp_path, placement):
    whole = model(tmp_path / "whole", placement=placement)
    whole.fit(dataset(X), nb_epoch=4, checkpoint_interval=0)
    first = model(tmp_path / "parts", placement=placement)
    first.fit(dataset(X), nb_epoch=4, callbacks=lambda m, step: step == 7 and m.stop_training())
    assert first.get_global_step() == 7
    second = model(tmp_path / "parts", placement=placement)
    second.fit(dataset(X), nb_epoch=4 - first.training_position.epoch, restore=True)
    assert second.get_global_step() == whole.get_global_step()
    assert_same(whole, second)
    passes = second.model.last_estimates.tensors()["passes"]
    assert passes.min() >= 1 and (placement == "resident" or passes.tolist() == [4] * 40)


TRAIN = """
import sys, json, numpy as np, deepchem as dc
import deepchem_ead
X = np.load(sys.argv[1])
model = deepchem_ead.EADModel(model_dir=sys.argv[2], **json.loads(sys.argv[3]))
model.fit(dc.data.NumpyDataset(X), nb_epoch=1000, checkpoint_interval=4)
"""


@pytest.mark.slow
def test_a_killed_run_continues_bit_for_bit(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, tmp_path / "X.npy", run, json.dumps(TINY)], env=os.environ
    )
    try:
        deadline = time.monotonic() + 120
        while len(list(run.glob("checkpoint-*"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, "training ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = model(run)
    resumed.fit(dataset(X), nb_epoch=1, restore=True)
    straight = model(tmp_path / "straight")
    straight.fit(dataset(X), nb_epoch=resumed.training_position.epoch, checkpoint_interval=0)
    assert straight.get_global_step() == resumed.get_global_step() > 4
    assert_same(straight, resumed)


def test_trainer_and_model_continue_each_other(X, tmp_path):
    config = EADConfig.load(**TINY)
    ResidentTrainer(X, config, tmp_path, "cpu").fit(epochs=1)
    found = model(tmp_path)
    found.fit(dataset(X), nb_epoch=1, restore=True)
    again = ResidentTrainer(X, config, tmp_path, "cpu")
    assert again.restore() and again.global_step == found.get_global_step() == 5
    mine, theirs = (m.last_estimates.tensors() for m in (again.network, found.model))
    assert all(torch.equal(theirs[name], value) for name, value in mine.items())
    assert bool(mine["passes"].all())
    assert_same(found, copy.deepcopy(found))


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"self_conditioning": False},
            "objective='direct' needs self_conditioning=True, not False",
        ),
        (
            {"variable_size": True},
            "needs variable_size=False, or p_fixed_size=1: estimates are kept",
        ),
        ({"frame": "quotient", "position_target": "noise"}, "needs position_target='residual'"),
        ({"guide_floor": 0.05}, "guide_floor must lie between 0.1 and 1, not 0.05"),
        ({"huber_width": 0.0}, "huber_width must be positive, not 0.0"),
        ({"objective": "dddm"}, "objective must be one of noise, direct, not 'dddm'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        EADConfig.load(**{**TINY, **changes})


def test_several_processes_are_refused(X, tmp_path):
    found = model(tmp_path)
    found.world = World(0, 2)
    with pytest.raises(ValueError, match="in one process, and 2 train together"):
        found.fit(dataset(X), nb_epoch=1)
    with pytest.raises(ValueError, match="in one process, and 2 train together"):
        ResidentTrainer(X, EADConfig.load(**TINY), None, "cpu", world=World(0, 2))


def test_weights_hold_no_estimates_and_go_both_ways(X, tmp_path):
    found = model(tmp_path / "run")
    found.fit(dataset(X), nb_epoch=1)
    found.save_pretrained(tmp_path / "direct")
    size = sum(f.stat().st_size for f in (tmp_path / "direct").iterdir())
    other = EADModel.from_pretrained(tmp_path / "direct")
    assert other.config.objective == "direct" and not other.model.last_estimates.tensors()
    assert size < 1e6
    onwards = EADModel(
        initial_weights=tmp_path / "direct", objective="noise", stepper="ancestral",
        model_dir=str(tmp_path / "noise"),
    )  # fmt: skip
    assert onwards.fit(dataset(X), nb_epoch=1, checkpoint_interval=0) > 0

"""Training: it learns, it can be stopped, killed and continued, and it refuses nonsense."""

from __future__ import annotations

import io
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import EADModel, MoleculeError
from deepchem_ead.models import DenoisingLoss
from deepchem_ead.optim.clipping import CLIPPING_RULES, GradientClipper
from deepchem_ead.training.batches import ShuffledBatches, row_weights
from deepchem_ead.training.curve import CurveLog, read_curve

SMALL = {"preset": "qm9-small", "n_layers": 2, "n_features": 32, "batch_size": 16}


def small_model(tmp_path, **changes):
    return EADModel(model_dir=str(tmp_path), **{**SMALL, **changes})


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"variable_size": False},
        {"variable_size": True},
        {"variable_size": True, "symmetry": "quotient"},
        {"variable_size": False, "position_target": "residual"},
    ],
)
def test_overfits_a_handful_of_molecules(qm9_sample, tmp_path, changes):
    few = qm9_sample.select(range(8))
    # 8 copies of the batch per epoch keep DeepChem's per-epoch costs out of the test
    many = dc.data.NumpyDataset(
        np.concatenate([few.X] * 8), np.zeros((64, 1)), np.ones((64, 1)), np.tile(few.ids, 8)
    )
    model = small_model(
        tmp_path, max_atoms=25, learning_rate=3e-3, ema_decay=0.9, learning_rate_decay="none",
        **changes,
    )  # fmt: skip
    before = model.predict(many).mean()
    model.fit(many, nb_epoch=40, checkpoint_interval=0)
    after = model.predict(many).mean()
    if "symmetry" not in changes:
        assert before == pytest.approx(1.0, abs=0.15)  # the network starts near "no noise"
    assert after < 0.5 * before


def test_a_new_model_has_made_no_step(tmp_path):
    assert small_model(tmp_path).get_global_step() == 0


def test_a_run_in_two_parts_equals_one_run(qm9_sample, tmp_path):
    data = qm9_sample.select(range(70))
    whole = small_model(tmp_path / "whole")
    whole.fit(data, nb_epoch=3)

    halves = small_model(tmp_path / "halves")
    stop_after = 7  # in the middle of the second epoch

    def stop(model, step, **kwargs):
        if step == stop_after:
            model.stop_training()

    halves.fit(data, nb_epoch=3, callbacks=stop)
    assert halves.get_global_step() == stop_after
    resumed = small_model(tmp_path / "halves")
    resumed.fit(data, nb_epoch=2, restore=True)
    assert resumed.get_global_step() == whole.get_global_step() == 15
    assert_same_weights(weights(whole), weights(resumed))
    rates = [m._pytorch_optimizer.param_groups[0]["lr"] for m in (whole, resumed)]
    assert rates[0] == rates[1] > 0


TRAIN = """
import sys, numpy as np, deepchem as dc
import deepchem_ead
X = np.load(sys.argv[1])
dataset = dc.data.NumpyDataset(X, np.zeros((len(X), 1)), np.ones((len(X), 1)))
model = deepchem_ead.EADModel("qm9-small", model_dir=sys.argv[2], n_layers=2, n_features=32,
                              batch_size=16, learning_rate_decay="none")
model.fit(dataset, nb_epoch=1000, checkpoint_interval=5)
"""


def test_a_killed_run_continues_bit_for_bit(qm9_sample, tmp_path):
    data = qm9_sample.select(range(160))  # ten steps an epoch
    np.save(tmp_path / "X.npy", data.X)
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", TRAIN, tmp_path / "X.npy", run])
    try:
        deadline = time.monotonic() + 120
        while len(list(run.glob("checkpoint-*"))) < 3 and time.monotonic() < deadline:
            assert process.poll() is None, "training ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    resumed = small_model(run, learning_rate_decay="none")
    resumed.fit(data, nb_epoch=2, restore=True)
    straight = small_model(tmp_path / "straight", learning_rate_decay="none")
    straight.fit(data, nb_epoch=resumed.training_position.epoch)
    assert straight.get_global_step() == resumed.get_global_step() > 10
    assert_same_weights(weights(straight), weights(resumed))


def test_time_budget_ends_training_and_decays_the_rate(qm9_sample, tmp_path, monkeypatch):
    """By a clock that says 10 ms for each step, however busy the machine is."""
    ticks = itertools.count(step=0.01)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("deepchem_ead.training.run.time", clock)
    model = small_model(tmp_path, warmup_steps=0)
    model.fit(qm9_sample.select(range(64)), nb_epoch=10**6, minutes=0.01, checkpoint_interval=0)
    assert model.get_global_step() == 60
    rate = model._pytorch_optimizer.param_groups[0]["lr"]
    assert rate < 0.1 * model.config.learning_rate
    assert model.training_position.finished


def test_validation_callback_does_not_end_training_mode(qm9_sample, tmp_path):
    data = qm9_sample.select(range(32))
    modes = []

    def remember(model, step, **kwargs):
        modes.append(model.model.training)

    output = io.StringIO()
    validate = dc.models.ValidationCallback(data, 1, [DenoisingLoss()], output_file=output)
    small_model(tmp_path).fit(data, nb_epoch=2, callbacks=[validate, remember])
    assert modes == [True] * 4
    assert output.getvalue().count("denoising_loss=") == 4


def test_nan_loss_stops_before_the_step_and_is_not_saved(qm9_sample, tmp_path):
    data = qm9_sample.select(range(16))
    model = small_model(tmp_path)
    model.fit(data, nb_epoch=1, checkpoint_interval=1000)
    saved = model.get_checkpoints()
    before = weights(model)
    with torch.no_grad():
        model.model.denoiser.embedding.weight[0, 0] = float("nan")
    before["denoiser.embedding.weight"][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="no step was taken.*" + "C"):
        model.fit(data, nb_epoch=1)
    assert model.get_checkpoints() == saved
    for name, tensor in weights(model).items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_empty_dataset_is_an_error(tmp_path):
    empty = dc.data.NumpyDataset(np.zeros((0, 29, 4)), np.zeros((0, 1)))
    with pytest.raises(ValueError, match="empty"):
        small_model(tmp_path).fit(empty)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: X[3, 0].__setitem__(0, np.nan), r"molecule \d+ .*not finite"),
        (lambda X: X[3, 0].__setitem__(3, 92), r"molecule \d+ .*atomic number 92.*H,C,N,O,F"),
        (lambda X: X[3, :, 3].fill(0), r"molecule \d+ .*no atoms"),
        (lambda X: X[3, 1].__setitem__(3, 6.9), r"molecule \d+ .* 6.9 .*atom 1.*transform_X"),
        (lambda X: X[3, 0].__setitem__(3, -1), r"molecule \d+ .* -1 .*atom 0.*transform_X"),
    ],
)
def test_bad_molecules_are_named(qm9_sample, tmp_path, spoil, message):
    X = qm9_sample.X[:8].copy()
    spoil(X)
    data = dc.data.NumpyDataset(X, np.zeros((8, 1)), np.ones((8, 1)), qm9_sample.ids[:8])
    with pytest.raises(MoleculeError, match=message):
        small_model(tmp_path).fit(data, nb_epoch=1)


def test_atoms_on_top_of_each_other_are_named_before_training(qm9_sample, tmp_path):
    X = qm9_sample.X[:8].copy()
    X[5, 2, :3] = X[5, 0, :3]
    data = dc.data.NumpyDataset(X, np.zeros((8, 1)), np.ones((8, 1)), [f"m{i}" for i in range(8)])
    with pytest.warns(UserWarning, match=r"1 of 8 molecules .* molecule 5 \(m5\).* 0 .* and 2 "):
        small_model(tmp_path).fit(data, nb_epoch=1)


def test_too_large_a_molecule_is_named(qm9_sample, tmp_path):
    with pytest.raises(MoleculeError, match="atoms, but the model holds at most 12"):
        small_model(tmp_path, max_atoms=12).fit(qm9_sample.select(range(100)), nb_epoch=1)


def test_epochs_hold_every_molecule_once_in_an_order_of_their_own(qm9_sample, tmp_path):
    in_memory = qm9_sample.select(range(103))
    on_disk = dc.data.DiskDataset.from_numpy(
        in_memory.X, in_memory.y, in_memory.w, in_memory.ids, data_dir=str(tmp_path)
    )
    for dataset in (in_memory, on_disk):
        batches = ShuffledBatches(dataset, 10, seed=5)
        orders = [[i for b in batches.epoch(e) for i in b.ids] for e in (0, 1)]
        assert len(batches) == 11
        assert sorted(orders[0]) == sorted(orders[1]) == sorted(in_memory.ids)
        assert orders[0] != orders[1]
        rest = [i for b in batches.epoch(1, skip=4) for i in b.ids]
        assert rest == orders[1][40:]


def test_large_disk_datasets_are_read_shard_by_shard(qm9_sample, tmp_path, monkeypatch):
    monkeypatch.setattr("deepchem_ead.training.batches.IN_MEMORY_BYTES", 1)
    few = qm9_sample.select(range(50))
    parts = [few.select(range(k, k + 10)) for k in range(0, 50, 10)]
    rows = [(p.X, p.y, p.w, p.ids) for p in parts]
    dataset = dc.data.DiskDataset.create_dataset(iter(rows), data_dir=str(tmp_path))
    batches = ShuffledBatches(dataset, 4, seed=1)
    assert len(batches) == 15
    ids = [i for b in batches.epoch(0) for i in b.ids]
    assert sorted(ids) == sorted(few.ids)
    # every shard of ten makes batches of 4, 4 and 2
    assert [i for b in batches.epoch(0, skip=7) for i in b.ids] == ids[24:]


def test_row_weights_treat_unlabelled_data_as_data():
    assert row_weights(np.zeros((3, 1))).tolist() == [1, 1, 1]
    assert row_weights(np.array([[0, 1], [0, 0], [2, 1]])).tolist() == [1, 0, 2]


def test_weights_of_the_dataset_weigh_the_loss(qm9_sample, tmp_path):
    data = qm9_sample.select(range(16))
    w = np.zeros((16, 1))
    w[:4] = 1
    weighted = dc.data.NumpyDataset(data.X, data.y, w, data.ids)
    all_losses: list[float] = []
    model = small_model(tmp_path, seed=1)
    expected = _first_loss(small_model(tmp_path, seed=1), data, rows=range(4))
    model.fit(weighted, nb_epoch=1, deterministic=True, all_losses=all_losses)
    assert all_losses[0] == pytest.approx(expected, rel=1e-5)


def _first_loss(model, data, rows):
    model._ensure_built()
    model.model.train()
    inputs, _, _ = model._prepare_batch(([data.X], None, [data.w]))
    return float(model.model(inputs).detach()[list(rows)].mean())


def test_curve_is_one_gapless_file_after_a_restart(qm9_sample, tmp_path):
    data = qm9_sample.select(range(64))
    model = small_model(tmp_path)
    model.fit(data, nb_epoch=2, callbacks=CurveLog(tmp_path / "curve.csv", model, interval=2))
    with open(tmp_path / "curve.csv", "a") as file:
        file.write("10,2.5,9.9,0.9\n")  # a step after the last checkpoint
    again = small_model(tmp_path)
    again.restore()
    again.fit(data, nb_epoch=1, callbacks=CurveLog(tmp_path / "curve.csv", again, interval=2))
    rows = read_curve(Path(tmp_path / "curve.csv"))
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert all(0 < row["loss"] < 2 for row in rows)
    assert [row["epoch"] for row in rows] == pytest.approx([0.5, 1, 1.5, 2, 2.5, 3])


@pytest.mark.parametrize(
    ("epochs", "steps"),
    [(1, [1, 2, 3]), (20, [*range(3, 61, 3)]), (21, [*range(3, 64, 3)]), (14, [*range(2, 43, 2)])],
)
def test_a_short_curve_has_twenty_rows_or_all_steps(qm9_sample, tmp_path, epochs, steps):
    model = small_model(tmp_path, n_layers=1)
    log = CurveLog(tmp_path / "curve.csv", model)
    model.fit(qm9_sample.select(range(33)), nb_epoch=epochs, callbacks=log, checkpoint_interval=0)
    rows = read_curve(tmp_path / "curve.csv")
    assert [row["step"] for row in rows] == steps


@pytest.mark.parametrize(
    ("total", "seconds", "step", "elapsed", "due"),
    [
        (1_000_000, None, 99, 50.0, False), (1_000_000, None, 100, 0.0, True),
        (1_000_000, 60.0, 99, 2.9, False), (1_000_000, 60.0, 99, 3.1, True),
    ],
)  # fmt: skip
def test_a_row_is_a_hundred_steps_or_a_twentieth_of_the_time(
    tmp_path, total, seconds, step, elapsed, due
):
    log = CurveLog(tmp_path / "curve.csv", small_model(tmp_path))
    run = SimpleNamespace(total_steps=total, seconds=seconds)
    assert log._due(step, elapsed, run) is due


def test_a_deepchem_learning_rate_schedule_is_used(qm9_sample, tmp_path):
    schedule = dc.models.optimizers.ExponentialDecay(1e-3, 0.5, 1)
    model = EADModel(model_dir=str(tmp_path), **{**SMALL, "learning_rate": schedule})
    model.fit(qm9_sample.select(range(48)), nb_epoch=1)
    assert model._pytorch_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.5**3)


def test_averaged_weights_are_what_is_evaluated(qm9_sample, tmp_path):
    data = qm9_sample.select(range(16))
    model = small_model(tmp_path)
    model.fit(data, nb_epoch=3, checkpoint_interval=0)
    before = model.predict(data)
    with torch.no_grad():
        for parameter in model.model.denoiser.parameters():
            parameter.zero_()
    assert np.array_equal(before, model.predict(data))
    with torch.no_grad():
        for parameter in model.model.average.module.parameters():
            parameter.zero_()
    assert not np.array_equal(before, model.predict(data))


def test_the_average_follows_the_weights(tmp_path):
    model = small_model(tmp_path, ema_decay=0.9)
    network = model.model
    with torch.no_grad():
        for parameter in network.denoiser.parameters():
            parameter.fill_(1.0)
        for parameter in network.average.module.parameters():
            parameter.fill_(0.0)
    network.average.n_averaged.fill_(1000)  # past the ramp: the decay is 0.9
    for _ in range(3):
        network.after_optimizer_step()
    for parameter in network.average.module.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 1 - 0.9**3))


def test_losses_come_back_in_the_order_of_the_rows(qm9_sample, tmp_path):
    model = small_model(tmp_path)
    model._ensure_built()
    X = qm9_sample.X[::100][:10]  # mixed sizes, so sorting by size moves rows
    batch, _, _ = model._prepare_batch(([X], None, None))
    losses = model.model(batch)[:, 0]
    counts = batch["layout"].counts
    assert (counts.diff() >= 0).all() and (counts.diff() > 0).any()
    # the layout's molecule of each row has that row's size
    assert counts[batch["rank"]].tolist() == (X[:, :, 3] > 0).sum(1).tolist()
    by_layout = model.model(batch | {"rank": torch.arange(10)})[:, 0]
    assert torch.equal(losses, by_layout[batch["rank"]])
    assert not torch.equal(losses, by_layout)


def test_gradients_far_above_the_usual_are_clipped():
    parameter = torch.nn.Parameter(torch.zeros(4))
    clipper = GradientClipper(length=10)
    generator = torch.Generator().manual_seed(0)
    norms = (1 + 0.1 * torch.randn(20, generator=generator)).tolist()
    for norm in norms:
        parameter.grad = torch.full((4,), norm / 2)  # of this Euclidean norm
        assert float(clipper([parameter])) == pytest.approx(norm, rel=1e-5)
        assert float(parameter.grad.norm()) == pytest.approx(norm, rel=1e-5)
    recent = np.array(norms[-10:])
    limit = 1.5 * recent.mean() + 2 * recent.std()
    parameter.grad = torch.full((4,), 50.0)
    assert float(clipper([parameter])) == pytest.approx(100.0)
    assert float(parameter.grad.norm()) == pytest.approx(limit, rel=1e-4)
    # The clipped norm enters the history, so one outlier does not open the gate.
    assert float(clipper.norms.max()) == pytest.approx(limit, rel=1e-4)


def test_the_median_rule_does_not_follow_gradients_that_run_away():
    """Norms of about 1 and then two dozen, each a quarter larger than the one before."""
    taken = {}
    for rule in CLIPPING_RULES:
        parameter = torch.nn.Parameter(torch.zeros(4))
        clipper = GradientClipper(rule)
        for step in range(74):
            norm = 1 + 0.1 * (-1) ** step if step < 50 else 1.25 ** (step - 50)
            parameter.grad = torch.full((4,), norm / 2)
            clipper([parameter])
        taken[rule] = float(parameter.grad.norm())
    assert taken["median"] == pytest.approx(2 * 1.1, rel=1e-3)
    assert taken["edm"] > 2 * taken["median"]  # and so on, a tenth more with every step

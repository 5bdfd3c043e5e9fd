"""One trainer: the same steps wherever the data lie, and with any number of processes."""

from __future__ import annotations

import logging
import multiprocessing
import socket
import time

import deepchem as dc
import numpy as np
import pytest
import torch
from property_data import labelled

from deepchem_ead import EADModel, EGNNPropertyModel
from deepchem_ead.training.resident import ResidentTrainer
from deepchem_ead.training.resident_data import DoesNotFitError
from deepchem_ead.training.world import ProcessGroup, World

SMALL = {"preset": "qm9-small", "n_layers": 1, "n_features": 32, "batch_size": 32, "max_atoms": 25}
CONDITIONAL = {"conditions": "gap", "variable_size": True, "dummy_padding": "random",
               "p_fixed_size": 0.4, "p_uncond": 0.3, "feature_target": "types"}  # fmt: skip
TOLD = {"denoiser": "attention", "n_heads": 4, "self_conditioning": True, **CONDITIONAL}
TURNED = {"denoiser": "transformer", "n_heads": 4, "dummy_weight": 0.5, "variable_size": True}
DATA = labelled(["gap"], slice(0, 128))


def model(folder, **changes):
    return EADModel(model_dir=str(folder), **{**SMALL, **changes})


def assert_same(one, other, **tolerance):
    one, other = (m.state_dict() for m in (one, other))
    for name in one:
        torch.testing.assert_close(one[name], other[name], **{"rtol": 0, "atol": 0, **tolerance})


@pytest.mark.parametrize("changes", [{}, TOLD, TURNED, {**CONDITIONAL, "warmup_steps": 3}])
def test_fit_with_resident_molecules_is_the_resident_trainer(tmp_path, changes):
    fitted = model(tmp_path, placement="resident", **changes)
    fitted.fit(DATA, nb_epoch=2)
    assert fitted.training_position.placement == "resident"
    properties = DATA.y if "conditions" in changes else None
    trainer = ResidentTrainer(DATA.X, fitted.config, device="cpu", properties=properties)
    trainer.fit(epochs=2)
    assert_same(fitted.model, trainer.network)
    assert fitted.get_global_step() == trainer.global_step == 8


def test_both_placements_draw_the_same_noise(tmp_path):
    """Given the same molecules: one batch of all."""
    X = DATA.X[(DATA.X[:, :, 3] > 0).sum(1) == 15][:8]
    data = dc.data.NumpyDataset(np.repeat(X[:1], 8, 0), np.zeros((8, 1)))
    host, resident = (
        model(tmp_path / p, batch_size=8, placement=p, **TURNED) for p in ("host", "resident")
    )
    for one in (host, resident):
        one.fit(data, nb_epoch=3, checkpoint_interval=0)
    assert_same(host.model, resident.model, rtol=1e-5, atol=1e-6)


def test_a_stopped_run_of_resident_molecules_goes_on_bit_for_bit(tmp_path):
    whole = model(tmp_path / "whole", placement="resident", **CONDITIONAL)
    whole.fit(DATA, nb_epoch=3)
    stopped = model(tmp_path / "run", placement="resident", **CONDITIONAL)
    stopped.fit(DATA, nb_epoch=3, callbacks=lambda m, step: step == 6 and m.stop_training())
    assert stopped.get_global_step() == 6
    resumed = model(tmp_path / "run", **CONDITIONAL)  # "auto": where it began
    resumed.fit(DATA, nb_epoch=2, restore=True)
    assert resumed.training_position.placement == "resident"
    assert_same(whole.model, resumed.model)
    resumed.fit(DATA, nb_epoch=1)
    assert resumed.training_position.placement == "host"  # a run of its own, on a CPU


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"batch_size": 3}, {}, r"batch_size=3, but molecules come in \d+ sizes"),
        ({}, {"deterministic": True}, "in the order of the rows need placement='host'"),
        ({}, {"w": 2.0}, "weights of their own need placement='host'"),
        ({}, {"limit": 1000}, "0.0 GiB are too many"),
    ],
)
def test_what_does_not_fit_is_refused_or_stays_on_the_host(
    tmp_path, caplog, monkeypatch, changes, options, message
):
    w = DATA.w.copy()
    w[0] = options.pop("w", 1.0)
    if "limit" in options:
        limit = options.pop("limit")
        monkeypatch.setattr("deepchem_ead.training.batches.IN_MEMORY_BYTES", limit)
    data = dc.data.NumpyDataset(DATA.X, DATA.y, w, DATA.ids)
    with pytest.raises(DoesNotFitError, match=message):
        model(tmp_path, placement="resident", **changes).fit(data, nb_epoch=1, **options)
    auto = model(tmp_path, **changes)
    auto.training_position.finished, auto.training_position.placement = False, "resident"
    with caplog.at_level(logging.INFO):
        placement = auto._placement(data, options.get("deterministic", False))
    assert "stay on the host: " in caplog.text and auto.training_position.placement == "host"
    assert placement.n_batches == -(-len(data) // auto.batch_size)


def test_weights_that_say_what_is_known_are_no_obstacle(tmp_path):
    w = DATA.w.copy()
    w[::3] = 0
    data = dc.data.NumpyDataset(DATA.X, DATA.y, w, DATA.ids)
    assert model(tmp_path, placement="resident", **CONDITIONAL).fit(data, nb_epoch=1) > 0


def test_a_loss_that_is_no_number_names_resident_molecules(tmp_path):
    broken = model(tmp_path, placement="resident")
    with torch.no_grad():
        next(broken.model.denoiser.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="no step was taken.*" + str(DATA.ids[0])[:1]):
        broken.fit(DATA, nb_epoch=1)
    assert not broken.get_checkpoints()


# ---------------------------------------------------------------------------- several processes

KINDS = {
    "egnn": {"preset": "qm9-small", "placement": "host"},
    "resident": {**SMALL, **CONDITIONAL, "placement": "resident"},
    "told": {**SMALL, **TOLD, "placement": "host", "seed": 2},
}
TINY = {"n_layers": 1, "n_features": 32, "batch_size": 31, "max_atoms": 25}  # unequal shares


def fitted(kind, folder, world):
    if kind == "property":
        one = EGNNPropertyModel(["gap"], model_dir=folder, **TINY)
    else:
        one = EADModel(model_dir=folder, **{**KINDS[kind], **TINY})
    one.world = world
    losses = []
    one.fit(DATA, nb_epoch=1, callbacks=lambda m, step: losses.append(m.last_loss))
    return one.model.state_dict(), losses, len(one.get_checkpoints())


def work(rank, size, port, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size
    )
    kinds = (*KINDS, "property")
    # A folder each, or whether the second sees what the first has written is left to chance.
    found = {kind: fitted(kind, f"{folder}/{rank}/{kind}", ProcessGroup()) for kind in kinds}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes has after training together."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(r, 2, port, str(folder))) for r in (0, 1)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + 120
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("kind", [*KINDS, "property"])
def test_two_processes_train_as_one_with_the_joint_batch(two, tmp_path, kind):
    expected, losses, _ = fitted(kind, tmp_path, World())
    for found, their_losses, _ in (process[kind] for process in two):
        assert their_losses == pytest.approx(losses, rel=1e-5)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
    first, second = (process[kind] for process in two)
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert first[2] and not second[2]  # one of them writes

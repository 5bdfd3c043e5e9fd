"""Norms of gradients while a model is trained, and what is said when they run away."""

from __future__ import annotations

import logging
from contextlib import suppress
from types import SimpleNamespace

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import EADModel
from deepchem_ead.models import EADConfig
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.optim.clipping import GradientClipper
from deepchem_ead.training.gradients import FACTOR, LOOK, GradientWatch, median_norm
from deepchem_ead.training.resident import ResidentTrainer

#: Steps after which a run of `qm9-joint` had begun to run away, and its median norms there.
RUN_AWAY = np.array([0, 80, 200, 500]), np.array([0.45, 1.0, 20.0, 100.0])
TINY = {"n_layers": 1, "n_features": 32, "batch_size": 8, "variable_size": False}


def small_molecules(n):
    """X of n molecules of 10 to 13 atoms: a batch of eight has a place for each size."""
    X = load_sample()[0].to_padded(29)
    counts = (X[:, :, 3] > 0).sum(1)
    return X[(counts > 9) & (counts < 14)][:n, :13]


def watched(norms, tmp_path, caplog, checkpoints=()):
    """Messages about a run of these median norms, one a look."""
    for step in checkpoints:
        (tmp_path / f"checkpoint-{step:09}.safetensors").touch()
    clipper = GradientClipper()
    watch = GradientWatch(SimpleNamespace(clipper=clipper), tmp_path, 1e-3)
    with caplog.at_level(logging.WARNING, logger="deepchem_ead"):
        for k, norm in enumerate(norms):
            clipper.seen.fill_(float(norm))
            watch((k + 1) * LOOK)
    return [record.getMessage() for record in caplog.records]


def test_the_known_case_is_named_once_with_its_remedy(tmp_path, caplog):
    """Within 200 steps, when the loss was a number and clipping still hid it."""
    steps, norms = RUN_AWAY
    after = np.exp(np.interp(np.arange(LOOK, 501, LOOK), steps, np.log(norms)))
    run = np.concatenate([np.full(20, 0.45), after])
    (message,) = watched(run, tmp_path, caplog, checkpoints=(500, 1000, 1150))
    step = int(message.split("at step ")[1].split(":")[0])
    assert 1000 < step <= 1200
    assert "learning_rate (now 0.001" in message and "checkpoint-000001000" in message


@pytest.mark.parametrize("norms", [
    [30, 12, 5, 2, 1, 0.6, 0.5, *[0.4] * 20],  # the beginning of a run
    [*[0.3, 0.6, 0.45] * 20],
    np.geomspace(0.2, 2.0, 100),  # slow growth, over 5,000 steps
    [np.nan] * 20,
    [0.4, 0.5, 9, 0.4, 0.4, 0.5, 0.4],  # not enough is known to call anything usual
])  # fmt: skip
def test_what_is_usual_is_not_warned_of(norms, tmp_path, caplog):
    assert watched(norms, tmp_path, caplog) == []


def test_without_a_checkpoint_from_before_the_remedy_is_to_begin_again(tmp_path, caplog):
    (message,) = watched([0.4] * 6 + [5, 50, 500], tmp_path, caplog, checkpoints=(400,))
    assert message.endswith("and begin again")


def test_norms_are_seen_before_clipping_and_are_not_saved():
    clipper = GradientClipper("median")
    weight = torch.zeros(1, requires_grad=True)
    for k in range(60):
        weight.grad = torch.full((1,), 100.0 if k >= 30 else 1.0)
        clipper([weight])
    assert float(clipper.seen.nanmedian()) == 100.0 > 4 * float(clipper.norms.median())
    assert set(clipper.state_dict()) == {"norms", "n_steps"}
    assert np.isnan(median_norm(torch.nn.Linear(1, 1)))


def test_an_exploding_model_is_noticed_while_its_loss_is_a_number(tmp_path, caplog):
    """Its weights grow by a tenth a step from step 210 on."""
    model = EADModel("qm9-small", model_dir=str(tmp_path), **TINY | {"batch_size": 2})
    data = small_molecules(20)

    def explode(model, step, **_):
        if step > 210:
            with torch.no_grad():
                for p in model.model.denoiser.parameters():
                    p.mul_(1.1)

    with caplog.at_level(logging.WARNING, logger="deepchem_ead"):
        with suppress(FloatingPointError):  # it may get that far
            model.fit(
                dc.data.NumpyDataset(data), nb_epoch=27, callbacks=explode, checkpoint_interval=100
            )
    messages = [r.getMessage() for r in caplog.records if "running away" in r.getMessage()]
    assert len(messages) == 1 and "checkpoint-000000" in messages[0]
    assert FACTOR > 2


def test_fit_says_loss_and_norm(tmp_path):
    model = EADModel("qm9-small", model_dir=str(tmp_path), log_frequency=5, **TINY)
    data = small_molecules(64)
    assert model.history == [] and np.isnan(model.gradient_norm)
    model.fit(dc.data.NumpyDataset(data), nb_epoch=2)
    assert [row["step"] for row in model.history] == [5, 10, 15, 16]
    assert model.history[-1]["gradient_norm"] == model.gradient_norm > 0
    rows = []
    config = EADConfig.load("qm9-small", **TINY)
    trainer = ResidentTrainer(data, config, device="cpu", block_steps=8)
    trainer.fit(epochs=2, report=rows.append)
    assert [row["step"] for row in rows] == [8, 16]
    assert all(row["gradient_norm"] > 0 for row in rows)

"""Copies of models: they go on learning where the original is, and leave its folder alone."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import subprocess
import sys
from pathlib import Path

import deepchem as dc
import joblib
import numpy as np
import pytest
import torch
from property_data import labelled

from deepchem_ead import EADModel, EGNNPropertyModel
from deepchem_ead.models import PropertyEnsemble


def through(dump, load):
    def copied(model):
        stream = io.BytesIO()
        dump(model, stream)
        stream.seek(0)
        return load(stream)

    return copied


WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": through(pickle.dump, pickle.load),
    "joblib": through(joblib.dump, joblib.load),
    "torch.save": through(torch.save, lambda stream: torch.load(stream, weights_only=False)),
}
SMALL = {"n_layers": 1, "n_features": 32, "batch_size": 8}
MODELS = {
    "property": lambda: EGNNPropertyModel(["gap"], learning_rate_decay="wsd", **SMALL),
    "generator": lambda: EADModel("qm9-small", **SMALL),
    "self-conditioning": lambda: EADModel(
        "qm9", n_heads=2, conditions=["gap"], warmup_steps=3, **SMALL
    ),
    "scheduled": lambda: EADModel(  # a rate that is a function, which cannot be pickled
        "qm9-small", **SMALL, learning_rate=dc.models.optimizers.PolynomialDecay(1e-3, 1e-4, 10)
    ),
}
DATA = labelled(["gap"], slice(0, 20))


def weights(model):
    return model.model.state_dict()


def assert_same_training(one, other):
    """Weights, averages, gradient norms, moments and rates, to the last bit."""
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(other)[name]), name
    torch.testing.assert_close(
        one._pytorch_optimizer.state_dict(), other._pytorch_optimizer.state_dict(), rtol=0, atol=0
    )
    assert one.get_global_step() == other.get_global_step()


@pytest.mark.parametrize(
    ("kind", "way"),
    [("property", way) for way in WAYS] + [(kind, "pickle") for kind in MODELS]
    + [("self-conditioning", "deepcopy"), ("scheduled", "joblib")],
)  # fmt: skip
def test_a_copy_trains_as_the_original(kind, way):
    model = MODELS[kind]()
    model.fit(DATA, nb_epoch=1)
    other = WAYS[way](model)
    before = {name: tensor.clone() for name, tensor in weights(other).items()}
    model.fit(DATA, nb_epoch=2)
    for name, tensor in weights(other).items():  # the copy has tensors of its own
        assert torch.equal(tensor, before[name]), name
    other.fit(DATA, nb_epoch=2)
    assert_same_training(model, other)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in weights(other).items())


def test_a_copy_of_a_new_model_trains_as_the_original():
    model = MODELS["property"]()
    other = copy.deepcopy(model)
    for one in (model, other):
        one.fit(DATA, nb_epoch=1)
    assert_same_training(model, other)


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_temporary_folder_is_its_owners(way):
    model = MODELS["property"]()
    model.fit(DATA, nb_epoch=1)
    first, second = (WAYS[way](model) for _ in range(2))
    folders = [Path(one.model_dir) for one in (model, first, second)]
    assert len(set(folders)) == 3
    del first
    gc.collect()
    assert [folder.is_dir() for folder in folders] == [True, False, True]
    second.fit(DATA, nb_epoch=1)
    assert second.get_checkpoints() and model.get_checkpoints()


def test_a_named_folder_is_kept(tmp_path):
    model = EGNNPropertyModel(["gap"], model_dir=tmp_path / "run", **SMALL)
    assert pickle.loads(pickle.dumps(model)).model_dir == model.model_dir
    del model
    gc.collect()
    assert (tmp_path / "run").is_dir()


def test_an_ensemble_is_copied_whole():
    ensemble = PropertyEnsemble([EGNNPropertyModel(["gap"], seed=s, **SMALL) for s in (0, 1)])
    other = pickle.loads(pickle.dumps(ensemble))
    for model in (*ensemble.models, *other.models):
        model.fit(DATA, nb_epoch=1)
    assert np.array_equal(ensemble.predict(DATA), other.predict(DATA))


CONTINUE = """
import sys, torch, joblib
model, data = joblib.load(sys.argv[1])
model.fit(data, nb_epoch=2)
torch.save(model.model.state_dict(), sys.argv[2])
"""


@pytest.mark.slow
def test_a_copy_trains_in_another_process(tmp_path):
    model = MODELS["self-conditioning"]()
    model.fit(DATA, nb_epoch=1)
    joblib.dump((model, DATA), tmp_path / "model.joblib")
    command = [sys.executable, "-c", CONTINUE, tmp_path / "model.joblib", tmp_path / "weights.pt"]
    subprocess.run(command, check=True, timeout=300)
    model.fit(DATA, nb_epoch=2)
    theirs = torch.load(tmp_path / "weights.pt")
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, theirs[name]), name

"""Labelled QM9 molecules and small property models for the tests."""

from __future__ import annotations

import deepchem as dc
import numpy as np
import torch

from deepchem_ead import EGNNPropertyModel
from deepchem_ead.molnet.qm9 import task_values
from deepchem_ead.molnet.sample import load_sample

SMALL = {"n_layers": 2, "n_features": 32, "batch_size": 16, "warmup_steps": 0}


def labelled(tasks: list[str], rows=slice(None)) -> dc.data.NumpyDataset:
    """Molecules of the shipped sample with their properties, in a shuffled order."""
    table, _ = load_sample()
    table = table.select(np.random.default_rng(0).permutation(len(table))[rows])
    y = np.stack([task_values(table, task) for task in tasks], 1)
    return dc.data.NumpyDataset(table.to_padded(29), y, np.ones(y.shape), table.smiles)


def small_model(tasks, model_dir=None, **changes) -> EGNNPropertyModel:
    """A property model that trains in seconds."""
    folder = None if model_dir is None else str(model_dir)
    return EGNNPropertyModel(tasks, model_dir=folder, **{**SMALL, **changes})


def weights(model) -> dict[str, torch.Tensor]:
    """The state of a model's network, copied."""
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


def assert_same_weights(one: dict, other: dict) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name

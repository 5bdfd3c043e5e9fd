"""Checkpoints of half the size."""

from pathlib import Path

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import EADModel, EGNNPropertyModel, load_qm9_3d
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator.checkpoint import read_tensors
from deepchem_ead.generator.compact import compacted, expanded, read_checkpoint, write_compact

OPTIONS = dict(
    variable_size=False, n_layers=1, n_features=32, batch_size=16, amsgrad=True,
    conditions=["gap"], ema_decay=0.9, learning_rate=1e-3,
)  # fmt: skip


def labelled(dataset, n):
    """The first n molecules with a label that any number will do for."""
    X, ids = dataset.X[:n], dataset.ids[:n]
    y = (X[:, :, 3] == 1).sum(1, keepdims=True).astype(float)
    return dc.data.NumpyDataset(X, y, np.ones_like(y), ids)


@pytest.fixture(scope="module")
def run(qm9_sample, tmp_path_factory):
    """A model that was trained for 30 steps, with its checkpoint, and its data."""
    data = labelled(qm9_sample, 160)
    model = EADModel(**OPTIONS, model_dir=tmp_path_factory.mktemp("run"))
    model.fit(data, nb_epoch=3)
    return model, data


def test_weights_are_exact_and_the_rest_is_near(run, tmp_path):
    model, _ = run
    path = write_compact(model.get_checkpoints()[0], tmp_path)
    exact, data = read_tensors(model.get_checkpoints()[0])
    near, same_data = read_checkpoint(path)
    assert near.keys() == exact.keys() and data == same_data
    seen = set()
    for name, tensor in exact.items():
        found = near[name]
        assert found.dtype == tensor.dtype and found.shape == tensor.shape, name
        entry = name.split("/")[-1]
        if entry in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"):
            seen.add(entry)
            # Three bits of the mantissa, or the smallest number above zero.
            roots = [t if entry == "exp_avg" else t.sqrt() for t in (found, tensor)]
            error = 2**-4 * roots[1].abs() + 2**-9 / 448 * roots[1].abs().max()
            assert bool(((roots[0] - roots[1]).abs() <= 1.001 * error).all()), name
            assert bool(((found == 0) == (tensor == 0)).all()), name
        elif "average.module" in name and tensor.is_floating_point():
            seen.add("average")
            follows = name.replace("embedding_average.module", "embedding")
            follows = exact[follows.replace("average.module", "denoiser")]
            assert not torch.equal(tensor, follows)
            assert bool(((found - tensor).abs() <= 0.004 * (tensor - follows).abs() + 1e-7).all())
        else:
            assert torch.equal(found, tensor), name
    assert seen == {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "average"}


def test_half_the_size(run, tmp_path):
    """4 bytes instead of 4 x 5 for weights, average and three moments, but for a few numbers."""
    tensors, _ = read_tensors(run[0].get_checkpoints()[0])
    size = {
        name: sum(t.numel() * t.element_size() for t in group.values())
        for name, group in (("exact", tensors), ("compact", compacted(tensors)))
    }
    assert size["compact"] < 0.5 * size["exact"]


def test_training_goes_on_almost_as_from_the_exact_state(run, tmp_path):
    model, data = run
    write_compact(model.get_checkpoints()[0], tmp_path)
    (tmp_path / "other").mkdir()
    losses = {}
    for name, restore in (
        ("exact", lambda m: m.restore(model.get_checkpoints()[0])),
        ("compact", lambda m: m.restore(model_dir=str(tmp_path))),
        ("weights", lambda m: None),
    ):
        start = model.get_checkpoints()[0] if name == "weights" else None
        other = EADModel(**OPTIONS, initial_weights=start, model_dir=str(tmp_path / "other"))
        restore(other)
        losses[name] = []
        watch = lambda m, step, found=losses[name], **_: found.append(m.last_loss)  # noqa: E731
        other.fit(data, nb_epoch=1, callbacks=[watch], checkpoint_interval=0)
        assert other.get_global_step() == (10 if name == "weights" else 40)
    exact, compact, weights = (np.array(losses[name]) for name in losses)
    assert exact[0] == compact[0]  # the weights are the same
    assert 0 < np.abs(compact - exact).max() < 0.1 * np.abs(weights - exact).max()


def test_nothing_becomes_zero_and_zero_stays():
    moments = torch.tensor([1.0, 1e-30, 0.0, -1.0] * 100)
    tensors = {
        "optimizer/0/exp_avg": moments,
        "optimizer/0/exp_avg_sq": moments.abs(),
        "optimizer/1/exp_avg": torch.zeros(3, 5),
        "optimizer/1/step": torch.tensor(7.0),
    }
    found = expanded(compacted(tensors))
    assert torch.equal(found["optimizer/0/exp_avg"].sign(), moments.sign())
    assert torch.equal(found["optimizer/0/exp_avg_sq"].sign(), moments.abs().sign())
    assert torch.equal(found["optimizer/1/exp_avg"], torch.zeros(3, 5))
    assert found["optimizer/1/step"] == 7


def test_property_models_have_compact_checkpoints_too(qm9_sample, tmp_path):
    data = labelled(qm9_sample, 32)
    options = dict(tasks=["gap"], n_layers=1, n_features=32, batch_size=16)
    model = EGNNPropertyModel(**options, model_dir=tmp_path / "run")
    model.fit(data, nb_epoch=2)
    path = write_compact(model.get_checkpoints()[0], tmp_path / "small")
    tensors, _ = read_tensors(path)
    assert any(name.startswith("difference/average.module") for name in tensors)
    other = EGNNPropertyModel(**options, model_dir=tmp_path / "small")
    other.restore()
    assert np.abs(other.predict(data) - model.predict(data)).max() < 1e-4
    other.fit(data, nb_epoch=1)


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        write_compact(tmp_path / "none.safetensors", tmp_path)


def test_the_run_of_the_first_model_goes_on_where_it_stopped(tmp_path):
    """The state in the repository is that of the weights in the package, and learns on."""
    run = Path(__file__).parents[3] / "benchmarks" / "runs" / "qm9-1"
    shipped = EADModel.from_pretrained("qm9-1")
    model = EADModel(run / "config.yaml", precision="fp32", model_dir=tmp_path)
    model.restore(model_dir=str(run))
    assert model.get_global_step() == 112_422
    weights, expected = (m.model.sampling_denoiser.state_dict() for m in (model, shipped))
    follows = model.model.denoiser.state_dict()
    for name, tensor in expected.items():
        error = 0.004 * (follows[name] - tensor).abs() + 2e-7 * tensor.abs()
        assert bool(((weights[name] - tensor).abs() <= error + 1e-9).all()), name
    tasks = list(model.config.condition_names)
    _, (train, _, _), _ = load_qm9_3d(source="sample", tasks=tasks)
    loss = model.fit(train.select(range(64)), nb_epoch=1, checkpoint_interval=0)
    assert loss < 0.3  # of a network that knows nothing: 1
    assert model.get_global_step() == 112_424

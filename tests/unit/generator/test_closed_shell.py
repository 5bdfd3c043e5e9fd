"""Generated molecules with an even number of electrons."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from deepchem.data import NumpyDataset

from deepchem_ead import EADModel

SMALL = dict(preset="qm9", n_layers=1, n_features=24, n_heads=2, batch_size=4, timesteps=50)


@pytest.fixture(scope="module")
def qm9_model():
    return EADModel.from_pretrained("qm9-1", precision="fp32")


def odd_share(molecules) -> float:
    return np.mean([np.sum(molecule.atomic_numbers) % 2 for molecule in molecules])


@pytest.mark.parametrize("n_atoms", ["histogram", "free"])
def test_molecules_have_closed_shells(qm9_model, n_atoms):
    """Of a given size or of one that the model finds, with the weak model that came along."""
    options = dict(n_atoms=n_atoms, steps=30, seed=0, progress=False, noise_scale=1.0)
    closed = qm9_model.generate(40, **options)
    assert closed.info["closed_shell"] is True
    assert odd_share(closed) <= 0.05
    any_shell = qm9_model.generate(40, closed_shell=False, **options)
    assert any_shell.info["closed_shell"] is False
    assert odd_share(any_shell) >= 0.15


@pytest.mark.parametrize("closed_shell", [False, True])
@pytest.mark.parametrize("schedule", ["random-coin", "synchronous"])
def test_a_given_size_has_no_dummy_atoms(closed_shell, schedule):
    """However sure the network is of them: no estimate has any, and elements are not noise."""
    model = EADModel(**SMALL, ema_decay=0.9)
    model.model.size_counts[5] = 1
    network, seen = model.model.sampling_denoiser, []
    dummy, n_elements = 3 + 5, 5

    def sure_of_dummies(module, inputs, outputs):
        dx, h = outputs
        return dx, h + 20 * (torch.arange(h.shape[1]) == n_elements)

    def look(step):
        seen.append(step["x_hat"][:, 3 : dummy + 1].numpy().copy())

    hook = network.register_forward_hook(sure_of_dummies)
    options = dict(steps=20, seed=0, progress=False, closed_shell=closed_shell, schedule=schedule)
    molecules = model.generate(4, n_atoms=6, callback=look, **options)
    x_hat = np.concatenate(seen) * model.config.type_scale
    assert np.abs(x_hat[:, -1]).max() < 1e-3  # what rounding leaves of w - tau (w - 0) / tau
    assert x_hat[:, :-1].sum(1) == pytest.approx(1, abs=1e-2)
    if closed_shell:
        assert odd_share(molecules) == 0
    assert model.generate(4, n_atoms="free", **options).counts.sum() == 0
    hook.remove()


def test_they_do_not_depend_on_the_batch(qm9_model):
    options = dict(n_atoms="histogram", steps=10, seed=1, progress=False)
    together = qm9_model.generate(5, **options)
    apart = qm9_model.generate(5, batch_size=2, **options)
    assert np.array_equal(together.coordinates, apart.coordinates)


def test_a_model_that_predicts_noise_refuses():
    model = EADModel(preset="qm9-small", n_layers=1, n_features=32)
    with pytest.raises(ValueError, match="needs a model that predicts types"):
        model.generate(1, n_atoms=5, steps=2, closed_shell=True)
    with pytest.raises(ValueError, match="closed_shell needs feature_target='types'"):
        EADModel(preset="qm9-small", closed_shell=True)


def test_training_molecules_of_a_kind_that_will_not_be_generated_are_named(qm9_sample, tmp_path):
    X, names = qm9_sample.X[:8].copy(), qm9_sample.ids[:8]
    radical = int(np.flatnonzero(X[3, :, 3] == 1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = EADModel(**SMALL, model_dir=str(tmp_path / "closed"))
        model.fit(NumpyDataset(X.copy(), ids=names), nb_epoch=1)
    X[3, radical, 3] = 6  # a carbon in place of a hydrogen atom
    data = NumpyDataset(X, ids=names)
    model = EADModel(**SMALL, model_dir=str(tmp_path / "open"))
    with pytest.warns(UserWarning, match="1 of 8 training molecules .* for example") as caught:
        model.fit(data, nb_epoch=1)
    assert f", {names[3]} for" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = EADModel(**SMALL, closed_shell=False, model_dir=str(tmp_path / "any"))
        model.fit(data, nb_epoch=1)

"""Predicted standard deviations: they follow the errors, can be calibrated, and combine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from property_data import labelled, small_model

from deepchem_ead import EGNNPropertyModel, MoleculeBatch
from deepchem_ead.models import PropertyEnsemble
from deepchem_ead.properties.network import property_loss

TASKS = ["alpha", "gap"]


@pytest.fixture(scope="module")
def trained():
    model = small_model(TASKS, learning_rate=3e-3, ema_decay=0.99, n_features=64)
    model.fit(labelled(TASKS, slice(0, 1500)), nb_epoch=6, checkpoint_interval=0)
    return model


def test_larger_predicted_deviations_go_with_larger_errors(trained):
    """Held-out molecules: the half with the larger deviation has clearly the larger errors."""
    data = labelled(TASKS, slice(1500, 2000))
    mean, std = trained.predict_uncertainty(data)
    assert mean.shape == std.shape == data.y.shape
    assert np.array_equal(mean, trained.predict(data))
    errors = np.abs(mean - data.y)
    for k, task in enumerate(TASKS):
        unsure = std[:, k] > np.median(std[:, k])
        ratio = errors[unsure, k].mean() / errors[~unsure, k].mean()
        assert ratio > 1.15, (task, ratio)


def test_calibration_makes_expected_errors_the_observed_ones(trained, tmp_path):
    data = labelled(TASKS, slice(1500, 1750))
    trained.save_pretrained(tmp_path)
    model = EGNNPropertyModel.from_pretrained(tmp_path)
    before = model.predict_uncertainty(data)[1]
    factor = model.calibrate(data)
    mean, std = model.predict_uncertainty(data)
    assert std == pytest.approx(before * factor)
    # The mean absolute error of a Laplace distribution is its standard deviation over sqrt 2.
    assert (std / np.sqrt(2)).mean(0) == pytest.approx(np.abs(mean - data.y).mean(0))
    model.save_pretrained(tmp_path)
    again = EGNNPropertyModel.from_pretrained(tmp_path)
    assert np.array_equal(again.predict_uncertainty(data)[1], std)


def test_the_deviation_does_not_change_what_is_learned():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(6, 2, 3, generator=generator, requires_grad=True)
    target, weight = torch.randn(6, 3, generator=generator), torch.rand(6, 3, generator=generator)
    loss = property_loss([output], [target], [weight])
    (gradient,) = torch.autograd.grad(loss, output)
    value = output[:, 0].detach().requires_grad_()
    l1 = ((value - target).abs() * weight).sum() / weight.sum()
    assert torch.allclose(gradient[:, 0], torch.autograd.grad(l1, value)[0])
    # The best scale is the error itself: there the gradient of the scale vanishes.
    perfect = (output[:, 0] - target).detach().abs().log()
    output = torch.stack([output[:, 0].detach(), perfect], 1).requires_grad_()
    (gradient,) = torch.autograd.grad(property_loss([output], [target], [weight]), output)
    assert gradient[:, 1].abs().max() < 1e-6


def test_the_deviation_passes_no_gradient_to_the_network():
    network = small_model(TASKS).model.egnn
    x, types = torch.randn(3, 3), torch.eye(5)[[0, 1, 2]]
    from deepchem_ead.diffusion import AtomLayout

    network(x, types, AtomLayout.from_counts([3]))[1].sum().backward()
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"log_scale"}


def test_ensemble_adds_the_disagreement():
    data = labelled(TASKS, slice(0, 30))
    models = [small_model(TASKS, seed=seed) for seed in range(3)]
    for model in models:
        model.fit(data, nb_epoch=1, checkpoint_interval=0)
    ensemble = PropertyEnsemble(models)
    mean, std = ensemble.predict_uncertainty(data)
    parts = [model.predict_uncertainty(data) for model in models]
    means, stds = (np.stack(p) for p in zip(*parts, strict=True))
    assert mean == pytest.approx(means.mean(0))
    assert std**2 == pytest.approx((stds**2).mean(0) + means.var(0))
    assert means.var(0).min() > 0
    molecules = MoleculeBatch.from_padded(data.X)
    assert ensemble.predict_molecules(molecules) == pytest.approx(mean)
    assert ensemble.predict(data) == pytest.approx(mean)


def test_ensembles_of_unlike_models_are_refused():
    with pytest.raises(ValueError, match="at least two models, not 1"):
        PropertyEnsemble([small_model(["gap"])])
    with pytest.raises(ValueError, match="differ in tasks: gap and mu"):
        PropertyEnsemble([small_model(["gap"]), small_model(["mu"])])
    with pytest.raises(ValueError, match="differ in elements"):
        PropertyEnsemble([small_model(["gap"]), small_model(["gap"], elements="H,C,N,O")])

"""Properties as differentiable functions of positions and soft atom types, for guidance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from property_data import labelled, small_model

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.models import PropertyEnsemble
from deepchem_ead.properties.network import PropertyEGNN


@pytest.fixture(scope="module")
def model():
    model = small_model(["alpha", "gap"])
    model.fit(labelled(["alpha", "gap"], slice(0, 200)), nb_epoch=1, checkpoint_interval=0)
    return model


def flat(model, data):
    encoded = model.encoding.encode(data.X)
    clean = encoded.clean
    return clean[:, :3].contiguous(), clean[:, 3:].contiguous(), encoded.layout, encoded.order


def test_agrees_with_predict(model):
    data = labelled(["alpha", "gap"], slice(0, 12))
    x, types, layout, order = flat(model, data)
    value = model.property_of(x, types, layout)
    assert value.dtype == torch.float32
    assert value.detach().numpy() == pytest.approx(model.predict(data)[order], rel=1e-5)
    normalised = model.property_of(x, types, layout, normalised=True).detach().numpy()
    y = labelled(["alpha", "gap"], slice(0, 200)).y  # what it was trained on
    expected = (model.predict(data)[order] - y.mean(0)) / np.abs(y - y.mean(0)).mean(0)
    assert normalised == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_gradients_are_those_of_finite_differences(model):
    """In double precision, where the difference quotient is exact to 1e-6."""
    x, types, layout, _ = flat(model, labelled(["alpha", "gap"], slice(0, 3)))
    x, types = x.double(), 0.8 * types.double() + 0.04
    network = model.model
    exact = PropertyEGNN(5, 2, 2, 32, backend="torch").double()
    exact.load_state_dict(network.average.module.state_dict())

    def value(x, types):
        return network.baseline(types, layout) + network.scale * exact(x, types, layout)[0]

    picks = torch.tensor([0.3, -2.0], dtype=torch.float64)
    x.requires_grad_(), types.requires_grad_()
    wanted = torch.autograd.grad((value(x, types) * picks).sum(), (x, types))
    generator = torch.Generator().manual_seed(0)
    for tensor, gradient in zip((x, types), wanted, strict=True):
        step = 1e-5 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        arguments = {True: (x, types)}
        moved = [
            value(*(t + sign * step if t is tensor else t for t in arguments[True]))
            for sign in (1, -1)
        ]
        quotient = ((moved[0] - moved[1]) * picks).sum()
        assert float(quotient) == pytest.approx(float(2 * (gradient * step).sum()), rel=1e-5)

    # The same function in single precision, through the fast kernel.
    single = [t.detach().float().requires_grad_() for t in (x, types)]
    fast = (model.property_of(*single, layout) * picks.float()).sum()
    for got, expected in zip(torch.autograd.grad(fast, single), wanted, strict=True):
        assert float((got - expected).norm() / expected.norm()) < 1e-4


def test_molecules_do_not_touch_each_other(model):
    x, types, layout, _ = flat(model, labelled(["alpha", "gap"], slice(0, 4)))
    x.requires_grad_()
    value = model.property_of(x, types, layout)[1].sum()
    (gradient,) = torch.autograd.grad(value, x)
    own = layout.index == 1
    assert gradient[own].abs().min() > 0 and not gradient[~own].any()
    # Invariance: no net force on a molecule.
    assert gradient.sum(0).abs().max() < 1e-3 * gradient.abs().max()


def test_weights_get_no_gradient(model):
    x, types, layout, _ = flat(model, labelled(["alpha", "gap"], slice(0, 2)))
    x.requires_grad_()
    model.model.zero_grad()
    model.property_of(x, types, layout).sum().backward()
    assert x.grad.any()
    assert all(p.grad is None for p in model.model.parameters())


def test_single_atoms_and_coincident_atoms_are_finite(model):
    layout = AtomLayout.from_counts([1, 2])
    x = torch.zeros(3, 3, requires_grad=True)
    value = model.property_of(x, torch.eye(5)[[0, 1, 1]], layout)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert torch.isfinite(value).all() and torch.isfinite(gradient).all()


def test_an_ensemble_is_the_mean_of_its_models(model):
    other = small_model(["alpha", "gap"], seed=1)
    other.fit(labelled(["alpha", "gap"], slice(0, 64)), nb_epoch=1, checkpoint_interval=0)
    ensemble = PropertyEnsemble([model, other])
    x, types, layout, _ = flat(model, labelled(["alpha", "gap"], slice(0, 4)))
    one, two = (m.property_of(x, types, layout) for m in (model, other))
    assert torch.allclose(ensemble.property_of(x, types, layout), (one + two) / 2)
    normalised = ensemble.property_of(x, types, layout, normalised=True)
    expected = ((one + two) / 2 - model.model.mean) / model.model.mad
    assert normalised.detach().numpy() == pytest.approx(expected.detach().numpy(), rel=1e-4)

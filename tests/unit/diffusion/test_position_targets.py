"""What the network says about positions: exact for a cloud, velocities at equal levels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sampling_toys import make_process, pair_denoiser, random_rotation, seeing

from deepchem_ead.diffusion import (
    AtomLayout,
    PositionNoise,
    PositionResidual,
    position_target,
    project_noise,
    sample_levels,
)

SCALE = 1.5


@seeing
def silent(x, h, layout):
    """A denoiser with nothing to say."""
    return torch.zeros_like(x), h[:, :1]


def cloud(counts, levels_of=None, seed=0):
    """A layout, levels, clean data (A, 4) of normal positions around anywhere, and draws."""
    layout = AtomLayout.from_counts(counts)
    generator = torch.Generator().manual_seed(seed)
    levels = levels_of or (lambda layout, g: sample_levels(layout, 100, 10, generator=g))
    clean, eps = torch.randn(2, layout.n_nodes, 4, generator=generator, dtype=torch.float64)
    clean[:, :3] *= SCALE
    shift = 9 * torch.randn(layout.n_molecules, 3, generator=generator, dtype=torch.float64)
    clean[:, :3] += layout.expand(shift)
    return layout, levels(layout, generator), clean, eps


def test_a_cloud_of_atoms_is_explained_whatever_the_levels():
    """Linear regression of the noise on the noisy positions finds nothing beyond the estimate."""
    n, levels = 40_000, torch.tensor([20, 45, 70])
    layout, levels, clean, eps = cloud([3] * n, lambda layout, g: levels.repeat(n))
    process = make_process(100, positions=PositionResidual(SCALE))
    w = process.add_noise(clean, levels, eps)
    tau = process.schedule.tau[levels]
    estimate = process.predict_noise(silent, w, levels, layout)[:, :3]
    missed = (project_noise(eps[:, :3], tau, layout) - estimate).view(n, 3, 3)
    y = layout.center(w[:, :3]).view(n, 3, 3)
    for axis in range(3):
        # two of three centred positions are independent
        predictors, left = y[:, :2, axis], missed[:, :, axis]
        slopes = torch.linalg.lstsq(predictors, left).solution
        errors = left.std(0) / (predictors.std(0).unsqueeze(1) * n**0.5)
        assert bool((slopes.abs() < 6 * errors).all()), slopes / errors
    assert bool((estimate.view(n, 3, 3).std(0) > 0.1).all())  # there was something to explain


@pytest.mark.parametrize("level", [2, 30, 60, 99])
def test_its_target_has_unit_variance_at_every_level(level):
    """So the loss of a network that says nothing about a cloud is one per degree of freedom."""
    n, size = 2_000, 10
    layout, levels, clean, eps = cloud(
        [size] * n, lambda layout, g: torch.full((layout.n_nodes,), level)
    )
    process = make_process(100, positions=PositionResidual(SCALE))
    clean[:, 3] = eps[:, 3] = 0  # the feature is known
    loss = process.loss(silent, clean, levels, eps, layout)
    # the centre's three degrees of freedom are no degrees of freedom of the loss
    expected = 3 * (size - 1) / (4 * size)
    assert float(loss.mean()) == pytest.approx(expected, abs=5 * float(loss.std()) / n**0.5)


def test_at_equal_levels_a_scale_of_one_predicts_velocities():
    layout, levels, clean, eps = cloud([4, 6], lambda layout, g: torch.tensor([60] * 4 + [30] * 6))
    clean, noise = (layout.center(t[:, :3]) for t in (clean, eps))
    process = make_process(100)
    schedule = process.schedule
    alpha, sigma = (table[levels].unsqueeze(1) for table in (schedule.alpha, schedule.sigma))
    velocity = alpha * noise - sigma * clean
    tau = process.schedule.tau[levels]
    found = PositionResidual(1.0).noise(velocity, clean + tau.unsqueeze(1) * noise, tau, layout)
    assert torch.allclose(found, noise, atol=1e-12)


def test_the_weighted_error_is_that_of_what_is_predicted():
    layout, _, clean, eps = cloud([5, 3])
    tau = torch.logspace(-2, 2, layout.n_nodes, dtype=torch.float64)
    target, y = PositionResidual(SCALE), clean[:, :3] + tau.unsqueeze(1) * eps[:, :3]
    one, other = torch.randn(2, layout.n_nodes, 3, dtype=torch.float64)
    apart = target.noise(one, y, tau, layout) - target.noise(other, y, tau, layout)
    error = target.weight(tau) * apart.square().sum(1)
    assert torch.allclose(error, (one - other).square().sum(1), rtol=1e-10)


def test_the_estimate_ignores_where_a_molecule_is_and_turns_with_it():
    process = make_process(100, positions=PositionResidual(SCALE))
    layout, levels, clean, eps = cloud([5, 1, 8])
    w = process.add_noise(clean, levels, eps)
    tau = process.schedule.tau[levels]
    estimate = process.predict_noise(pair_denoiser, w, levels, layout)
    rotation = random_rotation(3, reflect=True)
    moved = w.clone()
    moved[:, :3] = w[:, :3] @ rotation.T + layout.expand(torch.tensor([[3.0], [-70], [8]]))
    turned = process.predict_noise(pair_denoiser, moved, levels, layout)
    assert torch.allclose(turned[:, :3], estimate[:, :3] @ rotation.T, atol=1e-9)
    assert torch.allclose(turned[:, 3:], estimate[:, 3:], atol=1e-9)
    # the cloud's estimate needs no projection: it knows nothing of the centre by itself
    said = process.positions.noise(torch.zeros(layout.n_nodes, 3).double(), w[:, :3], tau, layout)
    assert torch.allclose(project_noise(said, tau, layout), said, atol=1e-12)


def test_single_precision_is_enough_at_the_highest_levels():
    layout, levels, clean, eps = cloud(
        [9] * 20, lambda layout, g: torch.randint(90, 101, (layout.n_nodes,), generator=g)
    )
    process = make_process(100, positions=PositionResidual(SCALE))
    w = process.add_noise(clean, levels, eps)
    exact = process.predict_noise(silent, w, levels, layout)
    single = process.predict_noise(silent, w.float(), levels, layout)
    assert torch.allclose(single.double(), exact, atol=2e-5)


def test_targets_by_name():
    assert position_target("noise", SCALE) == PositionNoise()
    assert position_target("residual", 2.0) == PositionResidual(2.0)
    process = make_process(100)
    layout, levels, clean, eps = cloud([4])
    same = replace(process, positions=PositionNoise())
    pair = [p.loss(pair_denoiser, clean, levels, eps, layout) for p in (process, same)]
    assert torch.equal(*pair)

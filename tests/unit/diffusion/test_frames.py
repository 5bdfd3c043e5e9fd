"""What can be known about noise when a molecule may lie anywhere."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_toys import make_process, pair_denoiser, random_rotation

from deepchem_ead.diffusion import (
    AtomLayout,
    EDMFrame,
    NoiseSchedule,
    QuotientFrame,
    project_noise,
    project_rotation,
    sample_levels,
)

SCHEDULE = NoiseSchedule.polynomial_2()
COUNTS = [5, 1, 8]
LAYOUT = AtomLayout.from_counts(COUNTS)


def noise(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, LAYOUT.n_nodes, 3, generator=generator, dtype=dtype)


def mixed_levels(seed=0, interval=500):
    generator = torch.Generator().manual_seed(seed)
    return sample_levels(LAYOUT, 1000, interval, generator=generator)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_projection(seed):
    tau = SCHEDULE.tau[mixed_levels(seed)]
    eps, other = noise(seed)
    projected = project_noise(eps, tau, LAYOUT)
    assert torch.allclose(project_noise(projected, tau, LAYOUT), projected, atol=1e-12)
    rest = LAYOUT.sum(projected / tau[:, None]) / LAYOUT.sum(1 / tau)[:, None]
    assert rest.abs().max() < 1e-12
    symmetric = LAYOUT.sum(projected * other) - LAYOUT.sum(eps * project_noise(other, tau, LAYOUT))
    assert symmetric.abs().max() < 1e-12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_projection_of_rotations(seed):
    """Orthogonal, of the rank that rotations leave, and blind to them, at any levels."""
    tau = SCHEDULE.tau[mixed_levels(seed)]
    (y, eps), (other, _) = noise(seed), noise(seed + 1)
    y = y + tau[:, None] * other

    def projected(eps, y=y):
        return project_rotation(project_noise(eps, tau, LAYOUT), y, tau, LAYOUT)

    assert torch.allclose(projected(projected(eps)), projected(eps), atol=1e-9)
    symmetric = LAYOUT.sum(projected(eps) * other) - LAYOUT.sum(eps * projected(other))
    assert symmetric.sum(1).abs().max() < 1e-9
    momentum = LAYOUT.sum(torch.linalg.cross(y, projected(eps)) / tau[:, None])
    shift = LAYOUT.sum(projected(eps) / tau[:, None])
    assert (momentum / LAYOUT.sum(y.norm(dim=1, keepdim=True) / tau[:, None])).abs().max() < 1e-9
    assert (shift / LAYOUT.sum(1 / tau)[:, None]).abs().max() < 1e-9
    spin = torch.linalg.cross(LAYOUT.expand(other[:3]), y) / tau[:, None]
    assert (projected(spin).norm() / spin.norm()) < 1e-7
    turned = random_rotation(seed)
    assert torch.allclose(projected(eps @ turned.T, y @ turned.T), projected(eps) @ turned.T)


def test_projection_of_rotations_has_the_rank_of_what_is_left():
    """3 M - 6 of 3 M, 3 M - 5 for atoms on a line and none for a single one; at equal levels the
    formula of quotient-space diffusion."""
    counts = [4, 3, 1, 2]
    layout = AtomLayout.from_counts(counts)
    y = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y[4:7] = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)[:, None] * y[4]
    tau = torch.full((10,), 0.7, dtype=torch.float64)

    def projected(eps):
        return project_rotation(project_noise(eps, tau, layout), y, tau, layout)

    eye = torch.eye(30, dtype=torch.float64).view(30, 10, 3)
    trace = torch.stack([projected(e) for e in eye]).view(30, 30).diagonal().view(10, 3).sum(1)
    assert torch.allclose(layout.sum(trace), torch.tensor([6.0, 4.0, 0.0, 1.0]).double())

    x = y[:4] - y[:4].mean(0)
    eps = torch.randn(10, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    v = eps[:4] - eps[:4].mean(0)
    inertia = sum((a @ a) * torch.eye(3) - torch.outer(a, a) for a in x)
    momentum = sum(torch.linalg.cross(a, b) for a, b in zip(x, v, strict=True))
    expected = v - torch.linalg.cross(torch.linalg.solve(inertia, momentum).expand(4, 3), x)
    assert torch.allclose(projected(eps)[:4], expected)


def test_projection_at_equal_levels_removes_the_mean():
    tau = LAYOUT.expand(SCHEDULE.tau[[3, 500, 1000]])
    eps, _ = noise()
    assert torch.allclose(project_noise(eps, tau, LAYOUT), LAYOUT.center(eps), atol=1e-14)


def test_projection_keeps_single_precision_with_clean_atoms():
    """Weights 1 / tau span five orders of magnitude."""
    tau = SCHEDULE.tau[[0, 1000, 0, 900, 400, 7, 0, 1000, 1000, 3, 600, 100, 1, 999]]
    eps, _ = noise()
    exact = project_noise(eps, tau, LAYOUT)
    assert (project_noise(eps.float(), tau.float(), LAYOUT) - exact).abs().max() < 1e-6


def test_projection_is_the_expectation_given_differences():
    """Condition eps on all ``y_i - y_j`` of known x: Gaussian algebra on one molecule, one axis."""
    layout = AtomLayout.from_counts([5])
    tau = SCHEDULE.tau[[10, 60, 200, 30, 900]]
    eps = torch.randn(5, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    differences = torch.eye(5).double()[1:] - torch.eye(5).double()[:1]
    observe = differences @ torch.diag(tau)
    gain = observe.T @ torch.linalg.inv(observe @ observe.T)
    expected = gain @ (observe @ eps)
    ours = project_noise(eps.expand(5, 3), tau, layout)[:, :1]
    assert (ours - expected).abs().max() < 1e-10


def test_frames_agree_at_equal_levels():
    alpha = LAYOUT.expand(SCHEDULE.alpha[[3, 500, 1000]])
    y = LAYOUT.center(noise()[0])
    tau = LAYOUT.expand(SCHEDULE.tau[[3, 500, 1000]])
    frames = (QuotientFrame(), EDMFrame())
    inputs = [frame.network_input(y, tau, alpha, LAYOUT) for frame in frames]
    assert torch.allclose(*inputs, atol=1e-14)
    assert torch.allclose(inputs[0], alpha[:, None] * y, atol=1e-14)


def test_estimates_are_equivariant_at_mixed_levels():
    """Moved, turned, mirrored and renumbered molecules give moved, ... estimates."""
    process = make_process(1000)
    levels = mixed_levels(3, interval=29)
    generator = torch.Generator().manual_seed(2)
    w = torch.randn(LAYOUT.n_nodes, 5, generator=generator, dtype=torch.float64) * 3
    order = torch.cat([torch.randperm(c, generator=generator) for c in COUNTS])
    order = order + LAYOUT.expand(LAYOUT.starts)
    move = LAYOUT.expand(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    for reflect in (False, True):
        rotation = random_rotation(7, reflect)

        def transform(state, rotation=rotation):
            moved = state[:, :3] @ rotation.T + move
            return torch.cat([moved, state[:, 3:]], 1)[order]

        x_hat = process.predict_clean(pair_denoiser, w, levels, LAYOUT)
        ours = process.predict_clean(pair_denoiser, transform(w), levels[order], LAYOUT)
        assert (ours - transform(x_hat)).abs().max() < 1e-10


def test_layout_reductions():
    values = torch.arange(14.0)
    assert LAYOUT.sum(values).tolist() == [10.0, 5.0, 76.0]
    assert LAYOUT.mean(values).tolist() == [2.0, 5.0, 9.5]
    assert LAYOUT.max(values).tolist() == [4.0, 5.0, 13.0]
    assert LAYOUT.min(values).tolist() == [0.0, 5.0, 6.0]
    assert LAYOUT.expand(torch.tensor([7, 8, 9])).tolist() == [7] * 5 + [8] + [9] * 8
    runs = AtomLayout.from_counts([2, 2, 3, 2]).groups
    assert [tuple(g) for g in runs] == [(2, 0, 2, 0), (3, 2, 1, 4), (2, 3, 1, 7)]
    assert runs[0].nodes == slice(0, 4)

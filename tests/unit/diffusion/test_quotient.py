"""Molecules modulo rigid motion: horizontal directions, and the curvature of orbits."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import random_rotation

from deepchem_ead.diffusion import (
    AtomLayout,
    NoiseSchedule,
    Orbits,
    inertia_tensor,
    project_noise,
    project_rotation,
)

COUNTS = [4, 6, 3]
LAYOUT = AtomLayout.from_counts(COUNTS)


def draws(n, layout=LAYOUT, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, layout.n_nodes, 3)
    return torch.randn(shape, generator=generator, dtype=torch.float64).unbind(0)


def mixed_units(layout=LAYOUT, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.exp(2 * torch.randn(layout.n_nodes, generator=generator, dtype=torch.float64))


def matrix(orbits):
    """P of all molecules at once, (3 A, 3 A)."""
    n = 3 * orbits.layout.n_nodes
    eye = torch.eye(n, dtype=torch.float64).view(n, -1, 3)
    return torch.stack([orbits.horizontal(e).flatten() for e in eye], 1)


def volume(y, units, layout):
    """log det K of each molecule, by other means than `Orbits`."""
    weight = units[:, None] ** -2
    centre = layout.sum(weight * y) / layout.sum(weight)
    arms = (y - layout.expand(centre)) / units[:, None]
    return torch.linalg.slogdet(inertia_tensor(arms, layout))[1]


@pytest.mark.parametrize("units", [torch.ones(13).double(), mixed_units()], ids=["equal", "mixed"])
def test_horizontal_part_is_a_projection_of_the_rank_that_rigid_motions_leave(units):
    (y,) = draws(1)
    orbits = Orbits.of(y + 7, units, LAYOUT)
    p = matrix(orbits)
    assert torch.allclose(p @ p, p, atol=1e-10) and torch.allclose(p, p.T, atol=1e-10)
    assert float(p.trace()) == pytest.approx(sum(3 * n - 6 for n in COUNTS), abs=1e-9)
    assert torch.allclose(orbits.horizontal(orbits.arms), orbits.arms, atol=1e-10)
    omega, a = draws(2, seed=1)
    spin = torch.linalg.cross(LAYOUT.expand(omega[:3]), y) / units[:, None]
    shift = LAYOUT.expand(a[:3]) / units[:, None]
    assert orbits.horizontal(spin + shift).norm() < 1e-9 * (spin + shift).norm()
    q, (v,) = random_rotation(3), draws(1, seed=2)
    turned = Orbits.of(y @ q.T, units, LAYOUT)
    assert torch.allclose(turned.horizontal(v @ q.T), orbits.horizontal(v) @ q.T, atol=1e-10)


@pytest.mark.parametrize("units", [torch.ones(13).double(), mixed_units()], ids=["equal", "mixed"])
def test_curvature_is_the_gradient_of_the_volume_of_orbits(units):
    y = draws(1)[0].requires_grad_()
    orbits = Orbits.of(y.detach(), units, LAYOUT)
    (gradient,) = torch.autograd.grad(volume(y, units, LAYOUT).sum(), y)
    h = orbits.curvature()
    assert torch.allclose(h, -0.5 * gradient * units[:, None], rtol=1e-6, atol=1e-9)
    assert torch.allclose(orbits.horizontal(h), h, rtol=1e-9, atol=1e-9)
    degree = LAYOUT.sum(h * orbits.arms).sum(1)
    assert torch.allclose(degree, torch.full((3,), -3.0).double(), rtol=1e-10)
    twice = Orbits.of(2 * y.detach(), units, LAYOUT).curvature()
    assert torch.allclose(twice, h / 2, rtol=1e-9)


def test_the_sampler_of_the_quotient_keeps_the_normal_distribution_on_average():
    """The generator ``L f = <P s - h, grad f> + P : Hess f`` has mean 0 at N(0, I), for f = |x|^2
    and log det K; without h, and with the sign of the reference's eq. 12, it has not."""
    n, size = 250, 5
    layout = AtomLayout.from_counts([size] * n)
    x = layout.center(draws(1, layout)[0])
    orbits = Orbits.of(x, torch.ones(len(x)), layout)
    h, flat = orbits.curvature(), x.view(n, 3 * size)
    one = AtomLayout.from_counts([size])
    basis = torch.eye(3 * size).double().view(-1, size, 3).repeat_interleave(n, 0).view(-1, 3)
    many = AtomLayout.from_counts([size] * (n * 3 * size))
    p = Orbits.of(x.repeat(3 * size, 1), torch.ones(len(basis)), many).horizontal(basis)
    p = p.view(3 * size, n, 3 * size).transpose(0, 1)

    def log_volume(x):
        x = x.view(size, 3)
        x = x - x.mean(0)
        outer = x.T @ x
        a, b, c = outer.trace() * torch.eye(3) - outer
        return torch.log((a * torch.linalg.cross(b, c)).sum())

    assert torch.allclose(log_volume(flat[0]), volume(x[:size], torch.ones(size), one)[0])
    hessian = torch.vmap(torch.func.hessian(log_volume))(flat)
    for gradient, second in (
        (2 * x, 2 * p.diagonal(dim1=1, dim2=2).sum(1)),
        (-2 * h, (p * hessian).sum((1, 2))),
    ):
        means = []
        for sign in (-1, 0, 1):
            drift = -x + sign * h
            value = layout.sum(drift * gradient).sum(1) + second
            means.append(float(value.mean()) / (float(value.std()) / n**0.5))
        assert abs(means[0]) < 3
        assert abs(means[1]) > 6 and abs(means[2]) > 6


@pytest.mark.parametrize(("sign", "expected"), [(-1, 9), (0, 6), (1, 3)])
def test_langevin_chains_have_the_exact_second_moment(sign, expected):
    """``dx = [P s + c h] dt + sqrt(2) P dw`` has ``E|x|^2 = 3 (M - 1) - 3 (1 + c)``; M = 4."""
    n, dt = 600, 0.02
    layout = AtomLayout.from_counts([4] * n)
    generator = torch.Generator().manual_seed(1)
    x = layout.center(torch.randn(4 * n, 3, generator=generator, dtype=torch.float64))
    units = torch.ones(len(x), dtype=torch.float64)
    for _ in range(100):
        orbits = Orbits.of(x, units, layout)
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        push = (sign * dt * orbits.curvature()).clamp(-1, 1)
        x = x - dt * x + push + (2 * dt) ** 0.5 * orbits.horizontal(noise)
    squares = layout.sum(x.square()).sum(1)
    error = float(squares.std()) / n**0.5
    assert float(squares.mean()) == pytest.approx(expected, abs=3 * error + 0.02 * expected)
    assert sign == -1 or float(squares.mean()) < 9 - 10 * error


def test_atoms_on_a_line_turn_about_two_axes_and_one_alone_about_none():
    layout = AtomLayout.from_counts([3, 1, 2])
    y = draws(1, layout)[0]
    y[:3] = y[0] + torch.tensor([-1.0, 0.5, 2.0]).double()[:, None] * y[1]
    units = torch.ones(6).double()
    orbits = Orbits.of(y, units, layout)
    trace = matrix(orbits).diagonal().view(6, 3).sum(1)
    assert torch.allclose(layout.sum(trace), torch.tensor([4.0, 0, 1]).double())
    degree = layout.sum(orbits.curvature() * orbits.arms).sum(1)
    assert torch.allclose(degree, torch.tensor([-2.0, 0, -2]).double())


@pytest.mark.parametrize("near", [0.0, 1e-9, 1e-6, 1e-3])
def test_degenerate_molecules_have_finite_numbers_and_gradients(near):
    layout = AtomLayout.from_counts([4, 1, 2, 2])
    eps, y = draws(2, layout)
    y[:4] = torch.arange(4.0).double()[:, None] * y[0] + near * y[:4]
    y[8] = y[7]  # two atoms in one place
    y.requires_grad_()
    orbits = Orbits.of(y, mixed_units(layout), layout)
    found = orbits.horizontal(eps), orbits.curvature()
    (gradient,) = torch.autograd.grad(sum(part.sum() for part in found), y)
    assert all(part.isfinite().all() for part in (*found, gradient))
    momentum = layout.sum(torch.linalg.cross(orbits.arms, found[0]))
    assert momentum.abs().max() < 1e-5 * orbits.arms.abs().max()


def test_three_clean_atoms_leave_the_rest_as_it_is():
    """To the order of their noise over that of the rest; exactly so where they have none."""
    layout, schedule = AtomLayout.from_counts([9]), NoiseSchedule.polynomial_2()
    eps, clean = draws(2, layout)
    for level in (50, 500, 1000):
        levels = torch.tensor([0, 0, 0] + [level] * 6)
        tau = schedule.tau[levels]
        y = clean + tau[:, None] * eps.flip(0)
        found = project_rotation(project_noise(eps, tau, layout), y, tau, layout)
        size = float(tau[0] / tau[-1] * y.norm(dim=1).max())  # a turn moves the furthest most
        assert 0 < float((found - eps)[3:].abs().max()) < 5 * size
        known = torch.where(levels > 0, tau, 0.0)
        exactly = project_rotation(eps, y, known, layout)
        assert torch.equal(exactly[3:], eps[3:]) and not exactly[:3].any()


def test_weights_of_equal_levels_are_those_of_the_plain_projection():
    eps, y = draws(2)
    tau = LAYOUT.expand(torch.tensor([0.01, 1.0, 300.0]).double())
    plain = Orbits.of(y, torch.ones(13), LAYOUT).horizontal(eps)
    assert torch.allclose(project_rotation(eps, y, tau, LAYOUT), plain, atol=1e-10)


@pytest.mark.parametrize(
    ("n_fixed", "kept"), [(0, 9 - 0), (1, 12 - 3), (2, 9 - 1), (3, 6)], ids=range(4)
)
def test_fixed_atoms_leave_only_turns_about_them(n_fixed, kept):
    """The limit of units that go to 0, and the gradient of the volume of what can still turn."""
    layout = AtomLayout.from_counts([5])
    eps, y = draws(2, layout)
    units = mixed_units(layout)
    units[:n_fixed] = 0
    orbits = Orbits.of(y, units, layout)
    p = matrix(orbits)
    assert torch.allclose(p @ p, p, atol=1e-10) and torch.allclose(p, p.T, atol=1e-10)
    assert float(p.trace()) == pytest.approx(kept, abs=1e-9)
    almost = torch.where(units == 0, 1e-4, units)
    limit = Orbits.of(y, almost, layout)
    for one, other in zip(
        (limit.horizontal(eps), limit.curvature()),
        (orbits.horizontal(eps), orbits.curvature()),
        strict=True,
    ):
        assert torch.allclose(one[n_fixed:], other[n_fixed:], atol=2e-3)

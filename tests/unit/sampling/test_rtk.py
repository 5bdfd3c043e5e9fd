"""Reverse transition kernels on Gaussians, where the kernel of every transition is known."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling import MoleculeNoise, Transition, resolve_stepper, sample
from deepchem_ead.sampling.grids import KERNEL_RATIO
from deepchem_ead.sampling.rtk import (
    SMALLEST_CURVATURE,
    best_step_size,
    langevin_variance,
    underdamped_variance,
)
from deepchem_ead.testing.toys import bond_denoiser, make_process

#: Variance of the data, and the transition's noise-to-signal ratios.
V, TAU_T, TAU_S = 0.3, 0.8, 0.6
RATIO = (TAU_S / TAU_T) ** 2
KERNEL_VARIANCE = 1 / (1 / (V + TAU_S**2) + 1 / (TAU_T**2 - TAU_S**2))


def mode(y_t):
    return y_t * (V + TAU_S**2) / (V + TAU_T**2)


def estimate(y, tau):
    return V * y / (V + tau**2)


def taken(stepper, y_t, first=None, seed=0):
    """State after a transition by hand, all the queries, and all that was drawn.

    ``first`` is the estimate that there is before the first query.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []

    def draw():
        drawn.append(torch.randn(y_t.shape, generator=generator, dtype=y_t.dtype))
        return drawn[-1]

    level, tau = (torch.full((len(y_t),), value, dtype=torch.float64) for value in (2.0, TAU_T))
    transition = Transition(
        y_t,
        estimate(y_t, TAU_T) if first is None else first,
        level,
        level - 1,
        tau,
        0 * tau + TAU_S,
        draw(),
        draw,
    )
    run = resolve_stepper(stepper).begin(NoiseSchedule.polynomial_2()).step(transition)
    if not isinstance(run, Generator):
        return run, [], drawn
    queries, answer = [], None
    try:
        while True:
            queries.append(run.send(answer))
            assert torch.equal(queries[-1].levels, level - 1)
            answer = estimate(queries[-1].w, TAU_S)
    except StopIteration as end:
        return end.value, queries, drawn


Y = torch.linspace(-2, 2, 24, dtype=torch.float64).view(6, 4)


def test_one_iteration_is_the_mean_of_edms_posterior():
    y, queries, _ = taken("rtk:iterations=1", Y)
    mean, _, _ = taken("ancestral:noise_scale=0", Y)
    assert not queries and torch.allclose(y, mean, atol=1e-14)


def test_iterations_go_to_the_mode_at_the_known_rate_from_any_estimate():
    rate = (1 - RATIO) * V / (V + TAU_S**2)
    errors = []
    for k in (1, 2, 3, 6, 40):
        y, queries, drawn = taken(f"rtk:iterations={k}", Y, torch.zeros_like(Y))
        assert len(queries) == k - 1 and len(drawn) == 1
        errors.append(float((y - mode(Y)).abs().max()))
    assert errors[-1] < 1e-12
    assert errors[1] / errors[0] == pytest.approx(rate, rel=1e-9)
    assert errors[3] / errors[2] == pytest.approx(rate**3, rel=1e-9)


@pytest.mark.parametrize("stepper", ["rtk-ula:step_size=0.02", "rtk-uld:step_size=0.1"])
def test_small_steps_draw_from_the_kernel(stepper):
    y_t = torch.full((20000, 4), 0.7, dtype=torch.float64)
    y, queries, _ = taken(f"{stepper},iterations=150", y_t)
    assert len(queries) == 150
    n = y.numel()
    assert float(y.mean() - mode(0.7)) == pytest.approx(0, abs=4 * (KERNEL_VARIANCE / n) ** 0.5)
    assert float(y.var()) / KERNEL_VARIANCE == pytest.approx(1, abs=0.02 + 4 * (2 / n) ** 0.5)


@pytest.mark.parametrize(
    ("stepper", "variance"),
    [("rtk-ula", langevin_variance), ("rtk-uld", underdamped_variance)],
)
@pytest.mark.parametrize("iterations", [1, 4])
def test_step_sizes_follow_from_variances_that_are_predicted_right(stepper, variance, iterations):
    y, _, _ = taken(f"{stepper}:iterations={iterations}", torch.zeros(50000, 4).double())
    spread2 = TAU_S**2 * (1 - RATIO)
    curvature = np.array([spread2 / KERNEL_VARIANCE])
    h = best_step_size(variance, iterations)
    expected = float(variance(curvature, h, iterations)[0])
    assert SMALLEST_CURVATURE < curvature[0] < 1
    assert float(y.var()) / KERNEL_VARIANCE == pytest.approx(expected, abs=0.02)


def test_the_best_step_size_balances_both_ends():
    ends = np.array([SMALLEST_CURVATURE, 1.0])
    for variance in (langevin_variance, underdamped_variance):
        for iterations in (2, 4, 8):
            low, high = variance(ends, best_step_size(variance, iterations), iterations) - 1
            assert -low == pytest.approx(high, abs=0.02)


@pytest.mark.parametrize("stepper", ["rtk", "rtk-ula", "rtk-uld"])
def test_one_seed_is_one_result(stepper):
    process, counts = make_process(20), [2] * 5
    found = [
        sample(
            process, bond_denoiser(process, 0.25, 0.25), AtomLayout.from_counts(counts), 1,
            stepper=stepper, noise=MoleculeNoise(seed, range(5), counts, torch.float64), steps=6,
        ).states
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtk:iterations=0", "iterations must be at least 1, not 0"),
        ("rtk-ula:step_size=2.5", "step_size must lie between 0 and 2"),
        ("rtk-uld:friction=0.0", "friction must be positive"),
    ],
)
def test_options_out_of_range_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        resolve_stepper(text)


@pytest.mark.parametrize("tau_s", [0.05, 0.6, 3.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_kernels_hessian_keeps_its_bounds_at_the_step_of_the_theory(tau_s, share):
    """Data at two points: concave in between, as far as ``share`` of what the theory allows."""
    ratio = 1 / KERNEL_RATIO**2
    a = tau_s * (2 * share) ** 0.5  # Hess log p_s is a^2 / tau^4 - 1 / tau^2 at 0
    y = torch.linspace(-5 * tau_s, 5 * tau_s, 2001, dtype=torch.float64, requires_grad=True)
    log_p = torch.logaddexp(-((y - a) ** 2) / (2 * tau_s**2), -((y + a) ** 2) / (2 * tau_s**2))
    back = (0.3 - y) ** 2 / (2 * tau_s**2 * (1 / ratio - 1))
    (slope,) = torch.autograd.grad((back - log_p).sum(), y, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), y)
    scaled = curvature * tau_s**2 * (1 - ratio)  # in units of 1 / v^2
    assert float(scaled.max()) <= 1 + 1e-9
    assert float(scaled.min()) == pytest.approx(1 - 2 / 3 * share, abs=1e-6)
    assert (float(scaled.min()) >= SMALLEST_CURVATURE - 1e-6) and SMALLEST_CURVATURE == 1 / 3


def test_the_step_of_the_theory_in_its_own_words():
    """``e^(2 eta) - 1 = 1 / (2 L)`` for a Hessian within L: between L and 3 L (with tau_s = 1)."""
    bound = 1.0
    eta = 0.5 * np.log((2 * bound + 1) / (2 * bound))
    coupling = 1 / (np.exp(2 * eta) - 1)
    assert (-bound + coupling, bound + coupling) == pytest.approx((bound, 3 * bound))
    # In variance-exploding form that time adds the variance e^(2 eta) - 1.
    assert (1 + (np.exp(2 * eta) - 1)) ** 0.5 == pytest.approx(KERNEL_RATIO)

"""Transitions against EDM's formulas and exact Gaussian results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.diffusion import (
    EDMFrame,
    NoiseSchedule,
    QuotientFrame,
    dpm_solver_2m_step,
    eta_step,
    forward_step,
    langevin_step,
)

SCHEDULE = NoiseSchedule.polynomial_2()
LEVEL = st.integers(0, 1000)


def draws(n=6, columns=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, n, columns, generator=generator, dtype=torch.float64)


def edm_posterior(schedule, t, s):
    """Coefficients of z_t and x, and the deviation, of q(z_s | z_t, x): EDM, eq. 4."""
    alpha, sigma = schedule.alpha, schedule.sigma
    ratio = alpha[t] / alpha[s]
    sigma2_ts = sigma[t] ** 2 - ratio**2 * sigma[s] ** 2
    return (
        ratio * sigma[s] ** 2 / sigma[t] ** 2,
        alpha[s] * sigma2_ts / sigma[t] ** 2,
        (sigma2_ts.clamp_min(0).sqrt() * sigma[s] / sigma[t]),
    )


@settings(max_examples=60, deadline=None)
@given(a=LEVEL, b=LEVEL)
def test_ancestral_step_is_edms_posterior(a, b):
    s, t = min(a, b), max(a, b)
    w, x_hat, noise = draws()
    z_coefficient, x_coefficient, deviation = edm_posterior(SCHEDULE, t, s)
    z = SCHEDULE.alpha[t] * w
    expected = z_coefficient * z + x_coefficient * x_hat + deviation * noise
    taus = SCHEDULE.tau[t].expand(6), SCHEDULE.tau[s].expand(6)
    ours = SCHEDULE.alpha[s] * eta_step(w, x_hat, *taus, noise, 1.0)
    # sigma_t^2 - ratio^2 sigma_s^2 cancels between neighbouring levels
    assert (ours - expected).abs().max() < 1e-11 * expected.abs().max()


def test_ancestral_coefficients_are_the_golden_ones():
    with np.load(Path(__file__).parents[2] / "data" / "schedule.npz") as golden:
        deviation = torch.from_numpy(golden["post_std_f64"])
        z_coefficient = torch.from_numpy(golden["post_mean_coef_zt_x0form_f32"]).double()
        x_coefficient = torch.from_numpy(golden["post_mean_coef_x0_f32"]).double()
    tau_t, tau_s, alpha_s = SCHEDULE.tau[1:], SCHEDULE.tau[:-1], SCHEDULE.alpha[:-1]
    one, zero = torch.ones(1000, 1).double(), torch.zeros(1000, 1).double()

    def coefficient(w, x_hat, noise):
        return eta_step(w, x_hat, tau_t, tau_s, noise)[:, 0]

    assert torch.allclose(alpha_s * coefficient(zero, zero, one), deviation, rtol=1e-9)
    ours_z = alpha_s / SCHEDULE.alpha[1:] * coefficient(one, zero, zero)
    assert torch.allclose(ours_z, z_coefficient, rtol=2e-3, atol=1e-5)
    ours_x = alpha_s * coefficient(zero, one, zero)
    assert torch.allclose(ours_x, x_coefficient, rtol=2e-3, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(a=LEVEL, b=LEVEL)
def test_eta_0_is_ddim(a, b):
    s, t = min(a, b), max(a, b)
    w, x_hat, noise = draws()
    alpha, sigma = SCHEDULE.alpha, SCHEDULE.sigma
    # arXiv:2010.02502, eq. 12: the predicted noise is kept
    eps = (alpha[t] * w - alpha[t] * x_hat) / sigma[t]
    expected = alpha[s] * x_hat + sigma[s] * eps
    taus = SCHEDULE.tau[t].expand(6), SCHEDULE.tau[s].expand(6)
    ours = alpha[s] * eta_step(w, x_hat, *taus, noise, 0.0)
    assert (ours - expected).abs().max() < 1e-12 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_step_changes_nothing(dtype):
    """Bit for bit, also where other atoms of the molecule move."""
    w, x_hat, noise = (d.to(dtype) for d in draws())
    tau_t = SCHEDULE.tau[[0, 3, 3, 500, 1000, 1000]]
    tau_s = SCHEDULE.tau[[0, 3, 2, 500, 1000, 999]]
    stays = (tau_t == tau_s).tolist()
    results = [eta_step(w, x_hat, tau_t, tau_s, noise, eta) for eta in (0.0, 0.3, 1.0)]
    results += [
        forward_step(w, tau_s, tau_t, noise),
        langevin_step(w, x_hat, tau_t, tau_s, noise),
        dpm_solver_2m_step(w, x_hat, tau_t, tau_s, None, None),
        dpm_solver_2m_step(w, x_hat, tau_t, tau_s, noise, 2 * tau_t),
    ]
    for result in results:
        assert result.dtype == dtype and result.isfinite().all()
        assert (result == w).all(1).tolist() == stays


def test_forward_undoes_the_scale_of_a_step():
    """q(w_t | w_s) q(w_s | x) = q(w_t | x) for the variances."""
    tau_s, tau_t = SCHEDULE.tau[[5, 100]], SCHEDULE.tau[[9, 700]]
    one, zero = torch.ones(2, 1).double(), torch.zeros(2, 1).double()
    added = forward_step(zero, tau_s, tau_t, one)[:, 0]
    assert torch.allclose(tau_s**2 + added**2, tau_t**2)


def test_dpm_solver_without_a_previous_step_is_ddim():
    w, x_hat, noise = draws()
    tau_t, tau_s = SCHEDULE.tau[[900, 50, 7, 7, 1, 30]], SCHEDULE.tau[[800, 49, 0, 6, 0, 3]]
    expected = eta_step(w, x_hat, tau_t, tau_s, noise, 0.0)
    for previous in ((None, None), (noise, tau_t)):
        ours = dpm_solver_2m_step(w, x_hat, tau_t, tau_s, *previous)
        assert torch.allclose(ours, expected, rtol=1e-12)


def relative_defect(noise_map, levels_t, levels_s):
    """How far ``q(z_t | z_s) q(z_s | x)`` is from ``q(z_t | x)`` in the covariance of positions."""
    alpha_t, alpha_s = SCHEDULE.alpha[levels_t], SCHEDULE.alpha[levels_s]
    sigma_t, sigma_s = SCHEDULE.sigma[levels_t], SCHEDULE.sigma[levels_s]
    ratio = alpha_t / alpha_s
    sigma_ts = (sigma_t**2 - ratio**2 * sigma_s**2).clamp_min(0).sqrt()

    def covariance(scale):
        return torch.diag(scale) @ noise_map @ torch.diag(scale)

    direct = covariance(sigma_t)
    composed = covariance(ratio * sigma_s) + covariance(sigma_ts)
    return float((direct - composed).abs().max() / direct.abs().max())


def test_centred_noise_is_no_markov_process_at_unequal_levels():
    """Why the default frame draws independent noise: the defect of centred noise is no rounding."""
    from deepchem_ead.diffusion import AtomLayout

    layout = AtomLayout.from_counts([5])
    same = torch.full((5,), 200)
    some_hold = torch.tensor([200, 200, 199, 199, 199])
    maps = [frame.noise(torch.eye(5).double(), layout) for frame in (EDMFrame(), QuotientFrame())]
    centred, independent = (m @ m.T for m in maps)
    assert relative_defect(centred, same, same - 1) < 1e-14
    assert relative_defect(centred, same, some_hold) > 1e-4
    assert relative_defect(independent, same, some_hold) < 1e-14

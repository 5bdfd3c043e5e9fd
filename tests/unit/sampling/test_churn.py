"""Amplified noise: what it keeps, and what it does not."""

from __future__ import annotations

import pytest
import torch

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule, spread_step
from deepchem_ead.sampling import MoleculeNoise, Transition, resolve_stepper, sample
from deepchem_ead.testing.toys import bond_denoiser, make_process

TAU_T, TAU_S = 0.8, 0.7


def stepped(gamma, w, x_hat, noise, **options):
    level, tau = (torch.full((len(w),), value, dtype=torch.float64) for value in (2.0, TAU_T))
    told = "".join(f",{name}={value}" for name, value in options.items())
    stepper = resolve_stepper(f"churn:gamma={gamma}{told}").begin(NoiseSchedule.polynomial_2())
    return stepper.step(Transition(w, x_hat, level, level - 1, tau, 0 * tau + TAU_S, noise, None))


def draws(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 4, generator=generator, dtype=torch.float64) for _ in range(3)]


def test_gamma_0_is_ancestral_sampling_bit_for_bit():
    process, counts = make_process(50), [2, 2, 2]
    plain, churned = (
        sample(
            process, bond_denoiser(process, 0.25, 0.25), AtomLayout.from_counts(counts), 1,
            "random-coin:sync_fraction=0.5,interval=5", stepper, "repaint",
            MoleculeNoise(0, range(3), counts), steps=20,
        ).states
        for stepper in ("ancestral", "churn:gamma=0")
    )  # fmt: skip
    assert torch.equal(plain, churned)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.4, 1.0, 5.0, 1e3])
def test_a_noisy_molecule_stays_as_noisy_as_its_level_says(gamma):
    """With the true molecule as the estimate, q(y_s | x) is kept for every gamma."""
    clean, eps, noise = draws(40000)
    y = stepped(gamma, clean + TAU_T * eps, clean, noise) - clean
    assert float(y.std()) == pytest.approx(TAU_S, rel=4 / (2 * y.numel()) ** 0.5)


@pytest.mark.parametrize("gamma", [0.0, 0.4, 2.0])
def test_an_estimate_is_a_mean_and_what_that_costs_is_known(gamma):
    """A Gaussian of variance V loses V (tau_t - tau')^2 / (V + tau_t^2), tau' what is kept of tau_s
    (the error of DDIM's step to there), so amplified noise sharpens."""
    v = 0.3
    clean, eps, noise = draws(200000)
    y_t = v**0.5 * clean + TAU_T * eps
    y = stepped(gamma, y_t, v / (v + TAU_T**2) * y_t, noise)
    kept = min(TAU_S / (1 + gamma), TAU_S**2 / TAU_T)
    expected = v + TAU_S**2 - v * (TAU_T - kept) ** 2 / (v + TAU_T**2)
    assert float(y.var()) == pytest.approx(expected, rel=4 * (2 / y.numel()) ** 0.5)


def test_outside_its_window_it_is_ancestral():
    clean, eps, noise = draws(100)
    w = clean + TAU_T * eps
    ancestral = stepped(0.0, w, clean, noise)
    for window in ({"max_tau": 0.6}, {"min_tau": 0.75}):
        assert torch.equal(stepped(2.0, w, clean, noise, **window), ancestral)
    inside = stepped(2.0, w, clean, noise, min_tau=0.5, max_tau=0.7)
    tau = torch.full((100,), TAU_T, dtype=torch.float64)
    spread = 0 * tau + TAU_S * (1 - 3.0**-2) ** 0.5
    assert torch.equal(inside, spread_step(w, clean, tau, 0 * tau + TAU_S, noise, spread))


def test_negative_amplification_is_refused():
    with pytest.raises(ValueError, match="gamma must not be negative, not -1"):
        resolve_stepper("churn:gamma=-1")

"""Few-step samplers against references of their own."""

from __future__ import annotations

import math

import pytest
import torch
from sampling_toys import (
    RecordedNoise,
    bond_denoiser,
    levels_of,
    make_process,
    pair_denoiser,
    seeing,
)

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule
from deepchem_ead.sampling import (
    STEPPERS,
    DPMSolverStepper,
    EtaStepper,
    HeunStepper,
    RandomCoinSchedule,
    ReplaySchedule,
    Transition,
    level_grid,
    sample,
)
from deepchem_ead.sampling.steppers import MemorylessStepper


def feature_denoiser(process, variance):
    """Exact for independent Gaussian features; positions are left alone."""

    @seeing
    def denoiser(x, h, layout):
        level = levels_of(h, process.schedule.timesteps)
        tau, alpha = process.schedule.tau[level, None], process.schedule.alpha[level, None]
        return torch.zeros_like(x), h[:, :-1] / alpha * tau / (variance + tau**2)

    return denoiser


def dpm_reference(schedule, x, levels, clean):
    """DPM-Solver++(2M) for a number x, variance preserving: arXiv:2211.01095, Algorithm 2."""
    alpha, sigma = schedule.alpha.tolist(), schedule.sigma.tolist()
    logsnr = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]
    previous = None
    for t, s in zip(levels[:-1], levels[1:], strict=True):
        estimate = clean(x, t)
        h = logsnr[s] - logsnr[t]
        target = estimate
        if previous is not None and s > 0:
            ratio = (logsnr[t] - logsnr[previous[1]]) / h
            target = (1 + 1 / (2 * ratio)) * estimate - 1 / (2 * ratio) * previous[0]
        previous = (estimate, t)
        x = sigma[s] / sigma[t] * x - alpha[s] * (math.exp(-h) - 1) * target
    return x


@pytest.mark.parametrize("steps", [3, 12])
def test_dpm_solver_equals_its_reference(steps):
    process, v = make_process(1000), 0.2
    schedule = process.schedule
    layout = AtomLayout.from_counts([2, 1])
    start = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 300
    result = sample(
        process, feature_denoiser(process, v), layout, 2, stepper="dpm++2m", steps=steps,
        noise=RecordedNoise(3), initial_state=start,
    )  # fmt: skip
    levels = [int(t) for t in level_grid(1000, steps).flip(0)]

    def clean(z, t):
        a, s = float(schedule.alpha[t]), float(schedule.sigma[t])
        return a * v / (a**2 * v + s**2) * z

    for ours, w in zip(result.states[:, 3:].flatten(), start[:, 3:].flatten(), strict=True):
        z = dpm_reference(schedule, float(schedule.alpha[-1] * w), levels, clean)
        assert float(schedule.alpha[0] * ours) == pytest.approx(z, rel=1e-10)


def flow_error(stepper, n_steps, v=0.5, high=20.0, low=0.05):
    """Relative error on the probability flow of Gaussian data between two noise levels."""
    tau = torch.logspace(math.log10(high), math.log10(low), n_steps + 1, dtype=torch.float64)
    run = stepper.begin(NoiseSchedule.polynomial_2())
    w = torch.ones(1, 4, dtype=torch.float64)
    for k, (tau_t, tau_s) in enumerate(zip(tau[:-1, None], tau[1:, None], strict=True)):
        x_hat = v / (v + tau_t**2) * w
        level = torch.tensor([n_steps + 1.0 - k], dtype=torch.float64)
        noise = torch.full_like(w, 1e9)
        moved = run.step(Transition(w, x_hat, level, level - 1, tau_t, tau_s, noise, None))
        if not torch.is_tensor(moved):
            query = next(moved)
            assert (query.levels == level - 1).all()
            with pytest.raises(StopIteration) as end:
                moved.send(v / (v + tau_s**2) * query.w)
            moved = end.value.value
        run.remember(x_hat, tau_t, tau_s < tau_t, torch.zeros(1, 3))
        w = moved
    exact = math.sqrt((v + low**2) / (v + high**2))
    return abs(float(w[0, 0]) / exact - 1)


@pytest.mark.parametrize(
    ("stepper", "order"), [(DPMSolverStepper(), 2), (HeunStepper(), 2), (EtaStepper(0.0), 1)]
)
def test_order_of_convergence(stepper, order):
    coarse, fine = flow_error(stepper, 80), flow_error(stepper, 160)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_dpm_memory_belongs_to_each_atom():
    """Atoms of one molecule on different grids come out as if each had its grid alone."""
    process = make_process(1000)
    denoiser = feature_denoiser(process, 0.2)
    start = 300 * torch.ones(2, 4, dtype=torch.float64)
    grids = torch.tensor(
        [[1000, 1000], [600, 1000], [600, 400], [300, 400], [100, 100], [0, 100], [0, 0]]
    )

    def run(levels, state):
        layout = AtomLayout.from_counts([levels.shape[1]])
        return sample(
            process, denoiser, layout, 1, ReplaySchedule(levels), "dpm++2m",
            noise=RecordedNoise(layout.n_nodes), initial_state=state,
        ).states[:, 3]  # fmt: skip

    together = run(grids, start)
    for atom in range(2):
        own = grids[:, atom].unique().flip(0)[:, None]
        assert torch.allclose(run(own, start[:1]), together[atom : atom + 1], rtol=1e-12)


def test_dpm_estimates_of_two_steps_are_compared_in_one_frame():
    """Carrying a molecule along by a constant in every step changes nothing."""
    process = make_process(60)
    layout = AtomLayout.from_counts([2] * 3)
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 50
    # the first step already differs between atoms, and undoes the shift
    schedule = RandomCoinSchedule(sync_fraction=0.0, interval=8)

    def run(state):
        return sample(
            process, bond_denoiser(process, 0.3, 0.3), layout, 1, schedule, "dpm++2m", "repaint",
            RecordedNoise(6), initial_state=state,
        ).states  # fmt: skip

    shifted = start.clone()
    shifted[:, :3] += torch.tensor([1e3, -2e3, 5e2])
    assert torch.allclose(run(start), run(shifted), atol=1e-8)


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "heun"])
def test_deterministic_steppers_ignore_the_noise(name):
    layout = AtomLayout.from_counts([4])
    start = torch.randn(4, 5, dtype=torch.float64)
    w = []
    for seed in (0, 1):
        sample(
            make_process(20), pair_denoiser, layout, 2, stepper=STEPPERS[name],
            noise=RecordedNoise(4, seed), initial_state=start, callback=w.append,
        )  # fmt: skip
    assert torch.equal(w[20]["w"], w[-1]["w"])


def test_eta_is_a_share():
    with pytest.raises(ValueError, match="eta must lie between 0 and 1"):
        EtaStepper(1.5)


def test_noise_scale_scales_the_added_noise_alone():
    generator = torch.Generator().manual_seed(0)
    w, x_hat, noise = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    tau_t, tau_s = torch.tensor([[2.0, 1.0, 0.5, 0.5], [1.0, 0.8, 0.1, 0.5]], dtype=torch.float64)
    full, none, half = (
        EtaStepper(noise_scale=scale).step(
            Transition(w, x_hat, 100 * tau_t, 100 * tau_s, tau_t, tau_s, noise, None)
        )
        for scale in (1.0, 0.0, 0.5)
    )
    torch.testing.assert_close(half, (full + none) / 2)
    assert torch.equal(none[3], w[3]) and (none[:3] != full[:3]).all()
    # The mean of the posterior, whatever the scale.
    ratio = (tau_s / tau_t).square().unsqueeze(1)
    torch.testing.assert_close(none, x_hat + ratio * (w - x_hat))
    with pytest.raises(ValueError, match="noise_scale must not be negative, not -1"):
        EtaStepper(noise_scale=-1.0)


def test_a_stepper_written_otherwise_is_told_how():
    class Former(MemorylessStepper):
        def step(self, w, x_hat, tau_t, tau_s, noise):
            return x_hat

    with pytest.raises(ValueError, match=r"Former.step.* write step\(self, transition\) and read"):
        sample(
            make_process(20), pair_denoiser, AtomLayout.from_counts([3]), 2, stepper=Former(),
            noise=RecordedNoise(3),
        )  # fmt: skip

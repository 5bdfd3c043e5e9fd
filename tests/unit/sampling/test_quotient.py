"""Steppers on molecules modulo rigid motion, on Gaussian molecules whose law is known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from deepchem_ead.diffusion import AtomLayout, EDMFrame, NoiseSchedule, Orbits, PreconditionedFrame
from deepchem_ead.sampling import (
    MoleculeNoise,
    MoleculeStepper,
    QuotientSDEStepper,
    Start,
    Transition,
    resolve_stepper,
    sample,
)
from deepchem_ead.sampling.quotient import limited
from deepchem_ead.testing.toys import (
    RecordedNoise,
    levels_of,
    make_process,
    pair_denoiser,
    seeing,
)

STEPPERS = ["quotient", "quotient-ddim", "quotient-sde"]
PLAIN = {"quotient": "ancestral", "quotient-ddim": "ddim"}
TIMESTEPS = 100


def gaussian_denoiser(process, junk=0.0):
    """Exact for atoms N(0, 1) modulo translation at equal levels, but for a turn of all."""
    tau_table, alpha_table = process.schedule.tau, process.schedule.alpha

    @seeing
    def denoiser(x, h, layout):
        level = levels_of(h, process.schedule.timesteps)
        tau, alpha = (table[level].unsqueeze(1) for table in (tau_table, alpha_table))
        y = x / alpha
        turn = junk * torch.linalg.cross(torch.tensor([1.0, -2, 0.5]).double().expand_as(y), y)
        return (tau * y + turn) / (1 + tau**2), torch.zeros_like(h)

    return denoiser


def squares(stepper, junk=0.0, n=250, size=4, steps=None):
    """|x|^2 of each sampled molecule over its expectation."""
    process, layout = make_process(TIMESTEPS), AtomLayout.from_counts([size] * n)
    noise = RecordedNoise(layout.n_nodes, seed=0)
    states = sample(
        process, gaussian_denoiser(process, junk), layout, 1, stepper=stepper, noise=noise,
        steps=steps,
    ).states  # fmt: skip
    return layout.sum(states[:, :3].square()).sum(1) / (3 * (size - 1))


@dataclass(frozen=True)
class Wrong(QuotientSDEStepper):
    """A curvature term of another size."""

    factor: float = 0.0

    def outward(self, orbits):
        return self.factor * super().outward(orbits)


def test_molecules_come_out_as_large_as_they_are():
    """Of four atoms without the curvature term 2/3, with the sign of the reference's eq. 12 1/3."""
    plain = squares("ancestral")
    for stepper, expected in (
        ("quotient-sde", 1), (Wrong(factor=0.0), 2 / 3), (Wrong(factor=-1.0), 1 / 3)
    ):  # fmt: skip
        missed = squares(stepper) - expected * plain
        error = float(missed.std()) / len(missed) ** 0.5
        assert float(missed.mean()) == pytest.approx(0, abs=0.03 + 3 * error)
        assert error < 0.04


@pytest.mark.parametrize("stepper", STEPPERS)
def test_estimates_that_turn_molecules_change_nothing(stepper):
    """And without such, in ordinary noise, nothing is changed at all."""
    found = squares(stepper, n=20, steps=15)
    # The last estimate is at level 0, whose noise of 0.003 A turns molecules by hardly anything.
    assert torch.allclose(squares(stepper, junk=0.3, n=20, steps=15), found, rtol=1e-4)
    if stepper in PLAIN:
        plain = PLAIN[stepper]
        assert torch.allclose(squares(plain, n=20, steps=15), found, rtol=1e-9)
        assert not torch.allclose(squares(plain, junk=0.3, n=20, steps=15), found, rtol=1e-3)


def step(stepper, w, x_hat, levels, next_levels, noise, counts, **changes):
    schedule = NoiseSchedule.polynomial_2()
    tau_t, tau_s = (schedule.tau_at(each.double()) for each in (levels, next_levels))
    layout = AtomLayout.from_counts(counts)
    transition = Transition(w, x_hat, levels, next_levels, tau_t, tau_s, noise, None)
    run = resolve_stepper(stepper).begin(schedule)
    run = run.on(layout) if isinstance(run, MoleculeStepper) else run
    return run.step(transition._replace(**changes))


def draws(n, count, seed=0, columns=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, count, columns, generator=generator, dtype=torch.float64).unbind(0)


@pytest.mark.parametrize("next_levels", [[300] * 6, [290, 310, 250, 280, 305, 299]])
def test_horizontal_noise_turns_nothing(next_levels):
    """The noise of a step leaves no angular momentum, and its mean is pushed outward."""
    w, x_hat, *noises = draws(202, 6)
    levels, s = torch.tensor([320, 310, 300, 330, 305, 300]), torch.tensor(next_levels)
    s = torch.minimum(levels, s)
    still = torch.zeros_like(w)
    middle = step("quotient-sde", w, x_hat, levels, s, still, [6])
    tau_t, tau_s = (NoiseSchedule.polynomial_2().tau_at(each.double()) for each in (levels, s))
    units = tau_s * torch.sqrt(1 - (tau_s / tau_t) ** 2)
    orbits = Orbits.of(w[:, :3], units, AtomLayout.from_counts([6]))
    for noise in noises[:5]:
        moved = (step("quotient-sde", w, x_hat, levels, s, noise, [6]) - middle)[:, :3]
        added = torch.where(units[:, None] > 0, moved / units[:, None], 0.0)
        assert not moved[units == 0].any()
        momentum = torch.linalg.cross(orbits.arms, added).sum(0)
        assert (orbits.inverse_inertia[0] @ momentum).abs().max() < 1e-9
    pushed = (middle - step("quotient", w, x_hat, levels, s, still, [6]))[:, :3]
    h = units[:, None] * orbits.curvature()
    assert torch.allclose(pushed, -h / 2)  # to larger orbits
    kinds = [step(name, w, x_hat, levels, s, noises[0], [6])[:, 3:] for name in STEPPERS]
    assert torch.equal(kinds[0], kinds[2]) and not torch.equal(kinds[0], kinds[1])


@pytest.mark.parametrize("stepper", STEPPERS)
def test_channels_with_levels_of_their_own(stepper):
    """As in making conformers, where kinds are known."""
    w, x_hat, noise = draws(3, 6)
    levels, s = torch.full((6, 2), 300.0), torch.full((6, 2), 290.0)
    levels[:, 1] = s[:, 1] = 0
    schedule = NoiseSchedule.polynomial_2()
    tau = {"tau_t": schedule.tau_at(levels)[:, [0, 0, 0, 1, 1]],
           "tau_s": schedule.tau_at(s)[:, [0, 0, 0, 1, 1]]}  # fmt: skip
    found = step(stepper, w, x_hat, levels, s, noise, [6], **tau)
    same = step(stepper, w, x_hat, levels[:, 0], s[:, 0], noise, [6])
    assert torch.equal(found[:, :3], same[:, :3]) and torch.equal(found[:, 3:], w[:, 3:])


@pytest.mark.parametrize("stepper", STEPPERS)
def test_known_atoms_hold_a_molecule(stepper):
    """Three of them leave the estimate as it is, two only what does not turn about their line."""
    w, x_hat, noise = draws(3, 6)
    s = {}
    for known in (2, 3):
        levels = torch.tensor([0] * known + [300] * (6 - known)).double()
        x_hat[:known] = w[:known]
        s[known] = step(stepper, w, x_hat, levels, levels - 10 * (levels > 0), noise, [6])
        plain = step(PLAIN.get(stepper, "ancestral"), w, x_hat, levels,
                     levels - 10 * (levels > 0), noise, [6])  # fmt: skip
        assert torch.equal(s[known][:known], w[:known])
        assert torch.allclose(s[known], plain, atol=1e-9) == (known == 3)


@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize("n_known", [0, 1, 2, 3, 6])
def test_editing_keeps_what_is_known_bit_for_bit(stepper, n_known):
    process = make_process(40, PreconditionedFrame())
    layout = AtomLayout.from_counts([6, 1, 2])
    generator = torch.Generator().manual_seed(0)
    clean = 3 * torch.randn(9, 5, generator=generator, dtype=torch.float64)
    levels = torch.where(torch.arange(9) < n_known, 0.0, torch.inf)
    found = sample(
        process, pair_denoiser, layout, 2, "random-coin:sync_fraction=0.5,interval=5", stepper,
        noise=MoleculeNoise(0, range(3), [6, 1, 2]), start=Start(clean, levels),
    ).states  # fmt: skip
    assert found.isfinite().all()
    assert torch.equal(found[:n_known].double(), clean[:n_known].to(found.dtype).double())


def test_the_push_is_limited_near_a_line():
    x = torch.arange(4.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2, 3]).double()
    x[0, 1] += 1e-4
    orbits = Orbits.of(x, torch.ones(4), AtomLayout.from_counts([4]))
    step = -0.5 * orbits.curvature()
    assert step.norm() > 1e3 > limited(step, orbits).norm()
    assert float(limited(step, orbits).norm()) == pytest.approx(float(orbits.arms.norm()))
    assert torch.equal(limited(1e-9 * step, orbits), 1e-9 * step)


@pytest.mark.parametrize("stepper", STEPPERS)
def test_the_frame_of_edm_can_be_sampled_too(stepper):
    found = sample(
        make_process(40, EDMFrame()), pair_denoiser, AtomLayout.from_counts([5, 3]), 2,
        "adaptive", stepper, noise=MoleculeNoise(0, range(2), [5, 3]), steps=9,
    ).states  # fmt: skip
    assert found.isfinite().all()


def test_steps_without_molecules_are_refused():
    with pytest.raises(ValueError, match="looks at whole molecules: take steps with its on"):
        resolve_stepper("quotient").begin(NoiseSchedule.polynomial_2()).step(None)

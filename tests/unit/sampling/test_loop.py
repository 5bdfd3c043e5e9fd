"""The loop: EDM as a special case, independence of the batch, frozen atoms, few steps."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import RecordedNoise, make_process, pair_denoiser, seeing

from deepchem_ead.diffusion import AtomLayout, EDMFrame
from deepchem_ead.sampling import (
    REPEAT_RULES,
    STEPPERS,
    AdaptiveSchedule,
    MoleculeNoise,
    RandomCoinSchedule,
    ReplaySchedule,
    StaircaseSchedule,
    SynchronousSchedule,
    level_grid,
    sample,
)

SCHEDULES = [
    SynchronousSchedule(),
    StaircaseSchedule(window=2, interval=5),
    AdaptiveSchedule(sync_fraction=0.5, interval=5),
    AdaptiveSchedule(sync_fraction=0.5, interval=5, window=3, velocity="x0hat"),
    RandomCoinSchedule(sync_fraction=0.5, interval=5),
]


def run(counts, schedule, noise=None, steps=None, timesteps=40, **options):
    layout = AtomLayout.from_counts(counts)
    if noise is None:
        noise = MoleculeNoise(0, range(len(counts)), counts)
    process = make_process(timesteps, options.pop("frame", None))
    return sample(process, pair_denoiser, layout, 2, schedule, noise=noise, steps=steps, **options)


def edm_reference(schedule, layout, draws):
    """EDM's sampler in its own coordinates: variance preserving, centred noise, one molecule each.

    Written from arXiv:2203.17003 and its code (sample, sample_p_zs_given_zt, sample_p_xh_given_z0).
    """
    alpha, sigma = schedule.alpha, schedule.sigma
    top = schedule.timesteps

    def centred(value):
        blocks = value.split(layout.counts.tolist())
        blocks = [torch.cat([b[:, :3] - b[:, :3].mean(0), b[:, 3:]], 1) for b in blocks]
        return torch.cat(blocks)

    def network(z, t):
        time = torch.full_like(z[:, :1], t / top)
        dx, h = pair_denoiser(z[:, :3], torch.cat([z[:, 3:], time], 1), layout)
        return centred(torch.cat([dx, h[:, :-1]], 1))

    first, decoding, *others = [centred(d) for d in draws]
    z = first
    trajectory = [z]
    for t, eps in zip(range(top, 0, -1), others, strict=True):
        s = t - 1
        ratio = alpha[t] / alpha[s]
        sigma2_ts = sigma[t] ** 2 - ratio**2 * sigma[s] ** 2
        mean = z / ratio - sigma2_ts / (ratio * sigma[t]) * network(z, t)
        z = centred(mean + sigma2_ts.sqrt() * sigma[s] / sigma[t] * eps)
        trajectory.append(z)
    clean = (z - sigma[0] * network(z, 0)) / alpha[0] + sigma[0] / alpha[0] * decoding
    return trajectory, clean[:, :3], z[:, 3:]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
@pytest.mark.parametrize("frame", [None, EDMFrame()])
def test_synchronous_ancestral_sampling_is_edm(dtype, tolerance, frame):
    layout = AtomLayout.from_counts([5, 3])
    process = make_process(40, frame)
    noise = RecordedNoise(layout.n_nodes, dtype=dtype)
    ours = []
    result = sample(
        process, pair_denoiser, layout, 2, "synchronous", noise=noise,
        callback=lambda c: ours.append((c["levels"], c["w"])),
    )  # fmt: skip
    draws = [d.double() for d in noise.drawn]
    trajectory, positions, features = edm_reference(process.schedule, layout, draws)
    assert result.n_evaluations == len(ours) == len(trajectory) == 41
    for (levels, w), z in zip(ours, trajectory, strict=True):
        assert w.dtype == dtype
        ours_vp = process.schedule.alpha_at(levels)[:, None] * w.double()
        assert (ours_vp - z).abs().max() <= tolerance * z.abs().max()
    scale = positions.abs().max()
    centred = layout.center(positions)
    assert (result.states[:, :3].double() - centred).abs().max() <= tolerance * scale
    # EDM reads features off z_0, alpha_0 = 1 - 5e-6 times our state
    alpha_0 = process.schedule.alpha[0]
    assert (alpha_0 * result.states[:, 3:].double() - features).abs().max() <= tolerance * scale


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("repeat_rule", ["literal", "repaint"])
def test_a_molecule_does_not_depend_on_its_batch(schedule, repeat_rule):
    counts = [6, 1, 4, 9]
    together = run(counts, schedule, repeat_rule=repeat_rule, record_levels=True)
    states = together.states.split(counts)
    levels = together.levels.split(counts, dim=1)
    for index, count in enumerate(counts):
        noise = MoleculeNoise(0, [index], [count])
        alone = run([count], schedule, noise, repeat_rule=repeat_rule, record_levels=True)
        assert torch.equal(alone.states, states[index])
        assert torch.equal(alone.levels, levels[index][: len(alone.levels)])
        assert not levels[index][len(alone.levels) :].any()
    order = [3, 0]
    noise = MoleculeNoise(0, order, [counts[i] for i in order])
    shuffled = run([counts[i] for i in order], schedule, noise, repeat_rule=repeat_rule)
    assert torch.equal(shuffled.states, torch.cat([states[i] for i in order]))


@pytest.mark.parametrize(
    "schedule",
    [
        StaircaseSchedule(window=2, interval=5),
        # wide enough that atoms arrive at different times instead of together at the upper bound
        AdaptiveSchedule(sync_fraction=0.2, interval=25),
        RandomCoinSchedule(sync_fraction=0.2, interval=25),
    ],
)
@pytest.mark.parametrize("repeat_rule", list(REPEAT_RULES))
@pytest.mark.parametrize("frame", [None, EDMFrame()])
def test_atoms_at_level_0_do_not_change(schedule, repeat_rule, frame):
    seen = []
    run(
        [7, 3, 5], schedule, repeat_rule=repeat_rule, frame=frame,
        callback=lambda c: seen.append((c["levels"], c["w"])),
    )  # fmt: skip
    n_frozen = 0
    for (levels, w), (_, next_w) in zip(seen[:-1], seen[1:], strict=True):
        frozen = levels == 0
        n_frozen += int(frozen.sum())
        assert torch.equal(w[frozen], next_w[frozen])
    assert n_frozen > 0


def test_molecules_without_frozen_atoms_are_centred():
    def check(c):
        centre = c["layout"].mean(c["w"][:, :3])
        floating = c["layout"].min(c["levels"]) > 0
        largest = c["w"].abs().max()
        assert (centre[floating].abs() < 1e-6 * largest).all()
        offsets.append(float(centre[~floating].abs().sum()))

    offsets = []
    schedule = RandomCoinSchedule(sync_fraction=0.2, interval=25)
    run([7, 3, 5], schedule, repeat_rule="repaint", callback=check)
    assert max(offsets) > 0.01


#: Evaluations a step, and of the last one together with that which decodes.
EVALUATIONS = {
    "heun": (2, 2), "dpm++2s": (2, 2), "rtk": (3, 4), "rtk-ula": (5, 6), "rtk-uld": (5, 6),
    "direct": (10, 11),
}  # fmt: skip


@pytest.mark.parametrize("stepper", list(STEPPERS))
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7, [0, 1, 5, 22.5, 40]])
def test_any_number_of_steps(stepper, schedule, steps):
    result = run([4, 2], schedule, stepper=stepper, steps=steps, record_levels=True)
    grid = level_grid(40, steps)
    assert result.states.shape == (6, 5)
    assert result.states.isfinite().all()
    n_steps = len(result.levels) - 1
    each, last = EVALUATIONS.get(stepper, (1, 2))
    most = each * (n_steps - 1) + last
    assert n_steps + 1 <= result.n_evaluations <= most
    assert result.n_evaluations == most or schedule != SCHEDULES[0]
    assert torch.isin(result.levels.double(), grid).all()
    assert (result.levels[0] == 40).all()
    assert (result.levels[-1] == 0).all()


def test_network_sees_true_levels_once_per_evaluation():
    calls = []

    @seeing
    def denoiser(x, h, layout):
        calls.append((h[:, -1].double() * 40).round().int())
        return pair_denoiser(x, h, layout)

    layout = AtomLayout.from_counts([5, 4])

    class Bar:
        n = 0

        def update(self, n):
            self.n += n

    bar, steps = Bar(), []
    result = sample(
        make_process(40), denoiser, layout, 2, SCHEDULES[2], repeat_rule="repaint",
        noise=MoleculeNoise(0, [0, 1], layout.counts), record_levels=True, progress=bar,
        callback=lambda c: steps.append((c["step"], c["n_steps"])),
    )  # fmt: skip
    assert torch.equal(torch.stack(calls), result.levels)
    assert result.n_evaluations == bar.n == len(calls)
    assert steps == [(i, 40 + 10 + 1) for i in range(len(calls))]
    assert result.n_evaluations <= 51


def test_runs_do_not_leak_into_each_other():
    first = run([4, 2], SCHEDULES[2], stepper="dpm++2m").states
    second = run([4, 2], SCHEDULES[2], stepper="dpm++2m").states
    assert torch.equal(first, second)


def test_repeat_rules_share_the_synchronous_stage_with_the_synchronous_schedule():
    def states(schedule, rule):
        seen = []
        run([4, 2], schedule, repeat_rule=rule, callback=lambda c: seen.append(c["w"]))
        return seen

    plain = states(SynchronousSchedule(), "literal")
    for rule in ("repaint", "hold"):
        # 20 synchronous steps, and the state they lead to
        for ours, theirs in zip(states(SCHEDULES[2], rule)[:21], plain[:21], strict=True):
            assert torch.equal(ours, theirs)


def test_replaying_the_levels_of_a_run_repeats_it():
    levels = run([6, 5], StaircaseSchedule(interval=5), record_levels=True)
    again = run([6, 5], ReplaySchedule(levels.levels))
    assert torch.equal(levels.states, again.states)


def test_initial_state_is_where_the_run_starts():
    layout = AtomLayout.from_counts([3, 2])
    start = torch.randn(5, 5, generator=torch.Generator().manual_seed(3))
    seen = []
    run([3, 2], ReplaySchedule(torch.tensor([[9.5] * 5, [0.0] * 5])), initial_state=start,
        callback=lambda c: seen.append((c["levels"], c["w"])))  # fmt: skip
    assert torch.equal(seen[0][1], start)
    assert (seen[0][0] == 9.5).all()
    with pytest.raises(ValueError, match=r"initial_state must have the shape \(5, 5\)"):
        run(layout.counts, "synchronous", initial_state=start[:3])


def test_clear_errors():
    with pytest.raises(ValueError, match="schedule must be one of synchronous, staircase, adapt"):
        run([3], "adaptative")
    with pytest.raises(ValueError, match=r"stepper must be one of ancestral, ddim, dpm\+\+2m"):
        run([3], "synchronous", stepper="euler")
    with pytest.raises(ValueError, match="repeat_rule must be one of literal, repaint, hold"):
        run([3], "adaptive", repeat_rule="redo")
    with pytest.raises(ValueError, match="replay needs levels"):
        run([3], "replay")
    with pytest.raises(ValueError, match="steps must lie between 1 and 40"):
        run([3], "synchronous", steps=41)
    with pytest.raises(ValueError, match="from level 0 to level 40, not from 1 to 40"):
        run([3], "synchronous", steps=[1, 40])
    with pytest.raises(ValueError, match="noise is required"):
        sample(make_process(), pair_denoiser, AtomLayout.from_counts([2]), 2)

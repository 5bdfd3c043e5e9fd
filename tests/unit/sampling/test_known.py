"""Known atoms and kinds: they never move and come back to the last bit."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import RecordedNoise, make_process, pair_denoiser, random_rotation, seeing

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling import MoleculeNoise, Start, sample

COUNTS = [6, 4, 5]
LAYOUT = AtomLayout.from_counts(COUNTS)
TOP = 20
GENERATOR = torch.Generator().manual_seed(0)
#: Far from the origin, where single precision has few digits left.
CLEAN = torch.randn(15, 5, generator=GENERATOR) + torch.tensor([100.0, -200, 50, 0, 0])
#: Of the first molecule half the atoms, of the second none, of the third all.
SOME = torch.tensor([1, 1, 1, 0, 0, 0, *[0] * 4, *[1] * 5], dtype=torch.bool)
NONE = torch.zeros(15, dtype=torch.bool)


def levels_of_known(positions, kinds):
    return torch.stack([torch.where(known, 0, TOP) for known in (positions, kinds)], 1)


def run(start, schedule="random-coin:sync_fraction=0.5,interval=5", denoiser=pair_denoiser,
        noise=None, layout=LAYOUT, **options):  # fmt: skip
    noise = noise or MoleculeNoise(0, range(layout.n_molecules), layout.counts)
    return sample(
        make_process(TOP, **options.pop("process", {})), denoiser, layout, 2, schedule,
        noise=noise, start=start, **options,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("known", [(SOME, SOME), (SOME, NONE), (NONE, SOME), (SOME, ~SOME)])
@pytest.mark.parametrize(
    ("schedule", "stepper", "rule"),
    [
        ("synchronous", "heun", "literal"),
        ("adaptive:sync_fraction=0.2,interval=8", "dpm++2m", "literal"),
        ("random-coin:sync_fraction=0.5,interval=5", "ancestral", "renoise"),
        ("settled-first:sync_fraction=0.5,interval=5", "ddim", "langevin"),
        ("staircase:window=3", "heun", "repaint"),
        ("synchronous", "direct:passes=3,eta=1", "literal"),
    ],
)
def test_what_is_known_comes_back_to_the_last_bit(known, schedule, stepper, rule, dtype):
    clean = CLEAN.to(dtype)
    seen = []
    states = run(
        Start(clean, levels_of_known(*known)), schedule, stepper=stepper, repeat_rule=rule,
        callback=seen.append,
    ).states  # fmt: skip
    assert states.dtype == dtype and states.isfinite().all()
    for columns, rows in zip((slice(0, 3), slice(3, 5)), known, strict=True):
        assert torch.equal(states[rows, columns], clean[rows, columns])
        assert (states[~rows, columns] != clean[~rows, columns]).all()
        for step in seen:  # nor did it move in between
            assert torch.equal(step["w"][rows, columns], seen[0]["w"][rows, columns])
            assert torch.equal(step["x_hat"][rows, columns], step["w"][rows, columns])


def test_nothing_known_is_no_start():
    free = run(None).states
    for levels in (torch.full((15,), TOP), torch.full((15, 2), TOP)):
        assert torch.equal(run(Start(torch.full((15, 5), torch.nan), levels)).states, free)


def test_all_known_takes_one_evaluation():
    result = run(Start(CLEAN, torch.zeros(15)))
    assert torch.equal(result.states, CLEAN) and result.n_evaluations == 1


def test_one_level_for_both_channels_is_one_for_the_atom():
    once = run(Start(CLEAN, levels_of_known(SOME, SOME)[:, 0])).states
    assert torch.equal(run(Start(CLEAN, levels_of_known(SOME, SOME))).states, once)


def test_the_network_is_told_exactly():
    """Level 0 and distances as they are, of the state and of the estimate."""
    told = []

    @seeing
    def watching(x, h, layout, reference=None):
        told.append((x, h, reference))
        dx, h_out = pair_denoiser(x, torch.cat([h[:, :2], h[:, 2:3]], 1), layout)
        return dx, h_out

    run(
        Start(CLEAN, levels_of_known(SOME, SOME)), "synchronous", watching,
        process={"self_conditioning": True}, layout=LAYOUT,
    )  # fmt: skip
    known = torch.pdist(CLEAN[:3, :3])
    alpha = make_process(TOP).schedule.alpha
    for k, (x, h, reference) in enumerate(told[:-1]):
        assert not h[SOME, 2].any()
        scale = float(alpha[TOP - k])
        # Coordinates as large as the noise leave single precision few digits of these.
        torch.testing.assert_close(torch.pdist(x[:3]) / scale, known, rtol=1e-3, atol=1e-3)
        if reference is not None:
            torch.testing.assert_close(torch.pdist(reference[:3]) / scale, known, atol=1e-3, rtol=0)
            assert torch.equal(h[:3, 3:5], CLEAN[:3, 3:5])


@pytest.mark.parametrize("known", [(SOME, SOME), (SOME, ~SOME)])
def test_known_parts_may_lie_anywhere(known):
    rotation, shift = random_rotation(2, reflect=True), torch.tensor([3.0, -7, 11]).double()
    levels, clean = levels_of_known(*known), CLEAN.double()
    clean[:, :3] -= clean[:, :3].mean(0)

    def moved(x):
        return torch.cat([x[:, :3] @ rotation.T + shift, x[:, 3:]], 1)

    plain = run(Start(clean, levels), noise=RecordedNoise(15)).states
    turned = run(Start(moved(clean), levels), noise=RecordedNoise(15, rotation=rotation)).states
    placed = torch.cat([levels[:, 0][m].eq(0).any().expand(n) for m, n in zip(
        torch.arange(15).split(COUNTS), COUNTS, strict=True)])  # fmt: skip
    expected = moved(plain)
    expected[~placed, :3] -= shift  # without known atoms a molecule is centred
    torch.testing.assert_close(turned, expected, rtol=1e-8, atol=1e-8)


def test_a_molecule_does_not_depend_on_its_company():
    levels = levels_of_known(SOME, ~SOME)
    together = run(Start(CLEAN, levels), stepper="heun").states
    for k, rows in enumerate(torch.arange(15).split(COUNTS)):
        layout = AtomLayout.from_counts(COUNTS[k : k + 1])
        alone = run(
            Start(CLEAN[rows], levels[rows]), stepper="heun", layout=layout,
            noise=MoleculeNoise(0, [k], layout.counts),
        )  # fmt: skip
        assert torch.equal(alone.states, together[rows])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (Start(CLEAN[:3], torch.zeros(15)), r"clean must have the shape \(15, 5\), not \(3, 5\)"),
        (Start(CLEAN, torch.zeros(15, 3)), r"levels must have the shape \(15,\) or \(15, 2\)"),
        (
            Start(CLEAN, torch.arange(15.0)),
            "levels of a start are 0 .known., 20 .not known. and at",
        ),
        (Start(CLEAN / 0 * 0, torch.zeros(15)), "node 0 is to be known, but is .nan"),
    ],
)
def test_clear_errors(start, message):
    with pytest.raises(ValueError, match=message):
        run(start)

"""Guidance on a window of levels: as guided inside, as unguided outside, counted as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling_toys import make_process, pair_denoiser, seeing

from deepchem_ead import EADModel
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.diffusion.asked import Asked
from deepchem_ead.diffusion.bonds import Bonds
from deepchem_ead.sampling import (
    AutoGuidance,
    ClassifierFreeGuidance,
    GradientGuidance,
    LevelWindow,
    MoleculeNoise,
    sample,
)

LAYOUT = AtomLayout.from_counts([4, 3, 6])
WINDOW = LevelWindow(20, 40)
PROCESS = make_process(100)
FAST = dict(n_atoms=7, steps=20, seed=3, progress=False)


@seeing
def told_denoiser(x, h, layout):
    """`pair_denoiser` that depends on a column of context, if there is one (behind t / T)."""
    told = 1 + 0.3 * h[:, 3:].sum(1, keepdim=True)
    dx, h_out = pair_denoiser(x, torch.cat([h[:, :2] * told, h[:, 2:3]], 1), layout)
    return dx * told, h_out


def feature_sum(x_hat, layout):
    return layout.sum(x_hat[:, 3:4])


def guided(kind: str, window: LevelWindow | None):
    """A guided process, and its columns of context, the process's own column first."""
    own, other = torch.randn(2, 3, 1, generator=torch.Generator().manual_seed(1)).double()
    if kind == "classifier-free":
        return ClassifierFreeGuidance(PROCESS, 1.5, window), torch.cat([own, other], 1)
    if kind == "auto":
        weak = make_process(100)
        return AutoGuidance(PROCESS, weak, pair_denoiser, 0, 2.0, window), own
    targets = torch.full((3, 1), 2.0).double()
    process = GradientGuidance(PROCESS, feature_sum, torch.ones(1), window=window)
    return process, torch.cat([own, targets], 1)


def state(levels):
    w = torch.randn(13, 5, generator=torch.Generator().manual_seed(0)).double()
    return told_denoiser, w, LAYOUT.expand(torch.tensor(levels, dtype=torch.float64)), LAYOUT


@pytest.mark.parametrize("kind", ["classifier-free", "auto", "gradient"])
def test_each_molecule_is_guided_by_its_own_levels(kind):
    process, context = guided(kind, WINDOW)
    everywhere, _ = guided(kind, None)
    told = state([40.0, 41.0, 20.0])
    found = process.predict_noise(*told, context)
    inside = everywhere.predict_noise(*told, context)
    outside = PROCESS.predict_noise(*told, context[:, :1])
    assert not torch.allclose(inside, outside)
    first, second, third = (slice(0, 4), slice(4, 7), slice(7, 13))
    assert torch.equal(found[second], outside[second])
    for molecule in (first, third):  # gradients agree between batches to rounding only
        torch.testing.assert_close(found[molecule], inside[molecule], rtol=0, atol=1e-12)
    for levels, expected in ([20.0, 30.0, 40.0], everywhere), ([5.0, 19.0, 90.0], None):
        told = state(levels)
        found = process.predict_noise(*told, context)
        plain = PROCESS.predict_noise(*told, context[:, :1])
        wanted = plain if expected is None else expected.predict_noise(*told, context)
        assert torch.equal(found, wanted)


def test_a_part_of_what_is_asked_keeps_its_bonds():
    pairs = LAYOUT.pairs
    bonds = Bonds(100 * pairs.first + pairs.second, pairs.first % 2 == 0)
    told = state([40.0, 41.0, 20.0])
    asked = Asked(*told[1:], bonds=bonds, previous_bonds=bonds.kinds.unsqueeze(1).double())
    part = asked.take(torch.tensor([True, False, True]))
    atoms = torch.tensor([*range(4), *range(7, 13)])
    first, second = (atoms[index] for index in (part.layout.pairs.first, part.layout.pairs.second))
    assert torch.equal(part.bonds.kinds, 100 * first + second)
    assert torch.equal(part.bonds.given, first % 2 == 0)
    assert torch.equal(part.previous_bonds.squeeze(1), part.bonds.kinds.double())


def test_the_noisiest_atom_decides():
    levels = torch.tensor([19.0, 45, 30, 30, 19, 25, 19, 1, 2, 3, 4, 5, 6])
    assert WINDOW.holds(levels, LAYOUT).tolist() == [False, True, False]
    channels = torch.stack([torch.zeros(13), levels], 1)
    assert WINDOW.holds(channels, LAYOUT).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["classifier-free", "auto", "gradient"])
def test_evaluations_are_those_that_were_made(kind):
    calls = []

    @seeing
    def counting(x, h, layout):
        calls.append(1)
        return told_denoiser(x, h, layout)

    process, context = guided(kind, WINDOW)
    if kind == "auto":
        process.weak_denoiser = counting
    noise = MoleculeNoise(0, [0, 1, 2], [4, 3, 6])
    seen = []
    result = sample(
        process, counting, LAYOUT, 2, noise=noise, steps=10, context=context.float(),
        callback=lambda step: seen.append(step["n_evaluations"]),
    )  # fmt: skip
    within = 0 if kind == "gradient" else 3  # levels 20, 30 and 40
    assert len(calls) == result.n_evaluations == seen[-1] == 11 + within
    assert result.molecule_evaluations.tolist() == [11 + within] * 3


def test_windows_of_two_guidances_are_counted_each_by_itself():
    free = ClassifierFreeGuidance(PROCESS, 1.0, LevelWindow(0, 50))
    both = AutoGuidance(free, PROCESS, told_denoiser, 0, 1.0, LevelWindow(30, 80))
    levels = LAYOUT.expand(torch.tensor([20.0, 40, 60]))
    assert both.evaluations_at(levels, LAYOUT).tolist() == [2, 3, 2]
    assert both.evaluations == 3


def test_a_run_outside_the_window_is_the_unguided_run():
    own = torch.ones(3, 1)

    def run(process):
        noise = MoleculeNoise(0, [0, 1, 2], [4, 3, 6])
        return sample(process, told_denoiser, LAYOUT, 2, noise=noise, steps=10, context=own).states

    def auto(window):
        return run(AutoGuidance(PROCESS, PROCESS, pair_denoiser, 0, 2.0, window))

    assert torch.equal(auto(LevelWindow(21, 29)), run(PROCESS))
    assert not torch.equal(auto(WINDOW), run(PROCESS))
    assert torch.equal(auto(LevelWindow(0, 100)), auto(None))


@pytest.mark.parametrize(
    ("text", "found"), [("200-400", (200, 400)), ((0, 5.5), (0, 5.5)), ("", (0, float("inf")))]
)
def test_windows_are_written_plainly(text, found):
    window = LevelWindow.read(text)
    assert (window.low, window.high) == found and LevelWindow.read(window) is window
    assert LevelWindow.read(str(window)) == window


@pytest.mark.parametrize("text", ["400-200", "-5-3", "200", "a-b", (1, 2, 3), 200, "nan-3"])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(ValueError, match="a window of levels"):
        LevelWindow.read(text)


def test_generation_on_a_window(tmp_path):
    model = EADModel.from_pretrained("qm9-1")
    with pytest.raises(ValueError, match="guidance_levels=200-400 does nothing without"):
        model.generate(1, guidance_levels="200-400", **FAST)
    with pytest.raises(ValueError, match="the highest level is 1000"):
        model.generate(1, autoguidance_scale=1.0, guidance_levels=(1001, 1002), **FAST)
    made = [
        model.generate(2, schedule="synchronous", autoguidance_scale=scale, **FAST, **window)
        for scale, window in [
            (0.0, {}), (1.0, {}), (1.0, {"guidance_levels": (200, 400)}),
        ]
    ]  # fmt: skip
    plain, always, within = (each.info["n_evaluations"] for each in made)
    assert (plain, always, within) == (21, 42, 26)
    assert made[2].info["guidance_levels"] == "200-400" and "guidance_levels" not in made[1].info
    tuned = EADModel.from_pretrained("qm9-1", autoguidance_scale=1.0, guidance_levels="200-400")
    again = tuned.generate(2, schedule="synchronous", **FAST)
    assert np.array_equal(again.coordinates, made[2].coordinates)
    assert tuned.generate(2, guidance_levels="", **FAST).info["n_evaluations"] > 40
    with pytest.raises(ValueError, match="guidance_levels: a window of levels is written as"):
        EADModel.from_pretrained("qm9-1", guidance_levels="200")

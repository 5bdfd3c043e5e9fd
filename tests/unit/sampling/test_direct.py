"""Passes of a map that is told its own results, at fixed states and levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling_toys import RecordedNoise, make_process, pair_denoiser, seeing

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.diffusion import AtomLayout, DiffusionProcess, Estimate
from deepchem_ead.generation.given import Given
from deepchem_ead.sampling import DirectStepper, sample

LAYOUT = AtomLayout.from_counts([4, 3, 6])
TOP = 20
TINY = {
    "preset": "conformers-qm9-direct", "n_layers": 1, "n_features": 32, "n_heads": 2,
    "bonds": False, "stereo": False, "charged_kinds": "", "tasks": "conformer,edit",
}  # fmt: skip


class Frozen(DiffusionProcess):
    """The map that returns what it is told, and at first what it was given."""

    def estimate(self, denoiser, asked):
        told = INITIAL if asked.previous is None else asked.previous
        tau = self.tau_at(asked.levels).unsqueeze(1)
        return Estimate((asked.w - told) / tau)


INITIAL = torch.randn(13, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INITIAL[:, :3] = LAYOUT.center(INITIAL[:, :3])


@pytest.mark.parametrize("passes", [1, 2, 100])
def test_a_frozen_map_returns_what_it_began_with(passes):
    like = make_process(TOP, self_conditioning=True)
    process = Frozen(**{name: getattr(like, name) for name in like.__dataclass_fields__})
    result = sample(
        process, pair_denoiser, LAYOUT, 2, "synchronous", f"direct:passes={passes}",
        noise=RecordedNoise(13), steps=1, callback=(seen := []).append,
    )  # fmt: skip
    assert result.n_evaluations == passes + 1  # the last one decodes
    found = seen[-1]["x_hat"]  # of noise that was 300 Angstrom wide
    found = torch.cat([LAYOUT.center(found[:, :3]), found[:, 3:]], 1)
    torch.testing.assert_close(found, INITIAL, atol=1e-9, rtol=0)
    # The last level has a little noise of its own.
    torch.testing.assert_close(seen[-1]["w"], INITIAL, atol=2e-2, rtol=0)


def test_passes_ask_about_the_same_state_with_the_answer_before():
    asked = []

    @seeing
    def watching(x, h, layout, reference=None):
        asked.append((x, h[:, 2], reference))
        dx, h_out = pair_denoiser(x, h[:, :3], layout)
        return dx * (1 if reference is None else 1 + reference.norm() / 100), h_out

    process = make_process(TOP, self_conditioning=True)
    said = []

    def run(stepper):
        asked.clear()
        said.clear()
        return sample(
            process, watching, LAYOUT, 2, "synchronous", stepper, noise=RecordedNoise(13),
            steps=2, callback=said.append,
        )  # fmt: skip

    states = run("direct:passes=3").states
    assert len(asked) == 2 * 3 + 1 and len(said) == 3
    levels = [float(level[0]) for _, level, _ in asked]
    assert levels == [1.0] * 3 + [0.5] * 3 + [0.0]
    for k in (1, 2, 4, 5):
        assert torch.equal(asked[k][0], asked[k - 1][0])
        assert not torch.equal(asked[k][2], asked[k - 1][0 if k == 1 else 2])
    assert asked[0][2] is None and asked[3][2] is not None  # told on from step to step
    assert not torch.allclose(states, run("direct:passes=1").states)
    assert torch.equal(run("direct:passes=1").states, run("ddim").states)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("direct:passes=0", "passes must lie between 1 and 1000, not 0"),
        ("direct:eta=2", "eta must lie between 0 and 1, not 2"),
    ],
)
def test_options_out_of_range_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        sample(make_process(TOP), pair_denoiser, LAYOUT, 2, stepper=text, noise=RecordedNoise(13))


@pytest.mark.parametrize("stepper", ["direct:passes=3", DirectStepper(3)])
def test_a_model_of_another_objective_is_refused(stepper):
    model = EADModel(preset="qm9-small", n_layers=1, n_features=32)
    with pytest.raises(ValueError, match=r"objective='direct', and this .* objective='noise'; use"):
        model.generate(1, stepper=stepper, n_atoms=5, progress=False)


@pytest.fixture(scope="module")
def model():
    """Random weights that heed what they are told."""
    found = EADModel(**TINY)
    torch.manual_seed(1)
    for parameter in found.model.sampling_denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return found


@pytest.fixture(scope="module")
def parts(qm9_sample):
    """The first five atoms of three molecules, far from the origin."""
    X = qm9_sample.X[[40, 200, 700], :5]
    return MoleculeBatch.from_arrays(X[..., 3].astype(int), X[..., :3] + 20.0)


def generated(model, parts, task, **options):
    return model.generate(
        3, n_atoms=9 if task == "edit" else 5, seed=2, steps=2, stepper="direct:passes=3",
        start=Given(parts, task), progress=False, **options,
    )  # fmt: skip


@pytest.mark.parametrize("task", ["conformer", "edit"])
def test_what_is_given_comes_back_and_nothing_depends_on_the_batch(model, parts, task):
    found, again, alone = (generated(model, parts, task, batch_size=b) for b in (3, 3, 1))
    assert found.info["evaluations"] == [2 * 3 + 1] * 3
    for k in range(3):
        assert np.array_equal(found.positions[k], again.positions[k])
        assert np.array_equal(found.positions[k], alone.positions[k])
        assert np.array_equal(found.numbers[k][:5], parts.numbers[k])
        same = found.positions[k][:5] == parts.positions[k]
        assert same.all() == (task == "edit") and (task == "edit" or not same.any())
    one = model.generate(
        3, n_atoms=found.counts[0], seed=2, steps=2, stepper="direct:passes=1",
        start=Given(parts, task), progress=False,
    )  # fmt: skip
    assert not np.allclose(one.positions[0], found.positions[0])

"""One object for the options of a generation, wherever they are given."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from chem_data import qm9

from deepchem_ead import EADModel
from deepchem_ead.generation.job import GenerationSettings
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.models import EADConfig
from deepchem_ead.sampling import ChurnStepper, resolve_grid

DEFAULTS = vars(SamplingOptions())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = EADModel(
        "qm9-small", n_layers=1, n_features=32, timesteps=30, model_dir=tmp_path_factory.mktemp("m")
    )
    model.fit(qm9()[0][:8].to_dataset(), nb_epoch=1)
    return model


def test_generate_has_the_same_options_with_the_same_defaults():
    names = inspect.signature(EADModel.generate).parameters
    assert {n: p.default for n, p in names.items() if n in DEFAULTS} == DEFAULTS
    assert names.keys() - DEFAULTS.keys() == {
        "self", "n", "progress", "callback", "conditions", "options",
    }  # fmt: skip


def test_every_option_is_described_where_it_is_looked_up():
    assert "{options}" not in EADModel.generate.__doc__
    for described in (SamplingOptions.__doc__, EADModel.generate.__doc__):
        described = inspect.cleandoc(described)
        assert all(f"\n{name} : " in described for name in DEFAULTS)


@pytest.mark.parametrize(
    "chosen",
    [
        {"schedule": "synchronous", "seed": 3, "steps": 4, "n_atoms": [9, 12]},
        {"stepper": "ddim", "seed": 0, "steps": 6, "n_atoms": 7, "record_levels": True},
        {"repeat_rule": "hold", "seed": 1, "steps": 5, "batch_size": 1, "noise_scale": 0.5},
    ],
)
def test_an_object_generates_what_its_keywords_do(model, chosen):
    one = model.generate(2, progress=False, **chosen)
    other = model.generate(2, progress=False, options=SamplingOptions(**chosen))
    for i in range(2):
        for mine, theirs in zip(one.atoms(i), other.atoms(i), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert one.info.keys() == other.info.keys()


def test_an_object_beside_keywords_is_refused(model):
    options = SamplingOptions(steps=5)
    with pytest.raises(ValueError, match="seed, closed_shell stand beside options="):
        model.generate(1, seed=0, closed_shell=False, options=options, progress=False)


@pytest.mark.parametrize(
    "chosen", [{}, {"seed": 0}, {"closed_shell": False}, {"n_atoms": np.array([3, 4]), "steps": 9}]
)
def test_what_is_given_is_what_is_not_the_default(chosen):
    options = replace(SamplingOptions(guidance_scale=0), **chosen)
    assert options.given() == chosen


@pytest.mark.parametrize("steps", ["coarse:steps=12,above=9", [0.0, 7.5, 18.0, 30.0]])
def test_steps_may_be_a_grid(model, steps):
    molecules = model.generate(2, "synchronous", steps=steps, seed=0, progress=False)
    grid = resolve_grid(steps, model.config.make_noise_schedule())
    assert molecules.info["steps"] == steps
    assert molecules.info["evaluations"] == [len(grid)] * 2


def test_the_configuration_may_name_grid_and_stepper():
    options = {"sampling_steps": "arcsin:steps=9", "stepper": "churn:gamma=0.2"}
    settings = GenerationSettings.resolve(EADConfig.load("qm9-small", **options))
    assert settings.steps == "arcsin:steps=9" and settings.stepper == ChurnStepper(0.2)
    for name, value in (
        ("sampling_steps", "arc"),
        ("stepper", "churn:gama=1"),
        ("sampling_steps", True),
    ):
        with pytest.raises(ValueError, match=name):
            EADConfig.load("qm9-small", **{name: value})

"""One object for the options of a generation, wherever they are given."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from chem_data import qm9

from deepchem_ead import EADModel
from deepchem_ead.generation.options import SamplingOptions

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
    options = replace(SamplingOptions(guidance_scale=0, stepper="ancestral"), **chosen)
    assert options.given() == chosen

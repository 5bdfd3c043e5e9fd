"""Configurations by section and without: the same fields from Python, YAML and the command line."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import yaml

from deepchem_ead import EADModel
from deepchem_ead.commands.options import parse_option
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.run_sections import FitOptions, TrainingOptions
from deepchem_ead.properties.config import PropertyConfig

FLAT = {"n_layers": 2, "batch_size": 8, "elements": "H,C", "sizes": "drawn", "frame": "edm"}
NESTED = {"network": {"n_layers": 2}, "training": {"batch_size": 8}, "data": {"elements": "H,C"},
          "sampling": {"sizes": "drawn"}, "process": {"frame": "edm"}}  # fmt: skip
DOTTED = {f"{s}.{name}": v for s, values in NESTED.items() for name, v in values.items()}


@pytest.mark.parametrize("values", [NESTED, DOTTED, {**NESTED, "sampling": {}, "sizes": "drawn"}])
def test_sections_say_what_flat_names_say(values, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    expected = EADConfig(**FLAT)
    assert EADConfig.load(**values) == EADConfig.load(tmp_path / "mine.yaml") == expected
    assert EADConfig.load(tmp_path / "mine.yaml", network={"n_layers": 3}).n_layers == 3
    texts = [f"{name}={json.dumps(value)}" for name, value in DOTTED.items()]
    assert EADConfig.load(**dict(map(parse_option, texts))) == expected


@pytest.mark.parametrize("config", [EADConfig(**FLAT), PropertyConfig(tasks="a,b", n_layers=2)])
def test_written_sections_are_read(config):
    sections = config.sections()
    assert [*sections] == [*type(config).SECTIONS]
    assert {k: v for own in sections.values() for k, v in own.items()} == config.to_dict()
    assert type(config).from_dict(yaml.safe_load(yaml.safe_dump(sections))) == config
    assert type(config).from_stored(sections) == config
    assert isinstance(config, FitOptions)


def test_a_section_stands_by_itself():
    assert TrainingOptions(batch_size=8).batch_size == 8
    with pytest.raises(ValueError, match="batch_size must be positive"):
        TrainingOptions(batch_size=0)


def test_options_of_a_denoiser_stand_in_its_section():
    config = EADConfig.load("qm9-small", network={"causal_mask": True})
    assert config.network_options.causal_mask
    assert EADConfig.load("qm9-small", **{"network.causal_mask": True}) == config


def test_options_of_a_noise_schedule_follow_its_name():
    near, far = (EADConfig(noise_schedule=f"cosine:offset={s}") for s in (0.008, 0.1))
    assert near.structural_differences(far)
    tables = [c.make_noise_schedule().tau for c in (near, far, EADConfig(noise_schedule="cosine"))]
    assert tables[0].equal(tables[2]) and not tables[0].equal(tables[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"n_layers": 2}}, "n_layers is not in the section 'training' but in 'netw"),
        ({"data.frame": "edm"}, "frame is not in the section 'data' but in 'process'"),
        ({"n_layers": 2, "network": {"n_layers": 3}}, "n_layers is given twice, as 2 and 3"),
        ({"network": {"n_layer": 2}}, "no option 'n_layer'; did you mean 'n_layers'"),
        ({"sampling": 3}, "no option 'sampling'"),
        ({"net.n_layers": 3}, "no option 'net.n_layers'"),
        ({"noise_schedule": "cosine:ofset=1"}, "'cosine' has no option 'ofset'.*'offset'"),
        ({"noise_schedule": "linear-ish"}, "noise_schedule must be one of polynomial_2, cosine"),
        ({"noise_schedule": "cosine:offset=far"}, "noise_schedule 'cosine:offset=far'"),
    ],
)
def test_what_stands_in_the_wrong_place_is_explained(values, message):
    with pytest.raises(ValueError, match=message):
        EADModel(**values)


def test_flat_records_of_shipped_weights_are_read():
    for path in (resources.files("deepchem_ead") / "pretrained").iterdir():
        record = json.loads((path / "config.json").read_text())
        kind = EADConfig if record["model_type"] == "EADModel" else PropertyConfig
        config = kind.from_stored(record["config"])
        assert {name: config.to_dict()[name] for name in record["config"]} == record["config"]
        assert kind.from_dict(config.sections()) == config


def test_a_file_may_be_like_a_preset_or_another_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("like: drugs\nnetwork: {n_layers: 3}\nlearning_rate: 0.5")
    (tmp_path / "yours.yaml").write_text("like: mine.yaml\nn_layers: 2")
    mine, yours = (EADConfig.load(tmp_path / f"{name}.yaml") for name in ("mine", "yours"))
    assert mine == EADConfig.load("drugs", n_layers=3, learning_rate=0.5)
    assert yours == EADConfig.load("drugs", n_layers=2, learning_rate=0.5)
    assert EADConfig.load("drugs").position_target == "residual"  # of "qm9-joint", two files up
    (tmp_path / "mine.yaml").write_text("like: yours.yaml")
    with pytest.raises(ValueError, match=r"mine.yaml is like .*yours.yaml is like .*mine.yaml"):
        EADConfig.load(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("like: druggs")
    with pytest.raises(ValueError, match="no preset 'druggs'"):
        EADConfig.load(tmp_path / "mine.yaml")

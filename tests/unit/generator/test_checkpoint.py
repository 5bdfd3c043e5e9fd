"""Files: nothing damaged is loaded, nothing good is lost, and configurations must agree."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepchem_ead import CheckpointError, EADModel
from deepchem_ead.generator import checkpoint
from deepchem_ead.generator.config import EADConfig, preset_names

SMALL = {"n_layers": 1, "n_features": 32, "batch_size": 16, "preset": "qm9-small"}


@pytest.fixture
def trained(qm9_sample, tmp_path):
    model = EADModel(**SMALL, model_dir=str(tmp_path / "run"))
    model.fit(qm9_sample.select(range(40)), nb_epoch=2, checkpoint_interval=2)
    return model


def state(model):
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_restore_brings_everything_back(trained):
    fresh = EADModel(**SMALL, model_dir=trained.model_dir)
    fresh.restore()
    assert same(state(trained), state(fresh))
    assert fresh.get_global_step() == trained.get_global_step() == 6
    assert fresh.training_position == trained.training_position
    ours = trained._pytorch_optimizer.state_dict()["state"]
    theirs = fresh._pytorch_optimizer.state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for index in ours:
        for key, value in ours[index].items():
            assert torch.equal(torch.as_tensor(value), theirs[index][key]), (index, key)


def test_checkpoints_are_rotated_newest_first(trained):
    names = [Path(p).name for p in trained.get_checkpoints()]
    assert names == [f"checkpoint-{step:09d}.safetensors" for step in (6, 5, 3, 1)]
    trained.save_checkpoint(max_checkpoints_to_keep=2)
    assert len(trained.get_checkpoints()) == 2


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "pickle", "foreign"])
def test_a_damaged_checkpoint_is_refused_and_the_model_unchanged(trained, damage):
    newest = Path(trained.get_checkpoints()[0])
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "truncate":
        data = data[: len(data) // 2]
    elif damage == "empty":
        data = bytearray()
    newest.write_bytes(data)
    if damage == "pickle":
        torch.save({"model_state_dict": {}}, newest)
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(3)}, newest)
    model = EADModel(**SMALL, seed=5)
    before = state(model)
    with pytest.raises(CheckpointError):
        model.restore(checkpoint=str(newest))
    assert same(before, state(model))


def test_a_damaged_newest_checkpoint_falls_back_loudly(trained, caplog):
    newest, older, *_ = trained.get_checkpoints()
    content = Path(newest).read_bytes()
    Path(newest).write_bytes(content[:-10])
    os.utime(newest, (2**31, 2**31))
    fresh = EADModel(**SMALL, model_dir=trained.model_dir)
    fresh.restore()
    assert fresh.get_global_step() == 5
    assert "falling back" in caplog.text and Path(older).name in caplog.text


def test_a_copied_folder_goes_on_from_the_newest_checkpoint(trained):
    """Copies have the times of copying, in any order."""
    before = trained.get_checkpoints()
    for age, path in enumerate(before):
        os.utime(path, (10**9 + age, 10**9 + age))
    assert trained.get_checkpoints() == before
    fresh = EADModel(**SMALL, model_dir=trained.model_dir)
    fresh.restore()
    assert fresh.get_global_step() == trained.get_global_step()


def test_a_run_begun_anew_in_an_old_folder_keeps_its_own_checkpoints(trained, qm9_sample):
    anew = EADModel(**SMALL, model_dir=trained.model_dir)
    anew.fit(qm9_sample.select(range(40)), nb_epoch=1, max_checkpoints_to_keep=2)
    steps = [int(Path(path).stem.split("-")[1]) for path in anew.get_checkpoints()]
    assert steps == [3, 6]  # the old run's last one after its own


def test_a_damaged_checkpoint_does_not_outlive_newer_ones(trained, caplog):
    Path(trained.get_checkpoints()[0]).write_bytes(b"damaged")
    trained._global_step += 1
    trained.save_checkpoint(max_checkpoints_to_keep=1)
    (only,) = trained.get_checkpoints()
    EADModel(**SMALL, model_dir=trained.model_dir).restore()
    assert Path(only).name == checkpoint.checkpoint_name(7) and not caplog.text


def test_no_checkpoint_is_a_clear_error(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        EADModel(**SMALL, model_dir=str(tmp_path)).restore()


def test_another_configuration_is_refused_with_its_differences(trained):
    other = EADModel(**{**SMALL, "n_features": 64}, variable_size=True)
    before = state(other)
    with pytest.raises(CheckpointError, match="variable_size is True here and False there.*n_f"):
        other.restore(checkpoint=trained.get_checkpoints()[0])
    assert same(before, state(other))


def test_training_settings_may_change(trained):
    other = EADModel(**SMALL, learning_rate=1e-5, model_dir=trained.model_dir)
    other.restore()
    assert other.config.learning_rate == 1e-5


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    checkpoint.write_tensors(path, {"a": torch.ones(3)}, {"step": 1})

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write_tensors(path, {"a": torch.zeros(3)}, {"step": 2})
    tensors, data = checkpoint.read_tensors(path)
    assert data == {"step": 1} and tensors["a"].tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == ["file.safetensors"]
    assert path.stat().st_mode & 0o044  # others may read it


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path, position, bit):
    path = tmp_path / "file.safetensors"
    tensors = {"w": torch.arange(12, dtype=torch.float32), "n": torch.tensor(3)}
    checkpoint.write_tensors(path, tensors, {"config": {"a": 1}, "note": "x" * 20})
    data = bytearray(path.read_bytes())
    index = min(int(position * len(data)), len(data) - 1)
    data[index] ^= 1 << bit
    path.write_bytes(data)
    try:
        read, content = checkpoint.read_tensors(path)
    except CheckpointError:
        return
    # A flip that changes neither names, values nor data (padding of the header) may pass.
    assert content == {"config": {"a": 1}, "note": "x" * 20}
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_pretrained_round_trip_generates_the_same(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    loaded = EADModel.from_pretrained(tmp_path / "model")
    options = dict(steps=10, seed=0, progress=False)
    ours, theirs = trained.generate(3, **options), loaded.generate(3, **options)
    assert np.array_equal(ours.coordinates, theirs.coordinates)
    assert np.array_equal(ours.atomic_numbers, theirs.atomic_numbers)


def test_pretrained_models_can_be_trained_further(trained, qm9_sample, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    loaded = EADModel.from_pretrained(tmp_path / "model", learning_rate=1e-5)
    loaded.fit(qm9_sample.select(range(16)), nb_epoch=1, checkpoint_interval=0)
    assert loaded.get_global_step() == 1


@pytest.mark.parametrize("damage", ["weights", "missing", "config", "sha"])
def test_damaged_pretrained_folders_are_refused(trained, tmp_path, damage):
    folder = tmp_path / "model"
    trained.save_pretrained(folder)
    if damage == "weights":
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (folder / "model.safetensors").write_bytes(data)
    elif damage == "missing":
        (folder / "model.safetensors").unlink()
    elif damage == "config":
        (folder / "config.json").write_text("{not json")
    elif damage == "sha":
        record = json.loads((folder / "config.json").read_text())
        del record["sha256"]
        (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError):
        EADModel.from_pretrained(folder)


def test_from_pretrained_refuses_changes_of_structure(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="n_layers is 3 here and 1 there"):
        EADModel.from_pretrained(tmp_path / "model", n_layers=3)


def test_unknown_model_names_are_explained():
    with pytest.raises(CheckpointError, match="not among the models that come with the package"):
        EADModel.from_pretrained("no-such-model")


@pytest.mark.parametrize("preset", preset_names())
def test_presets_are_valid_and_documented_numbers(preset):
    config = EADConfig.load(preset)
    assert config == EADConfig.from_dict(config.to_dict())
    if preset == "paper-qm9":
        assert (config.n_layers, config.n_features, config.timesteps) == (9, 256, 1000)
        assert (config.learning_rate, config.ema_decay, config.batch_size) == (1e-4, 0.9999, 64)
        assert (config.variable_size, config.frame) == (True, "quotient")


def test_conformers_of_drugs_are_of_the_molecules_and_the_network_of_drugs():
    ours, drugs, qm9 = map(EADConfig.load, ("conformers-drugs", "drugs", "conformers-qm9"))
    for name in ("elements", "charged_kinds", "max_atoms"):
        assert getattr(ours, name) == getattr(drugs, name) != getattr(qm9, name)
    sections = [config.sections() for config in (ours, drugs, qm9)]
    assert sections[0]["network"] == sections[1]["network"] == sections[2]["network"]
    assert sections[0]["sampling"] == sections[2]["sampling"] and ours.tasks == "conformer"


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"n_layer": 3}, "did you mean 'n_layers'"),
        ({"p_sync": 1.5}, r"p_sync must lie in \[0, 1\]"),
        ({"n_layers": "six"}, "n_layers must be of type int"),
        ({"frame": "absolut"}, "frame must be one of quotient, preconditioned, edm"),
        ({"frame": "edm", "symmetry": "kabsch"}, "symmetry='kabsch' needs frame='quotient'"),
        ({"elements": "H,Xx"}, "Xx"),
        ({"batch_size": 0}, "batch_size must be positive"),
    ],
)
def test_wrong_options_are_explained(overrides, message):
    with pytest.raises(ValueError, match=message):
        EADModel("qm9-small", **overrides)


def test_unknown_presets_and_files_are_explained(tmp_path):
    with pytest.raises(
        ValueError,
        match="there are conformers-drugs, .*qm9, .*paper-geom, paper-qm9, qm9, qm9-cond",
    ):
        EADModel("qm9-smal")
    with pytest.raises(ValueError, match="no configuration file"):
        EADModel(tmp_path / "missing.yaml")
    (tmp_path / "mine.yaml").write_text("n_layers: 1\nn_features: 32\n")
    assert EADModel(tmp_path / "mine.yaml").config.n_features == 32


@pytest.mark.parametrize(("interval", "warned"), [(29, True), (9, False)])
def test_the_inexact_frame_warns_when_it_matters(interval, warned, caplog):
    EADModel(**SMALL, frame="edm", interval=interval)
    assert ("neglects about 0.25 standard deviations" in caplog.text) == warned
    EADModel(**SMALL, frame="quotient")
    assert caplog.text.count("neglects") == warned


@pytest.mark.parametrize("changed", [{"n_layers": 2}, {"elements": "H,C"}, {"frame": "edm"}])
def test_fields_say_themselves_what_gives_weights_their_meaning(changed):
    name, value = next(iter(changed.items()))
    mine, theirs = EADConfig(), EADConfig(**changed, learning_rate=1e-3, seed=5)
    assert mine.structural_differences(theirs) == {name: (getattr(mine, name), value)}
    kinds = {kind: name in EADConfig.fields_that(kind) for kind in ("same states", "may widen")}
    assert kinds == {"same states": name != "n_layers", "may widen": name == "elements"}

"""Where trained weights are found: folders, the package, the Hugging Face Hub and its cache."""

from __future__ import annotations

import json
import shutil
import sys

import huggingface_hub.constants
import pytest
import torch
from local_hub import REPOSITORY, LocalHub

from deepchem_ead import CheckpointError, EADModel
from deepchem_ead.commands.jobs import installation
from deepchem_ead.generator import pretrained

TINY = {"preset": "qm9-small", "n_layers": 1, "n_features": 32}


@pytest.fixture
def folder(tmp_path):
    """Weights as they are uploaded."""
    model = EADModel(**TINY, model_dir=str(tmp_path / "run"))
    model.weak_model = EADModel(**TINY, model_dir=str(tmp_path / "weak"), seed=1)
    model.save_pretrained(tmp_path / "uploaded")
    return tmp_path / "uploaded"


@pytest.fixture
def hub(monkeypatch, tmp_path, folder):
    """What the Hub's own client finds, its cache empty."""
    (folder / "notes.txt").write_text("not a part of the model")
    local = LocalHub(folder)
    for name, value in {
        "ENDPOINT": local.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": local.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    yield local
    local.close()


@pytest.fixture
def cached(hub, tmp_path):
    """The files in the Hub's cache after a download."""
    EADModel.from_pretrained(REPOSITORY)
    (snapshot,) = tmp_path.glob("cache/*/snapshots/*")
    return snapshot


def test_a_repository_is_downloaded_once_and_then_used_offline(hub):
    model = EADModel.from_pretrained(REPOSITORY)
    assert model.config.n_features == 32
    names = [pretrained.WEIGHTS, pretrained.CONFIG, pretrained.CARD]
    names += [f"weak/{name}" for name in names]
    assert sorted(hub.downloads) == sorted(names)
    hub.close()
    again = EADModel.from_pretrained(REPOSITORY)
    assert again.weak_model.config.seed == 1
    assert len(again.generate(1, n_atoms=3, steps=2, seed=0, progress=False)) == 1


@pytest.mark.parametrize("missing", [pretrained.WEIGHTS, pretrained.CONFIG])
def test_an_interrupted_download_is_completed(hub, cached, missing):
    hub.downloads.clear()
    (cached / missing).resolve().unlink()
    (cached / missing).unlink()
    EADModel.from_pretrained(REPOSITORY)
    assert hub.downloads == [missing]


def test_other_names_of_shipped_models():
    for name in ("qm9-conditional", "qm9-joint"):
        assert pretrained.find(name) == pretrained.find("qm9")
        assert pretrained.guide_of(name) == pretrained.guide_of("qm9-1")
        assert EADModel.from_pretrained(name).weak_model is not None
    assert EADModel.from_pretrained("qm9-1").weak_model is not None


def test_a_folder_comes_before_the_hub(hub, folder, monkeypatch):
    (folder.parent / "someone").mkdir()
    shutil.copytree(folder, folder.parent / REPOSITORY)
    monkeypatch.chdir(folder.parent)
    assert EADModel.from_pretrained(REPOSITORY).config.n_features == 32
    assert hub.downloads == []


@pytest.mark.parametrize(
    ("name", "online", "message"),
    [
        ("someone/other", True, "404 Client Error.*Repository Not Found"),
        (REPOSITORY, False, "."),
    ],
)
def test_what_the_hub_does_not_give_is_one_error(hub, name, online, message):
    if not online:
        hub.close()
    pattern = f"(?s)no folder '{name}'.*cannot be downloaded: {message}"
    with pytest.raises(CheckpointError, match=pattern):
        EADModel.from_pretrained(name)


def test_without_the_client_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="pip install huggingface-hub"):
        EADModel.from_pretrained(REPOSITORY)


def test_names_without_an_owner_never_ask_the_hub(hub):
    with pytest.raises(CheckpointError, match="models that come with the package.*qm9-small"):
        EADModel.from_pretrained("no-such-model")
    assert hub.downloads == []


def test_downloaded_weights_are_checked(cached):
    record = json.loads((cached / pretrained.CONFIG).read_text())
    (cached / pretrained.CONFIG).write_text(json.dumps(record | {"sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="damaged"):
        EADModel.from_pretrained(REPOSITORY)


def test_everything_that_is_shipped_is_listed_and_loads():
    listed = installation.describe_installation()
    names = pretrained.names()
    assert {"qm9", "qm9-small", "qm9-properties"} <= set(names)
    for name in names:
        assert name in listed
    for name in pretrained.names("EADModel"):
        assert EADModel.from_pretrained(name).model.size_counts.any()


def test_half_precision_halves_the_file_and_rounds_the_weights(tmp_path, folder):
    whole = EADModel.from_pretrained(folder)
    whole.save_pretrained(tmp_path / "half", half=True)
    halved = EADModel.from_pretrained(tmp_path / "half")
    sizes = [(each / pretrained.WEIGHTS).stat().st_size for each in (tmp_path / "half", folder)]
    assert sizes[0] < 0.6 * sizes[1]
    for model, other in [(halved, whole), (halved.weak_model, whole.weak_model)]:
        expected = other.model.averaged_tensors()
        for name, tensor in model.model.averaged_tensors().items():
            rounded = expected[name].half().float() if "/" in name else expected[name]
            assert tensor.dtype == expected[name].dtype
            assert torch.equal(tensor, rounded)


def test_weights_beyond_half_precision_are_refused(tmp_path, folder):
    tensors, config = pretrained.load(folder)
    name = next(name for name in tensors if "/" in name)
    tensors[name][...] = 1e5
    with pytest.raises(ValueError, match=f"{name}.*without half"):
        pretrained.save(tmp_path / "half", tensors, config, 0, half=True)

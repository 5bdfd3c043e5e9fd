"""Where trained weights are found: folders, the package, the Hugging Face Hub and its cache."""

from __future__ import annotations

import json
import shutil
import sys
from fnmatch import fnmatch
from types import ModuleType, SimpleNamespace

import pytest

from deepchem_ead import CheckpointError, EADModel, tasks
from deepchem_ead.models import pretrained

TINY = {"preset": "qm9-small", "n_layers": 1, "n_features": 32}


class NotCached(FileNotFoundError):
    """What the Hub client raises where nothing is cached and nothing may be downloaded."""


@pytest.fixture
def folder(tmp_path):
    """Weights as they are uploaded."""
    model = EADModel(**TINY, model_dir=str(tmp_path / "run"))
    model.weak_model = EADModel(**TINY, model_dir=str(tmp_path / "weak"), seed=1)
    model.save_pretrained(tmp_path / "uploaded")
    return tmp_path / "uploaded"


@pytest.fixture
def hub(monkeypatch, tmp_path, folder):
    """A Hub with one repository, that counts what is asked over the network."""
    state = SimpleNamespace(cache=tmp_path / "cache", downloads=0, online=True)

    def snapshot_download(name, *, allow_patterns, local_files_only=False):
        if local_files_only:
            if not state.cache.exists():
                raise NotCached(f"{name} is not cached")
            return str(state.cache)
        state.downloads += 1
        if not state.online:
            raise ConnectionError("no route to the Hub")
        if name != "someone/qm9":
            raise LookupError(f"404: no repository {name}")
        state.cache.mkdir(exist_ok=True)
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            if path.is_file() and any(fnmatch(str(name), pattern) for pattern in allow_patterns):
                (state.cache / name).parent.mkdir(exist_ok=True)
                shutil.copy(path, state.cache / name)
        return str(state.cache)

    module, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    module.snapshot_download = snapshot_download
    errors.LocalEntryNotFoundError = NotCached
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return state


def test_a_repository_is_downloaded_once_and_then_used_offline(hub):
    model = EADModel.from_pretrained("someone/qm9")
    assert model.config.n_features == 32 and hub.downloads == 1
    hub.online = False
    again = EADModel.from_pretrained("someone/qm9")
    assert hub.downloads == 1 and again.weak_model.config.seed == 1
    assert len(again.generate(1, n_atoms=3, steps=2, seed=0, progress=False)) == 1


@pytest.mark.parametrize("missing", [pretrained.WEIGHTS, pretrained.CONFIG])
def test_an_interrupted_download_is_completed(hub, missing):
    EADModel.from_pretrained("someone/qm9")
    (hub.cache / missing).unlink()
    EADModel.from_pretrained("someone/qm9")
    assert hub.downloads == 2


def test_other_names_of_shipped_models():
    assert pretrained.find("qm9-conditional") == pretrained.find("qm9")
    assert EADModel.from_pretrained("qm9").weak_model is not None


def test_a_folder_comes_before_the_hub(hub, folder, monkeypatch):
    (folder.parent / "someone").mkdir()
    folder.rename(folder.parent / "someone" / "qm9")
    monkeypatch.chdir(folder.parent)
    assert EADModel.from_pretrained("someone/qm9").config.n_features == 32
    assert hub.downloads == 0


@pytest.mark.parametrize(
    ("name", "online", "message"),
    [
        ("someone/other", True, "cannot be downloaded: 404: no repository someone/other"),
        ("someone/qm9", False, "cannot be downloaded: no route to the Hub"),
    ],
)
def test_what_the_hub_does_not_give_is_one_error(hub, name, online, message):
    hub.online = online
    with pytest.raises(CheckpointError, match=f"no folder '{name}'.*{message}"):
        EADModel.from_pretrained(name)


def test_without_the_client_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="pip install huggingface-hub"):
        EADModel.from_pretrained("someone/qm9")


def test_names_without_an_owner_never_ask_the_hub(hub):
    with pytest.raises(CheckpointError, match="models that come with the package.*qm9-small"):
        EADModel.from_pretrained("no-such-model")
    assert hub.downloads == 0


def test_downloaded_weights_are_checked(hub):
    EADModel.from_pretrained("someone/qm9")
    record = json.loads((hub.cache / pretrained.CONFIG).read_text())
    (hub.cache / pretrained.CONFIG).write_text(json.dumps(record | {"sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="damaged"):
        EADModel.from_pretrained("someone/qm9")


def test_everything_that_is_shipped_is_listed_and_loads():
    listed = tasks.describe_installation()
    names = pretrained.names()
    assert {"qm9", "qm9-small", "qm9-properties"} <= set(names)
    for name in names:
        assert name in listed
    for name in pretrained.names("EADModel"):
        assert EADModel.from_pretrained(name).model.size_counts.any()

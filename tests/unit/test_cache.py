"""What is kept is what was written, by this user; anything else is made again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deepchem as dc
import numpy as np
import pytest

from deepchem_ead import cache
from deepchem_ead.kernels.native import build
from deepchem_ead.molnet import load_qm9_3d, qm9pack
from deepchem_ead.molnet.sample import load_sample

NOBODY = 65534
needs_root = pytest.mark.skipif(
    getattr(os, "getuid", lambda: 1)() != 0, reason="only root can give files away"
)


@pytest.fixture(autouse=True)
def forget_warnings():
    cache._temporary_folder.cache_clear()


def flip(path: Path, position: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)


DAMAGE = {
    "first byte": lambda path: flip(path, 0),
    "in the middle": lambda path: flip(path, 0.5),
    "last byte": lambda path: flip(path, 1),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
}
damaged = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


@damaged
def test_a_damaged_file_is_made_again(damage, tmp_path, caplog):
    path = tmp_path / "numbers"
    made = []

    def make(file):
        made.append(1)
        file.write_bytes(bytes(range(100)))

    for _ in range(2):
        assert cache.built(path, make) == bytes(range(100))
    assert len(made) == 1
    (tmp_path / ".numbers.999999.tmp").write_text("left by a kill")
    damage(path)
    assert cache.built(path, make) == bytes(range(100)) == cache.read(path)
    assert len(made) == 2 and "numbers is damaged" in caplog.text
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_to_be_made_leaves_nothing(tmp_path):
    def make(file):
        file.write_text("half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        cache.built(tmp_path / "x", make)
    assert list(tmp_path.iterdir()) == []


@damaged
def test_a_damaged_library_is_compiled_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(tmp_path / "cache"))
    library = build.compile_library("cpu_features.cpp", build.FLAGS)
    # Copies are loaded: a process does not outlive damage to what it has mapped itself, and what is
    # loaded already would be found by its own name.
    before, after = tmp_path / "before.so", tmp_path / "after.so"
    before.write_bytes(library.read_bytes())
    damage(library)
    again = build.compile_library("cpu_features.cpp", build.FLAGS)
    after.write_bytes(again.read_bytes())
    assert ctypes.CDLL(str(after)).cpu_features() == ctypes.CDLL(str(before)).cpu_features()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [again.name]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_folders_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = cache.private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert folder == tmp_path / "a" / "b"
    assert {p.stat().st_mode & 0o777 for p in (folder, folder.parent)} == {0o700}


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize(
    "mode, own", [(0o777, False), (0o1777, True), (0o770, True), (0o755, None)]
)
def test_what_others_can_write_to_is_not_used(mode, own, tmp_path, monkeypatch, caplog):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(shared))
    library = build.compile_library("cpu_features.cpp", build.FLAGS)
    assert library.parent.stat().st_mode & 0o077 == (0o055 if own is None else 0)
    assert (shared in library.parents) is (own is not False)
    assert (library.parent == shared) is (own is None)
    # One line, however often it is asked for.
    build.compile_library("cpu_features.cpp", build.FLAGS)
    warned = [r for r in caplog.records if f"other users can write to {shared}" in r.message]
    assert len(warned) == (own is False)


@needs_root
@pytest.mark.parametrize("planted", ["folder", "file", "own folder", "link"])
def test_what_another_user_has_planted_is_not_loaded(planted, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "cache"
    monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(folder))
    library = build.compile_library("cpu_features.cpp", build.FLAGS)
    if planted == "file":
        os.chown(library, NOBODY, NOBODY)
    elif planted == "folder":
        os.chown(folder, NOBODY, NOBODY)
    elif planted == "link":
        (tmp_path / "link").symlink_to(folder)
        os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)
        monkeypatch.setenv("DEEPCHEM_EAD_CACHE", str(tmp_path / "link"))
    else:
        folder.chmod(0o1777)
        own = folder / "deepchem_ead-0"
        own.mkdir()
        library = library.rename(own / library.name)
        os.chown(own, NOBODY, NOBODY)
    status = library.stat()
    loaded = build.compile_library("cpu_features.cpp", build.FLAGS)
    assert loaded.stat().st_ino != status.st_ino and loaded.stat().st_uid == 0
    assert (tmp_path in loaded.parents) is (planted == "file")
    assert "belongs to another user" in caplog.text or "other users can write to" in caplog.text


@pytest.mark.parametrize("position", [0.05, 0.3, 0.62, 0.9])
def test_a_changed_byte_of_the_parsed_qm9_is_noticed(position, tmp_path, monkeypatch, caplog):
    table = load_sample()[0].select(np.arange(40))
    monkeypatch.setattr(qm9pack, "qm9pack_version", lambda: "1.0.3")
    monkeypatch.setattr(qm9pack, "parse_qm9pack", lambda progress: table)
    qm9pack.load_qm9pack(tmp_path)
    (file,) = tmp_path.iterdir()
    flip(file, position)
    again = qm9pack.load_qm9pack(tmp_path)
    np.testing.assert_array_equal(again.coordinates, table.coordinates)
    assert again.smiles.tolist() == table.smiles.tolist()
    assert "is damaged" in caplog.text


def load(folder, **options):
    options = {"source": "sample", "tasks": ["mu"]} | options
    return load_qm9_3d(data_dir=str(folder), save_dir=str(folder), **options)


@pytest.mark.parametrize(
    "name", ["shard-0-X.npy", "shard-0-y.npy", "shard-0-ids.npy", "metadata.csv.gzip", "tasks.json"]
)
def test_a_changed_byte_of_a_dataset_is_noticed(name, tmp_path, caplog):
    wanted = load(tmp_path)[1][2]
    X, y, ids = wanted.X, wanted.y, wanted.ids
    flip(Path(wanted.data_dir) / name, 0.97)
    again = load(tmp_path)[1][2]
    np.testing.assert_array_equal(again.X, X)
    np.testing.assert_array_equal(again.y, y)
    assert again.ids.tolist() == ids.tolist()
    assert f"{name} is damaged" in caplog.text


def test_datasets_with_and_without_transformers_are_kept_side_by_side(tmp_path, caplog):
    for options in [{}, {"transformers": ["normalization"]}] * 2:
        train = load(tmp_path, **options)[1][0]
        assert (abs(train.y.mean()) < 1e-6) == bool(options)
    assert caplog.text == ""
    (transformers, _) = sorted(tmp_path.rglob("transformers.pkl"), key=lambda p: -len(p.parts))
    flip(transformers, 0.5)
    load(tmp_path, transformers=["normalization"])
    assert "transformers.pkl is damaged" in caplog.text


def test_two_first_users_at_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        loaded = list(pool.map(lambda _: load(tmp_path), range(2)))
    (_, (first, *_), _), (_, (second, *_), _) = loaded
    np.testing.assert_array_equal(first.X, second.X)
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".lock", ".tmp")]


def test_pickles_of_another_user_are_not_read(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    train = load(shared)[1][0]
    assert isinstance(train, dc.data.DiskDataset) and len(train) == 1539
    assert list(shared.iterdir()) == [] and shared not in Path(train.data_dir).parents


def test_temporary_folders_go_with_their_process(tmp_path):
    code = """
import os, sys
sys.argv[0] = "deepchem-ead"
from deepchem_ead import cache
print(cache.private_folder(sys.argv[1]))
"""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    words = [sys.executable, "-c", code, tmp_path / "shared"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()

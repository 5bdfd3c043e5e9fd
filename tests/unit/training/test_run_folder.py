"""A folder is trained in by one run at a time, and a killed run blocks nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from property_data import labelled, small_model
from typer.testing import CliRunner

from deepchem_ead import EADModel
from deepchem_ead.cli import app
from deepchem_ead.errors import InUseError
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.locks import hold, lock_file
from deepchem_ead.training.resident import ResidentTrainer

DATA = labelled(["gap"], slice(0, 16))
TINY = {"n_layers": 1, "n_features": 32, "batch_size": 8}

# The library itself, because the package takes seconds to import.
HOLDER = """
import os, sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
open(sys.argv[1], "w").write(f"{os.getpid()} on elsewhere")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    """A folder in which another process trains, and that process."""
    folder = tmp_path / "run"
    model = small_model(["gap"], folder, n_layers=1)
    model.fit(DATA, nb_epoch=1)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock_file(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield folder, process
    process.kill()
    process.communicate()


def fit_predictor(folder):
    small_model(["gap"], folder, n_layers=1).fit(DATA, nb_epoch=1, restore=True)


def fit_generator(folder):
    EADModel("qm9-small", model_dir=str(folder), **TINY).fit(DATA, nb_epoch=1)


def fit_resident(folder):
    config = EADConfig(variable_size=False, **TINY)
    ResidentTrainer(DATA.X, config, model_dir=folder, device="cpu").fit(epochs=1)


def test_the_second_is_refused_until_the_first_is_gone(run):
    folder, process = run
    before = {file.name: file.read_bytes() for file in folder.glob("checkpoint-*")}
    for fit in (fit_predictor, fit_generator, fit_resident):
        with pytest.raises(
            InUseError,
            match=rf"run is in use: another process \({process.pid} on elsewhere\) is training",
        ):
            fit(folder)
    assert {file.name: file.read_bytes() for file in folder.glob("checkpoint-*")} == before
    # What writes nothing may be done beside it.
    model = small_model(["gap"], folder, n_layers=1)
    model.restore()
    assert np.isfinite(model.predict(DATA)).all()
    model.fit(DATA, nb_epoch=1, checkpoint_interval=0)

    process.send_signal(signal.SIGKILL)
    process.wait()
    fit_predictor(folder)
    assert not lock_file(folder).exists()


@pytest.mark.parametrize("command", ["train", "train-predictor"])
def test_the_command_is_refused_before_it_writes(run, tmp_path, command):
    folder, process = run
    curve = folder / "curve.csv"
    curve.write_text("step,epoch,seconds,loss\n5,1.0,2.0,3.0\n")
    options = ["--set", "n_layers=1", "--set", "n_features=32", "--epochs", "1"]
    options += ["--tasks", "gap"] if command == "train-predictor" else []
    result = CliRunner().invoke(app, [command, "qm9-sample", "--out", str(folder), *options])
    assert result.exit_code != 0
    assert isinstance(result.exception, InUseError), result.output
    assert curve.read_text().endswith("5,1.0,2.0,3.0\n")
    assert not (folder / "config.yaml").exists()


def test_two_threads_do_not_share_a_folder(tmp_path):
    with hold(tmp_path, "training in it"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(InUseError):
            pool.submit(fit_predictor, tmp_path).result()


def test_a_callback_may_train_on(tmp_path):
    """One thread is one run: the lock does not wait for itself."""
    model = small_model(["gap"], tmp_path, n_layers=1)
    model.fit(DATA, nb_epoch=1, callbacks=lambda *args, **kwargs: fit_generator(tmp_path))
    assert model.get_global_step() == 1

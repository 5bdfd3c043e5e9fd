"""The curve for TensorBoard; TensorBoard itself is replaced by a notebook of what it is told."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from deepchem_ead import EADModel, cli
from deepchem_ead.commands.jobs import datasets
from deepchem_ead.training.curve import CurveLog, TensorBoardLog, read_curve

SMALL = {"preset": "qm9-small", "n_layers": 1, "n_features": 32, "batch_size": 16}


@pytest.fixture
def writers(monkeypatch):
    """Every writer that was opened, with its scalars."""
    opened = []

    class SummaryWriter:
        def __init__(self, log_dir, purge_step=None):
            self.log_dir, self.purge_step = log_dir, purge_step
            self.scalars, self.on_disk = [], 0
            opened.append(self)

        def add_scalar(self, name, value, step):
            self.scalars.append((name, step, value))

        def flush(self):
            self.on_disk = len(self.scalars)

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return opened


def test_tensorboard_shows_what_the_csv_file_holds(qm9_sample, tmp_path, writers):
    model = EADModel(**SMALL, model_dir=str(tmp_path))
    logs = [CurveLog(tmp_path / "curve.csv", model, 2), TensorBoardLog(tmp_path / "tb", model, 2)]
    model.fit(qm9_sample.select(range(64)), nb_epoch=2, callbacks=logs)
    (writer,) = writers
    assert writer.on_disk == len(writer.scalars) == 4 * 4
    for row in read_curve(tmp_path / "curve.csv"):
        for name in ("loss", "epoch", "seconds"):
            (value,) = [v for n, step, v in writer.scalars if (n, step) == (name, row["step"])]
            assert value == pytest.approx(row[name], abs=0.06)


def test_a_run_that_goes_on_hides_what_was_logged_after_its_checkpoint(
    qm9_sample, tmp_path, writers
):
    data = qm9_sample.select(range(48))
    model = EADModel(**SMALL, model_dir=str(tmp_path))
    model.fit(data, nb_epoch=1, callbacks=TensorBoardLog(tmp_path / "tb", model, 1))
    again = EADModel(**SMALL, model_dir=str(tmp_path))
    again.restore()
    again.fit(data, nb_epoch=1, callbacks=TensorBoardLog(tmp_path / "tb", again, 1))
    assert [writer.purge_step for writer in writers] == [1, 4]
    steps = [[step for name, step, _ in w.scalars if name == "loss"] for w in writers]
    assert steps == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("asked", [False, True])
def test_the_command_line_logs_if_it_is_asked_to(asked, tmp_path, monkeypatch, writers):
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path / "data"))
    words = ["train", "qm9-sample", "--out", tmp_path / "run", "--epochs", 1]
    words += [w for k, v in SMALL.items() if k != "preset" for w in ("--set", f"{k}={v}")]
    words += ["--set", "batch_size=512"] + ["--tensorboard"] * asked
    monkeypatch.setattr(sys, "argv", ["deepchem-ead", *map(str, words)])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    folders = [writer.log_dir for writer in writers]
    assert folders == [str(tmp_path / "run" / "tensorboard")] * asked
    assert (tmp_path / "run" / "curve.csv").exists()


def test_without_tensorboard_the_error_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    model = EADModel(**SMALL, model_dir=str(tmp_path))
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoardLog(tmp_path / "tb", model)

    def training_data(name, properties):
        raise AssertionError("the data is loaded before the error")

    monkeypatch.setattr(datasets, "training_data", training_data)
    words = ["train", "qm9-sample", "--out", str(tmp_path / "run"), "--tensorboard"]
    monkeypatch.setattr(sys, "argv", ["deepchem-ead", *words])
    with pytest.raises(SystemExit):
        cli.main()
    err = capsys.readouterr().err
    assert err.startswith("error: TensorBoard is not installed") and err.count("\n") == 1

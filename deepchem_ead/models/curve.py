"""The training curve: a CSV file, and TensorBoard if it is wanted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel

COLUMNS = ("step", "epoch", "seconds", "loss")


class _Curve:
    """A ``fit`` callback that records the mean loss of every ``interval`` steps."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self._losses: list[float] = []

    def __call__(self, model: EADModel, step: int, **kwargs) -> None:
        self._losses.append(model.last_loss)
        if step % self.interval:
            return
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        position = model.training_position
        epoch = position.epoch + position.batch / max(position.n_batches, 1)
        self._record(step, epoch, position.elapsed, mean)

    def _record(self, step: int, epoch: float, seconds: float, loss: float) -> None:
        raise NotImplementedError


class CurveLog(_Curve):
    """A ``fit`` callback that appends the mean loss of every ``interval`` steps to a CSV file.

    Rows of steps later than the model's are dropped when it is opened, so that a run continued from
    a checkpoint keeps one gapless curve.

    Parameters
    ----------
    path : str or Path
    model : EADModel
        The model about to be trained, restored if it is to be.
    interval : int
        Steps per row.
    """

    def __init__(self, path: str | Path, model: EADModel, interval: int = 100) -> None:
        super().__init__(interval)
        self.path = Path(path)
        model._ensure_built()
        rows = read_curve(self.path) if self.path.exists() else []
        kept = [row for row in rows if row["step"] <= model.get_global_step()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def _record(self, step: int, epoch: float, seconds: float, loss: float) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow([step, f"{epoch:.3f}", f"{seconds:.1f}", f"{loss:.5f}"])


class TensorBoardLog(_Curve):
    """The same for TensorBoard: ``loss``, ``epoch`` and ``seconds`` at every ``interval`` steps.

    TensorBoard is told to hide what it has of steps later than the model's.

    Parameters
    ----------
    folder : str or Path
        For the event files; what is there already stays.
    model, interval
        As in `CurveLog`.

    Raises
    ------
    ImportError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path, model: EADModel, interval: int = 100) -> None:
        super().__init__(interval)
        writer_type = summary_writer_type()
        model._ensure_built()
        self._writer = writer_type(str(folder), purge_step=model.get_global_step() + 1)

    def _record(self, step: int, epoch: float, seconds: float, loss: float) -> None:
        for name, value in {"loss": loss, "epoch": epoch, "seconds": seconds}.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # a run may be killed at any time


def summary_writer_type() -> type:
    """TensorBoard's ``SummaryWriter``.

    Raises
    ------
    ImportError
        If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard is not installed: `pip install tensorboard`, or train without it (the "
            "curve is in curve.csv in any case)"
        ) from error
    return SummaryWriter


def read_curve(path: str | Path) -> list[dict]:
    """Rows of a curve: step (int), epoch, seconds of training and loss."""
    with open(path, newline="") as file:
        return [
            {name: int(value) if name == "step" else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]

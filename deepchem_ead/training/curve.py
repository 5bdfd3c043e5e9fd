"""The training curve: a CSV file, and TensorBoard if it is wanted."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from deepchem_ead.training.fitting import Fitting

if TYPE_CHECKING:  # DeepChem is not needed to keep a curve
    from deepchem_ead.training.run import TrainingRun

COLUMNS = ("step", "epoch", "seconds", "loss", "gradient_norm")

#: Steps per row of a long run, and the least number of rows of a short one.
LONGEST_INTERVAL = 100
LEAST_ROWS = 20


class _Curve:
    """A ``fit`` callback that records the mean loss of every ``interval`` steps and of the last.

    Default: every 100 steps, or as many as make 20 rows of a run that is shorter in steps or time.
    """

    def __init__(self, model: Fitting, interval: int | None) -> None:
        self.interval = interval
        self._losses: list[float] = []
        self._recorded = model.training_position.elapsed

    def __call__(self, model: Fitting, step: int, **kwargs) -> None:
        self._losses.append(model.last_loss)
        position, run = model.training_position, model.run
        if not (self._due(step, position.elapsed, run) or position.finished):
            return
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        self._recorded = position.elapsed
        epoch = position.epoch + position.batch / max(position.n_batches, 1)
        self._record(step, epoch, position.elapsed, mean, model.gradient_norm)

    def _due(self, step: int, elapsed: float, run: TrainingRun) -> bool:
        if self.interval is not None:
            return step % self.interval == 0
        by_steps = min(LONGEST_INTERVAL, max(1, run.total_steps // LEAST_ROWS))
        self._recorded = min(self._recorded, elapsed)  # a new run counts from 0
        late = run.seconds is not None and elapsed - self._recorded >= run.seconds / LEAST_ROWS
        return step % by_steps == 0 or late

    def _record(self, step: int, epoch: float, seconds: float, loss: float, norm: float) -> None:
        raise NotImplementedError


class CurveLog(_Curve):
    """A ``fit`` callback that appends the mean loss of every few steps to a CSV file.

    And the median norm of the gradients of the last 50 steps, before clipping.

    Rows of steps later than the model's are dropped when it is opened, so that a run continued from
    a checkpoint keeps one gapless curve.

    Parameters
    ----------
    path : str or Path
    model : Fitting
        The model about to be trained, restored if it is to be.
    interval : int, optional
        Steps per row; by default 100, or fewer, so that a short run has 20 rows.
    """

    def __init__(self, path: str | Path, model: Fitting, interval: int | None = None) -> None:
        super().__init__(model, interval)
        self.path = Path(path)
        model._ensure_built()
        rows = read_curve(self.path) if self.path.exists() else []
        kept = [row for row in rows if row["step"] <= model.get_global_step()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def _record(self, step: int, epoch: float, seconds: float, loss: float, norm: float) -> None:
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            row = [step, f"{epoch:.3f}", f"{seconds:.1f}", f"{loss:.5f}", f"{norm:.4g}"]
            csv.writer(file).writerow(row)


class TensorBoardLog(_Curve):
    """The same for TensorBoard: ``loss``, ``gradient_norm``, ``epoch`` and ``seconds``.

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

    def __init__(self, folder: str | Path, model: Fitting, interval: int | None = None) -> None:
        super().__init__(model, interval)
        writer_type = summary_writer_type()
        model._ensure_built()
        self._writer = writer_type(str(folder), purge_step=model.get_global_step() + 1)

    def _record(self, step: int, epoch: float, seconds: float, loss: float, norm: float) -> None:
        values = {"loss": loss, "gradient_norm": norm, "epoch": epoch, "seconds": seconds}
        for name, value in values.items():
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
    """Rows of a curve: step (int), epoch, seconds of training, loss and gradient norm.

    NaN in curves of versions that did not write the norm.
    """
    with open(path, newline="", encoding="utf-8") as file:
        return [
            dict.fromkeys(COLUMNS, math.nan)
            | {k: int(value) if k == "step" else float(value) for k, value in row.items() if value}
            for row in csv.DictReader(file)
        ]

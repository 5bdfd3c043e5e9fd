"""The training curve as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel

COLUMNS = ("step", "epoch", "seconds", "loss")


class CurveLog:
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
        self.path = Path(path)
        self.interval = interval
        self._losses: list[float] = []
        model._ensure_built()
        rows = read_curve(self.path) if self.path.exists() else []
        kept = [row for row in rows if row["step"] <= model.get_global_step()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def __call__(self, model: EADModel, step: int, **kwargs) -> None:
        self._losses.append(model.last_loss)
        if step % self.interval:
            return
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        position = model.training_position
        epoch = position.epoch + position.batch / max(position.n_batches, 1)
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(
                [step, f"{epoch:.3f}", f"{position.elapsed:.1f}", f"{mean:.5f}"]
            )


def read_curve(path: str | Path) -> list[dict]:
    """Rows of a curve: step (int), epoch, seconds of training and loss."""
    with open(path, newline="") as file:
        return [
            {name: int(value) if name == "step" else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]

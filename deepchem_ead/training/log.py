"""Mean losses as DeepChem's models report them: log lines, TensorBoard, Weights & Biases."""

from __future__ import annotations

import logging
import time
from typing import Any, Protocol

from torch import Tensor

logger = logging.getLogger(__name__)


class Reporting(Protocol):
    """What of a `TorchModel` says where its losses go."""

    log_frequency: int
    tensorboard: bool
    wandb_logger: Any

    def _log_scalar_to_tensorboard(self, name: str, value: Any, step: int) -> None: ...


class LossLog:
    """The mean loss of every ``log_frequency`` steps, and of the last ones.

    Parameters
    ----------
    model : Reporting
    all_losses : list of float, optional
        Receives the means.
    """

    def __init__(self, model: Reporting, all_losses: list[float] | None) -> None:
        self._model, self._all = model, all_losses
        self._sum: Tensor | float = 0.0
        self._count, self._step, self._mean = 0, 0, 0.0
        self._began = time.perf_counter()

    def __call__(self, step: int, loss: Tensor) -> None:
        """Count the loss of a step in."""
        self._sum, self._count, self._step = self._sum + loss, self._count + 1, step
        if step % self._model.log_frequency:
            return
        self._write()
        if self._model.tensorboard:
            self._model._log_scalar_to_tensorboard("loss", loss, step)
        if self._model.wandb_logger is not None:
            self._model.wandb_logger.log_data({"train/loss": loss}, step=step)

    def close(self) -> float:
        """The latest mean."""
        if self._count:
            self._write()
        logger.info("TIMING: model fitting took %0.3f s", time.perf_counter() - self._began)
        return self._mean

    def _write(self) -> None:
        self._mean = float(self._sum) / self._count
        self._sum, self._count = 0.0, 0
        logger.info("Ending global_step %d: Average loss %g", self._step, self._mean)
        if self._all is not None:
            self._all.append(self._mean)

"""Mean losses as DeepChem's models report them: log lines, TensorBoard, Weights & Biases."""

from __future__ import annotations

import logging
import time
from typing import Any, Protocol

from torch import Tensor, nn

from deepchem_ead.training.gradients import GradientWatch, median_norm
from deepchem_ead.training.step import TrainingStep

logger = logging.getLogger(__name__)


class Reporting(Protocol):
    """What of a `TorchModel` says where its losses go."""

    model: nn.Module
    model_dir: str
    config: Any
    log_frequency: int
    tensorboard: bool
    wandb_logger: Any

    def _log_scalar_to_tensorboard(self, name: str, value: Any, step: int) -> None: ...


class Watched:
    """What a model says of its training.

    Attributes
    ----------
    history : list of dict
        Of the latest ``fit``, a row every ``log_frequency`` steps and at the end: ``step``, the
        mean ``loss`` since the row before, and ``gradient_norm``.
    """

    model: Any
    _step: TrainingStep | None
    history: list[dict[str, float]]

    @property
    def last_loss(self) -> float:
        """Loss of the latest step of ``fit``."""
        return float("nan") if self._step is None else float(self._step.loss)

    @property
    def gradient_norm(self) -> float:
        """Median norm of the gradients of the last 50 steps, before clipping; NaN without it."""
        return median_norm(self.model)


class LossLog:
    """The mean loss of every ``log_frequency`` steps, and of the last ones, with gradient norms.

    It warns when gradients grow far beyond what was usual (`GradientWatch`).

    Parameters
    ----------
    model : Reporting
    all_losses : list of float, optional
        Receives the means.

    Attributes
    ----------
    rows : list of dict
        As `Watched.history`.
    """

    def __init__(self, model: Reporting, all_losses: list[float] | None) -> None:
        self._model, self._all = model, all_losses
        self.rows: list[dict[str, float]] = []
        self._watch = GradientWatch(model.model, model.model_dir, model.config.learning_rate)
        self._sum: Tensor | float = 0.0
        self._count, self._step, self._mean = 0, 0, 0.0
        self._began = time.perf_counter()

    def __call__(self, step: int, loss: Tensor) -> None:
        """Count the loss of a step in."""
        self._sum, self._count, self._step = self._sum + loss, self._count + 1, step
        self._watch(step)
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
        norm = median_norm(self._model.model)
        self.rows.append({"step": self._step, "loss": self._mean, "gradient_norm": norm})
        logger.info(
            "Ending global_step %d: Average loss %g, gradient norm %.3g",
            self._step, self._mean, norm,
        )  # fmt: skip
        if self._all is not None:
            self._all.append(self._mean)

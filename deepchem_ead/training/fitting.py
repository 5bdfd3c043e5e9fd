"""What those who watch a training run see of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # DeepChem is not needed to watch a run
    from deepchem_ead.training.position import TrainingPosition
    from deepchem_ead.training.run import TrainingRun


class Fitting(Protocol):
    """A model while it is fitted.

    Attributes
    ----------
    training_position : TrainingPosition
    run : TrainingRun
    last_loss : float
        Of the latest step.
    gradient_norm : float
        Median of the last steps.
    batch_size : int
    """

    training_position: TrainingPosition
    last_loss: float
    batch_size: int

    @property
    def run(self) -> TrainingRun: ...
    @property
    def gradient_norm(self) -> float: ...
    def get_global_step(self) -> int: ...

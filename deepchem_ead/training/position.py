"""How far a training run has come; known without DeepChem, as a run on the device is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TrainingPosition:
    """How far a run of ``fit`` has come; part of every checkpoint.

    Attributes
    ----------
    epoch, batch : int
        Next epoch and next batch within it.
    n_batches : int
        Batches of an epoch, to notice another dataset.
    start_step : int
        Global step at which the run began: the learning rate's schedule spans a run.
    elapsed : float
        Seconds the run has trained.
    finished : bool
        The run came to its end.
    placement : str
        Where its molecules lie, "host" or "resident": the same batches come after a restart.
    """

    epoch: int = 0
    batch: int = 0
    n_batches: int = 0
    start_step: int = 0
    elapsed: float = 0.0
    finished: bool = True
    placement: str = "host"

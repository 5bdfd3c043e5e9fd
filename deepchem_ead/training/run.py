"""One call of ``fit``: how far, when to stop, and the loop over its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from deepchem_ead.training.position import TrainingPosition
from deepchem_ead.training.step import TrainingStep


def train(
    run: TrainingRun,
    step: TrainingStep,
    global_step: int,
    after_step: Callable[[int], None],
    before_step: Callable[[int], None] | None = None,
) -> None:
    """The loop of every training: all that differs is where the data lie and who looks on.

    Parameters
    ----------
    run : TrainingRun
    step : TrainingStep
    global_step : int
        Steps made before. What is random in a step depends on the seed and on this number.
    after_step, before_step : callable
        Called with the number of steps made.
    """
    for epoch, batch in run:
        if before_step is not None:
            before_step(global_step)
        step.placement.begin(epoch, batch, global_step)
        step.advance()
        global_step += 1
        after_step(global_step)


class TrainingRun:
    """Counts through the batches of a run and keeps its position up to date.

    Parameters
    ----------
    position : TrainingPosition
        Where to go on; changed in place. A finished run's position begins a new run.
    n_batches : int
        Of an epoch.
    nb_epoch : int
        Epochs to work on; one that was begun is finished and counts.
    global_step : int
        Steps the model has made.
    minutes : float, optional
        Time limit of the run.
    """

    def __init__(
        self,
        position: TrainingPosition,
        n_batches: int,
        nb_epoch: int,
        global_step: int,
        minutes: float | None,
    ) -> None:
        if position.n_batches != n_batches:  # another dataset: its epochs begin anew
            position.batch, position.n_batches = 0, n_batches
        if position.finished:
            position.start_step, position.elapsed = global_step, 0.0
        position.finished = False
        self.position = position
        self.seconds = None if minutes is None else 60 * minutes
        done = global_step - position.start_step
        self.total_steps = done + nb_epoch * n_batches - position.batch
        self._end = position.epoch + nb_epoch
        self._stop = False

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Epoch and number of each batch."""
        position = self.position
        for epoch in range(position.epoch, self._end):
            for batch in range(position.batch, position.n_batches):
                # What a checkpoint written after this batch must say:
                position.batch += 1
                if position.batch == position.n_batches:
                    position.epoch, position.batch = epoch + 1, 0
                    position.finished = position.epoch == self._end
                began = time.perf_counter()
                yield epoch, batch
                position.elapsed += time.perf_counter() - began
                if self._stop:
                    return
                if self.seconds is not None and position.elapsed >= self.seconds:
                    position.finished = True
                    return

    def stop(self) -> None:
        """End after the current batch; the run counts as unfinished."""
        self._stop = True

    def progress(self, global_step: int) -> float:
        """Share of the run that is done, by steps or by time, whichever is further; 0 to 1."""
        steps = (global_step - self.position.start_step) / max(self.total_steps, 1)
        time_share = 0.0 if self.seconds is None else self.position.elapsed / self.seconds
        return min(max(steps, time_share), 1.0)

"""The progress bar of ``fit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel


class TrainingProgress:
    """Steps, smoothed loss, molecules per second and the time left, as a ``fit`` callback.

    Parameters
    ----------
    model : EADModel
    total_steps : int
        Steps of the whole run.
    seconds : float, optional
        Time budget of the run. With one, the bar counts seconds, since time ends the run.
    """

    def __init__(self, model: EADModel, total_steps: int, seconds: float | None) -> None:
        position = model.training_position
        self._loss: float | None = None
        self._timed = seconds is not None
        self._start_step = position.start_step
        done = position.elapsed if self._timed else model.get_global_step() - position.start_step
        self._bar = tqdm(
            total=round(seconds) if self._timed else total_steps,
            initial=round(done),
            desc="training",
            unit="s" if self._timed else "step",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} "
            "[{elapsed}<{remaining}{postfix}]",
            dynamic_ncols=True,
        )
        self._elapsed = position.elapsed

    def __call__(self, model: EADModel, step: int, **kwargs) -> None:
        loss = model.last_loss
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        position = model.training_position
        trained = step - self._start_step
        rate = trained * model.batch_size / position.elapsed if position.elapsed else 0.0
        self._bar.set_postfix_str(
            f"step {trained}, loss {self._loss:.4f}, {rate:.0f} molecules/s", refresh=False
        )
        target = min(position.elapsed, self._bar.total) if self._timed else trained
        self._bar.update(target - self._bar.n)

    def close(self) -> None:
        """Finish the bar."""
        self._bar.close()

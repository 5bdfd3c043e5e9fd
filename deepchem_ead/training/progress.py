"""The progress bar of ``fit``."""

from __future__ import annotations

from tqdm.auto import tqdm

from deepchem_ead.training.fitting import Fitting


class TrainingProgress:
    """Steps, smoothed loss, norm of gradients, molecules a second and time left, for ``fit``.

    Parameters
    ----------
    model : Fitting
    total_steps : int
        Steps of the whole run.
    seconds : float, optional
        Time budget of the run. With one, the bar counts seconds, since time ends the run.
    """

    def __init__(self, model: Fitting, total_steps: int, seconds: float | None) -> None:
        position = model.training_position
        self._loss: float | None = None
        self._timed = seconds is not None
        self._start_step = position.start_step
        done = position.elapsed if self._timed else model.get_global_step() - position.start_step
        # Seconds as a count mean little to people: elapsed and remaining time say the same.
        count = "" if self._timed else "{n_fmt}/{total_fmt} steps "
        self._bar = tqdm(
            total=seconds if self._timed else total_steps,
            initial=done,
            desc="training",
            bar_format=f"{{desc}} {{percentage:3.0f}}%|{{bar}}| {count}"
            "[{elapsed}<{remaining}{postfix}]",
            mininterval=0.5,
            dynamic_ncols=True,
        )

    def __call__(self, model: Fitting, step: int, **kwargs) -> None:
        loss = model.last_loss
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        position = model.training_position
        trained = step - self._start_step
        rate = trained * model.batch_size / position.elapsed if position.elapsed else 0.0
        count = f"step {trained:,}, " if self._timed else ""
        self._bar.set_postfix_str(
            f"{count}loss {self._loss:.3f}, gradient {model.gradient_norm:.3g}, "
            f"{rate:,.0f} molecules/s",
            refresh=False,
        )
        target = min(position.elapsed, self._bar.total) if self._timed else trained
        self._bar.update(target - self._bar.n)

    def close(self) -> None:
        """Finish the bar."""
        self._bar.close()

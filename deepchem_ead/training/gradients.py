"""Whether gradients stay as large as is usual: a run that runs away says so long before its loss.

In a run of `qm9-joint` with too high a learning rate the gradients' norm was 0.45 for thousands of
steps, 1 eighty steps after the run had begun to run away, 20 after two hundred and 100 after five
hundred, while clipping hid it and the loss was still a number. Healthy runs change by up to 2, so
that a factor of `FACTOR`, the geometric mean of 1 / 0.45 and 20 / 0.45, tells the two apart.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

from torch import nn

from deepchem_ead.generator.checkpoint import checkpoint_files

logger = logging.getLogger(__name__)

#: Steps whose norms make a median, and between two looks at it.
LOOK = 50
#: A median so many times the running value is a warning.
FACTOR = 10.0
#: What the latest median counts in the running value, a geometric mean over about 1,000 steps.
_SHARE = 0.05
#: Looks before there is a running value to compare with.
_SETTLED = 4
#: A median below so many times the running value is usual.
_USUAL = 2.0


def median_norm(network: nn.Module) -> float:
    """Median norm of the gradients before clipping, of the last 50 steps; NaN without clipping."""
    clipper = getattr(network, "clipper", None)
    return math.nan if clipper is None else float(clipper.seen.nanmedian())


class GradientWatch:
    """Warns, once, when gradients have grown far beyond what was usual.

    Parameters
    ----------
    network : nn.Module
        With a ``clipper`` (`deepchem_ead.optim.clipping`); without one nothing is watched.
    folder : str or Path, optional
        Of the checkpoints that the warning names.
    learning_rate : float
        That the warning names.
    """

    def __init__(self, network: nn.Module, folder: str | Path | None, learning_rate: float) -> None:
        self._network, self._folder, self._rate = network, folder, learning_rate
        self._usual = math.nan
        self._looks, self._calm, self._warned = 0, 0, False

    def __call__(self, step: int) -> None:
        """Look every `LOOK` steps."""
        if step % LOOK == 0 and not self._warned:
            self.look(step)

    def look(self, step: int) -> None:
        """Compare the median with its running value; ``step`` is the number of steps made."""
        norm = median_norm(self._network)
        if not norm > 0 or self._warned:  # NaN: nothing is known yet
            return
        usual = norm if math.isnan(self._usual) else self._usual
        if norm < _USUAL * usual:
            self._calm = step
        if self._looks >= _SETTLED and norm > FACTOR * usual:
            self._warned = True
            logger.warning("%s", self._message(step, norm, usual))
        self._usual = usual ** (1 - _SHARE) * norm**_SHARE
        self._looks += 1

    def _message(self, step: int, norm: float, usual: float) -> str:
        good = [] if self._folder is None else checkpoint_files(self._folder)
        good = [path for path in good if int(path.stem.rpartition("-")[2]) <= self._calm]
        remedy = "begin again"
        if good:
            remedy = f"go on from {good[0]} (remove later ones, then restore)"
        return (
            f"training is running away at step {step}: the median norm of the gradients of "
            f"{LOOK} steps is {norm:.3g}, {norm / usual:.0f} times the usual {usual:.3g}; stop, "
            f"lower learning_rate (now {self._rate:g}, a third of it for example), and {remedy}"
        )

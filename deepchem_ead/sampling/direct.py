"""Passes: a map from noise to data that is applied to its own results."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deepchem_ead.diffusion import any_channel, eta_step
from deepchem_ead.sampling.state import Query, Transition
from deepchem_ead.sampling.steppers import MemorylessStepper

#: Passes for which the published figures are shown; more are not refused by mathematics.
MOST_PASSES = 1000


@dataclass(frozen=True)
class DirectStepper(MemorylessStepper):
    """Passes of a model with the direct objective (DDDM): ``x <- f(x, w, t)`` with w and t fixed.

    The first pass is told the last estimate of the step before, in the first step nothing; each
    further one is told the one before it and asks the network once. Then the state goes to its next
    level, by DDIM unless ``eta`` says otherwise. With one step, from noise to data, this is DDDM's
    sampler.

    Parameters
    ----------
    passes : int
        At each level, 1 to 1000: evaluations a step.
    eta : float
        Share of new noise in a step, 0 to 1: see `EtaStepper`.

    References
    ----------
    Zhang et al., arXiv:2405.13540, Algorithm 2, which starts from a random estimate.
    """

    #: What a model has to be trained with.
    objective: ClassVar[str] = "direct"

    passes: int = 10
    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.passes <= MOST_PASSES:
            raise ValueError(f"passes must lie between 1 and {MOST_PASSES}, not {self.passes}")
        if not 0.0 <= self.eta <= 1.0:
            raise ValueError(f"eta must lie between 0 and 1, not {self.eta}")

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        w, x_hat, levels, next_levels, tau_t, tau_s, noise, _ = transition
        moving = any_channel(next_levels < levels)
        for _ in range(self.passes - 1):
            x_hat = yield Query(w, levels, moving)
        return eta_step(w, x_hat, tau_t, tau_s, noise, self.eta)

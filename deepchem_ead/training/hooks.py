"""What every step of an optimiser does beside: the rate before it, clipping, averages after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


class Trained(Protocol):
    """A network that clips its gradients and averages its weights."""

    def before_optimizer_step(self) -> None: ...
    def after_optimizer_step(self) -> None: ...


def hang_on(
    optimizer: torch.optim.Optimizer, network: Trained, rate: Callable[[], float] | None
) -> None:
    """Let an optimiser's steps do what belongs to a step.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    network : Trained
        Its ``before_optimizer_step`` and ``after_optimizer_step`` are called.
    rate : callable, optional
        Asked for the learning rate before every step. A rate that is a tensor is left to whoever
        made it one, for a recorded step.
    """

    def before(optimizer, args, kwargs) -> None:
        for group in optimizer.param_groups:
            if rate is not None and not isinstance(group["lr"], Tensor):
                group["lr"] = rate()
        network.before_optimizer_step()

    def after(optimizer, args, kwargs) -> None:
        network.after_optimizer_step()

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)

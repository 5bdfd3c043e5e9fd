"""The DeepChem optimizer of an EAD model: clipping before and averaging after every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from deepchem.models.optimizers import AdamW, Optimizer

from deepchem_ead.training.hooks import Trained, hang_on


class EADOptimizer(Optimizer):
    """Any DeepChem optimizer with the network's own work hung on its steps.

    Parameters
    ----------
    network : Trained
        Its ``before_optimizer_step`` and ``after_optimizer_step`` are called.
    optimizer : dc.models.optimizers.Optimizer
        The optimizer that does the step.
    rate_factor : callable
        Factor of the learning rate, asked before every step (see `optim.rate`).
    """

    def __init__(
        self, network: Trained, optimizer: Optimizer, rate_factor: Callable[[], float]
    ) -> None:
        super().__init__(optimizer.learning_rate)
        self.network = network
        self.optimizer = optimizer
        self.rate_factor = rate_factor

    def _create_pytorch_optimizer(self, params) -> torch.optim.Optimizer:
        trainable = [p for p in params if p.requires_grad]
        optimizer = self.optimizer._create_pytorch_optimizer(trainable)
        scheduled = not isinstance(self.learning_rate, (int, float))
        # A DeepChem schedule sets the rate itself.
        rate = None if scheduled else lambda: self.learning_rate * self.rate_factor()
        hang_on(optimizer, self.network, rate)
        return optimizer


class FusedAdamW(AdamW):
    """AdamW in one pass over the parameters, about three times as fast on a CPU.

    The states of DeepChem's AdamW fit. A restored state brings its own way of computing with it, so
    that a run goes on exactly as it began.
    """

    def _create_pytorch_optimizer(self, params) -> torch.optim.AdamW:
        optimizer = super()._create_pytorch_optimizer(params)
        for group in optimizer.param_groups:
            group["fused"] = True
        return optimizer


def default_optimizer(learning_rate, weight_decay: float, amsgrad: bool = True) -> Optimizer:
    """AdamW, by default as EDM uses it."""
    return FusedAdamW(learning_rate=learning_rate, weight_decay=weight_decay, amsgrad=amsgrad)


def take_rate_schedule(options: dict, optimizer: Optimizer | None) -> Optimizer | None:
    """Turn a DeepChem schedule given as ``learning_rate`` into an optimizer that follows it.

    Parameters
    ----------
    options : dict
        Options of a model; changed in place. A number stays where it is: it is a setting.
    optimizer : dc.models.optimizers.Optimizer, optional
        Wins over the schedule.
    """
    rate = options.get("learning_rate")
    if rate is None or isinstance(rate, (int, float)):
        return optimizer
    return optimizer or default_optimizer(options.pop("learning_rate"), 1e-12)

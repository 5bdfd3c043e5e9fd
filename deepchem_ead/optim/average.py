"""Running averages of weights, which is what models generate and predict with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class RunningAverage(AveragedModel):
    """``average <- d average + (1 - d) weights`` with ``d = min(decay, (1 + k) / (10 + k))``.

    The ramp over the updates k lets a short training run forget its random initial weights; the
    first update copies the weights. On a GPU the host is not needed, so that an update can be part
    of a CUDA graph.

    Parameters
    ----------
    module : Module
        Copied; its parameters are those that are averaged.
    decay : float
        Largest d.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__(module)
        self.decay = decay
        self.requires_grad_(False)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Count the weights of ``model`` in."""
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        if self.n_averaged.is_cuda:
            change = torch._foreach_sub(current, averaged)
            torch._foreach_mul_(change, self._share(self.n_averaged.to(torch.float32)))
            torch._foreach_add_(averaged, change)
        else:  # in one pass over the weights, which takes a number
            share = self._share(self.n_averaged.to(torch.float64))
            torch._foreach_lerp_(averaged, current, float(share))
        self.n_averaged += 1

    def _share(self, k: Tensor) -> Tensor:
        """1 - d for the update after k others."""
        return torch.where(k == 0, 1.0, 1 - ((1 + k) / (10 + k)).clamp(max=self.decay))

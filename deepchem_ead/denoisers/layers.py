"""Layers that more than one denoiser has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Width of what the noise level and the context are turned into.
N_CONDITION = 64

#: What the length of a move, in units of the noise, approaches. Moves are products of features and
#: positions, which both grow with the moves before: unbounded, a few layers turn a large one into
#: infinity. The noise of an atom is hardly ever longer than 5, where this takes away 3 %.
LARGEST_MOVE = 20.0


def bounded(move: Tensor) -> Tensor:
    """Moves (A, 3) of at most `LARGEST_MOVE`."""
    return move * (1 + move.square().sum(1, keepdim=True) / LARGEST_MOVE**2).rsqrt()


def condition_network(in_features: int) -> nn.Sequential:
    """From an atom's columns (A, in_features) to its condition (A, `N_CONDITION`)."""
    return nn.Sequential(
        nn.Linear(in_features, 2 * N_CONDITION),
        nn.SiLU(),
        nn.Linear(2 * N_CONDITION, N_CONDITION),
        nn.SiLU(),
    )


class AdaptiveNorm(nn.Module):
    """Layer norm whose scale and shift depend on a condition, ``(1 + s(c)) norm(h) + b(c)``."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features, elementwise_affine=False)
        self.modulation = nn.Linear(N_CONDITION, 2 * n_features)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).chunk(2, 1)
        return torch.addcmul(shift, self.norm(h), 1 + scale)

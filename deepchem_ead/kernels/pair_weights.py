"""What the pair operation of the attention denoiser learns, and how it sees distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Radial features of one distance.
N_RADIAL = 32

#: Gaussians end at the exponential of this, 4e-18: no sum with the largest of them sees it. Further
#: out they would be denormal numbers, with which processors multiply many times as slowly.
LEAST_EXPONENT = -40.0

#: Distance up to which the radial features reach, in the unit of the coordinates.
RADIAL_RANGE = 15.0


class PairWeights(nn.Module):
    """Weights of the pair operation.

    Attributes
    ----------
    radial, radial_input : Tensor, (P, N_RADIAL)
        C and D of `AttentionDenoiser`: from the radial features of current and input distances.
    logits : Tensor, (H, P)
        L.
    gates : Tensor, (H, P)
        G.
    told : Tensor, (P, W)
        E, where pairs have columns of their own.
    backend : {"auto", "torch", "triton"}
        Who computes with them: "auto" is the Triton kernels for float32 on a GPU where they can
        run, PyTorch elsewhere.
    """

    backend = "auto"

    def __init__(self, n_pair_features: int, n_heads: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        p = n_pair_features
        self.radial = nn.Parameter(torch.randn(p, N_RADIAL) / N_RADIAL**0.5)
        self.radial_input = nn.Parameter(torch.randn(p, N_RADIAL) / N_RADIAL**0.5)
        self.logits = nn.Parameter(torch.randn(n_heads, p) / p**0.5)
        self.gates = nn.Parameter(torch.randn(n_heads, p) / p**0.5)
        if n_pair_columns:
            self.told = nn.Parameter(torch.randn(p, n_pair_columns) / n_pair_columns**0.5)


def radial_features(d2: Tensor) -> Tensor:
    """Gaussians of ``log(1 + d)`` on a uniform grid, (..., N_RADIAL), from squared distances."""
    end = math.log1p(RADIAL_RANGE)
    spacing = end / (N_RADIAL - 1)
    rho = torch.log1p((d2 + 1e-8).sqrt()).unsqueeze(-1)
    centers = torch.linspace(0, end, N_RADIAL, dtype=d2.dtype, device=d2.device)
    exponents = -0.5 * ((rho - centers) / spacing).square()
    return torch.exp(exponents.clamp(min=LEAST_EXPONENT))

"""The pair operation of the attention denoiser, by Triton kernels on a GPU where they can run."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import pair_torch
from deepchem_ead.kernels.pair_weights import N_RADIAL, RADIAL_RANGE, PairWeights, radial_features
from deepchem_ead.kernels.triton import attention as fused

__all__ = ["N_RADIAL", "RADIAL_RANGE", "PairWeights", "pair_attention", "radial_features"]


def pair_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    own: Tensor,
    other: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: PairWeights,
    n_heads: int,
    told: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention-weighted sums over the other atoms of each molecule.

    Arguments and results are those of `deepchem_ead.kernels.pair_torch.pair_attention`.
    """
    if told is None and fused.computes(x, q, layout, weights, n_heads):
        return fused.pair_attention(q, k, v, own, other, x, x0, layout, weights)
    return pair_torch.pair_attention(q, k, v, own, other, x, x0, layout, weights, n_heads, told)

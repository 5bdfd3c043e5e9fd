"""The pair operation of the attention denoiser, by Triton kernels on a GPU where they can run."""

from __future__ import annotations

from torch import Tensor

from deepchem_ead.kernels import pair_torch
from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_weights import N_RADIAL, RADIAL_RANGE, PairWeights, radial_features
from deepchem_ead.kernels.triton import attention as fused

__all__ = [
    "N_RADIAL",
    "RADIAL_RANGE",
    "PairInputs",
    "PairWeights",
    "pair_attention",
    "radial_features",
]


def pair_attention(inputs: PairInputs, weights: PairWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Attention-weighted sums over the other atoms of each molecule.

    Arguments and results are those of `deepchem_ead.kernels.pair_torch.pair_attention`.
    """
    compute = fused if fused.computes(inputs, weights) else pair_torch
    return compute.pair_attention(inputs, weights)

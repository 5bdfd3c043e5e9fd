"""Who may use the Triton kernels of the pair operation, and their call.

The function is `deepchem_ead.kernels.pair_torch.pair_attention`; that module is the
specification. Everything is computed in float32, matrix products as in the "fp32" of the edge
functions (`deepchem_ead.kernels.triton`); the environment variables are theirs too. Nothing is
kept per pair, the host never waits for the GPU, and results are reproducible. The first call
compiles and checks the kernels, so it must not be recorded in a CUDA graph.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_weights import PairWeights
from deepchem_ead.kernels.triton import attention_ranges, why_no_kernels
from deepchem_ead.kernels.triton.attention_ranges import LEAST_ATOMS, MOST_ATOMS, largest_block

__all__ = ["computes", "pair_attention", "why_not"]

logger = logging.getLogger(__name__)

MOST_HEADS = 32
PAIR_FEATURES = (16, 32, 64)


def why_not(
    n_features: int,
    n_heads: int,
    n_pair_features: int,
    device: torch.device,
    block: int = LEAST_ATOMS,
    told: bool = False,
) -> str:
    """Why the kernels cannot be used; empty if they can.

    On a GPU the first call for given sizes compiles the kernels and compares them with the PyTorch
    function (see `attention_check`).

    Parameters
    ----------
    n_features, n_heads, n_pair_features : int
    device : torch.device
    block : int
        Atoms of the largest molecule, rounded up to a power of two.
    told : bool
        Whether pairs have columns.
    """
    if n_heads > MOST_HEADS:
        return f"{n_heads} heads are more than {MOST_HEADS}"
    if n_pair_features not in PAIR_FEATURES:
        return f"{n_pair_features} pair features are none of {PAIR_FEATURES}"
    if block > MOST_ATOMS:
        return f"a molecule has more than {MOST_ATOMS} atoms"
    reason = why_no_kernels(device)
    products = torch.get_float32_matmul_precision()
    while not reason and block >= attention_ranges.LEAST_ATOMS:
        reason = _failure(n_features, n_heads, n_pair_features, device, block, products, told)
        block //= 2
    return reason


@cache
def _failure(
    n_features: int,
    n_heads: int,
    n_pair_features: int,
    device: torch.device,
    block: int,
    products: str,
    told: bool,
) -> str:
    if device.type == "cpu":  # interpreted
        return ""
    from deepchem_ead.kernels.triton.attention_check import failure

    return failure(n_features, n_heads, n_pair_features, device, block, told)


def computes(inputs: PairInputs, weights: PairWeights) -> bool:
    """Whether the kernels compute the pair operation of these tensors.

    Raises
    ------
    RuntimeError
        If ``weights.backend`` is "triton" and they cannot.
    """
    x, n_features = inputs.x, inputs.q.shape[1]
    insisted = weights.backend == "triton"
    if not insisted and (weights.backend != "auto" or x.device.type == "cpu"):
        return False
    if x.dtype == torch.float32:
        block = largest_block(inputs.layout)
        n_heads, n_pair_features = weights.logits.shape
        told = inputs.told is not None
        reason = why_not(n_features, n_heads, n_pair_features, x.device, block, told)
    else:
        reason = f"it computes float32, not {x.dtype}"
    if reason and insisted:
        raise RuntimeError(f'backend="triton": {reason}; use backend="auto" or "torch"')
    if reason:
        _log_once(reason)
    return not reason


@cache
def _log_once(reason: str) -> None:
    logger.info("PyTorch computes the pairs of attention: %s", reason)


def pair_attention(inputs: PairInputs, weights: PairWeights) -> tuple[Tensor, Tensor, Tensor]:
    """As `pair_torch.pair_attention`, where the kernels can run (see `why_not`).

    Also takes bfloat16 q, k, v, own and other, whose gradients are then
    bfloat16; results are always float32.

    Raises
    ------
    ValueError
        If a tensor has another type.
    """
    from deepchem_ead.kernels.triton.attention_autograd import pair_function

    return pair_function(inputs, weights)

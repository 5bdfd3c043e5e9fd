"""Triton kernels for the edge functions of the EGNN, for NVIDIA GPUs.

One program works off the pairs of a few centre atoms: pre-activation, SiLU, matrix product, SiLU,
read-out and the sum over neighbours, without writing anything per pair to memory. The backward pass
computes the activations again; what it hands from kernel to kernel lies in a workspace of fixed
size. No atomic operations are used: results are reproducible. The same functions in PyTorch are
`deepchem_ead.kernels.edge_torch`; that module is the specification.

Number formats:

``"fp32"``
    Everything in float32. The matrix products are made of three tf32 products ("tf32x3"), which is
    as exact as float32; of one if PyTorch may use tf32 (``torch.set_float32_matmul_precision``).
``"bf16"``
    The operands of matrix products, and what the backward pass hands from kernel to kernel, are
    rounded to bfloat16; sums, SiLU and everything else stay float32.

With ``TRITON_INTERPRET=1`` in the environment Triton interprets the kernels with NumPy on the CPU,
slowly: that is how they are tested where there is no GPU. ``DEEPCHEM_EAD_TRITON=0`` switches them
off.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.edge_weights import EdgeWeights

__all__ = ["coordinate_updates", "messages", "status", "why_no_kernels", "why_not"]

FEATURE_MULTIPLE, MOST_FEATURES = 32, 256
#: Tensor cores with tf32 and bf16 (Ampere and later).
CAPABILITY = (8, 0)


def why_not(n_features: int, device: torch.device, precision: str = "fp32") -> str:
    """Why the kernels cannot be used; empty if they can.

    On a GPU the first call for a width and a format compiles the kernels and compares them with
    the PyTorch functions (see `self_check`).

    Parameters
    ----------
    n_features : int
    device : torch.device
    precision : {"fp32", "bf16"}
    """
    if n_features % FEATURE_MULTIPLE or not 0 < n_features <= MOST_FEATURES:
        return (
            f"{n_features} features are not a multiple of {FEATURE_MULTIPLE} up to {MOST_FEATURES}"
        )
    products = torch.get_float32_matmul_precision()
    return why_no_kernels(device) or _failure(n_features, device, precision, products)


def why_no_kernels(device: torch.device) -> str:
    """Why no Triton kernel whatsoever can be used; empty if one may."""
    switched_off = os.environ.get("DEEPCHEM_EAD_TRITON", "1") == "0"
    interpreted = os.environ.get("TRITON_INTERPRET", "0") == "1"
    return _why_no_kernels(device, switched_off, interpreted)


def status() -> str:
    """Which GPU there is and what computes on it, in words. Nothing is compiled for that."""
    if not torch.cuda.is_available():
        return "none"
    device = torch.device("cuda", torch.cuda.current_device())
    reason = why_no_kernels(device)
    how = f"PyTorch ({reason})" if reason else "Triton kernels, if they pass a check on first use"
    return f"{torch.cuda.get_device_name(device)}; {how}"


@cache
def _why_no_kernels(device: torch.device, switched_off: bool, interpreted: bool) -> str:
    if switched_off:
        return "switched off by DEEPCHEM_EAD_TRITON=0"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if device.type == "cpu":
        return "" if interpreted else "Triton needs a GPU"
    if device.type != "cuda" or torch.version.hip is not None:
        return f"the kernels are written for NVIDIA GPUs, not {device}"
    if torch.cuda.get_device_capability(device) < CAPABILITY:
        return f"{torch.cuda.get_device_name(device)} has no tensor cores for tf32 and bf16"
    return ""


@cache
def _failure(n_features: int, device: torch.device, precision: str, products: str) -> str:
    if device.type == "cpu":  # interpreted
        return ""
    from deepchem_ead.kernels.triton.self_check import failure

    return failure(n_features, precision, device)


def messages(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    precision: str = "fp32",
) -> Tensor:
    """Sum of the attention-weighted messages that reach each atom, (A, F).

    The function, its arguments and its gradients are those of `edge_torch.messages`; all tensors
    float32.

    Parameters
    ----------
    precision : {"fp32", "bf16"}

    Raises
    ------
    ValueError
        If a tensor is not float32.
    RuntimeError
        If the kernels cannot run here.
    """
    return _edge_function(u, v, x, x0, layout, weights, precision, 0.0, 0.0)


def coordinate_updates(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    coords_range: float = 15.0,
    norm_constant: float = 1.0,
    precision: str = "fp32",
) -> Tensor:
    """Displacement of each atom along its relative vectors, (A, 3).

    As `edge_torch.coordinate_updates`; for ``precision`` and errors see `messages`.
    """
    return _edge_function(u, v, x, x0, layout, weights, precision, coords_range, norm_constant)


def _edge_function(u, v, x, x0, layout, weights, precision, coords_range, norm_constant) -> Tensor:
    reason = why_not(u.shape[1], u.device, precision)
    if reason:
        raise RuntimeError(f"Triton edge kernels unavailable: {reason}; use the PyTorch backend")
    from deepchem_ead.kernels.triton.autograd import edge_function

    return edge_function(
        u, v, x, x0, layout, weights, precision, float(coords_range), float(norm_constant)
    )

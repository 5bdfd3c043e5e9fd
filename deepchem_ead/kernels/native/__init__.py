"""A compiled CPU kernel for the edge functions of the EGNN.

One fused pass over the edges, in C++ with AVX2, AVX512 or AMX: pre-activation, SiLU, matrix
product, SiLU, read-out and the sum over neighbours, a few dozen edges at a time, so that nothing
per edge ever reaches main memory except what the backward pass needs. The same functions in
PyTorch are `deepchem_ead.kernels.edge_torch`: that module is the specification, this one the fast
path.

Number formats:

``"fp32"``
    Everything in float32. Against float64, one call's relative L2 error is 1e-7 to 4e-7 in outputs
    and below 2e-6 in gradients (random weights, 32 to 256 features).
``"bf16"``
    The operands of the three F x F matrix products (and the activations saved for the backward
    pass) are rounded to bfloat16; sums, SiLU and everything else stay float32. Needs AVX512-BF16;
    where the processor has AMX too, that multiplies.
    Outputs then differ by 0.3e-3 to 5e-3, gradients by 1e-3 to 6e-3 (of ``w_out``, a sum that
    cancels, by up to 1.2e-2).

The kernel is compiled with g++ on first use and cached (see `build`). ``DEEPCHEM_EAD_NATIVE=0``
switches it off.
"""

from __future__ import annotations

from torch import Tensor, nn

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.native import linear as linear_maps
from deepchem_ead.kernels.native import network as whole_network
from deepchem_ead.kernels.native.autograd import edge_function
from deepchem_ead.kernels.native.build import Kernel, kernel_or_reason

__all__ = ["available", "coordinate_updates", "evaluate", "linear", "messages", "status"]

FEATURE_MULTIPLE = 32


def _why_not(n_features: int, precision: str) -> str:
    """Why the kernel cannot do this; empty if it can."""
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision is {precision!r}; choose 'fp32' or 'bf16'")
    kernel, reason = kernel_or_reason()
    if kernel is None:
        return reason
    if n_features < FEATURE_MULTIPLE or n_features % FEATURE_MULTIPLE:
        return f"{n_features} features are not a multiple of {FEATURE_MULTIPLE}"
    if precision not in kernel.precisions:
        return f"{precision} needs AVX512-BF16, the processor has {kernel.instructions}"
    return ""


def available(n_features: int, precision: str) -> bool:
    """Whether the kernel runs here for this number of features and format.

    Compiles the kernel if it is not in the cache yet (about ten seconds, once).

    Raises
    ------
    ValueError
        If `precision` is neither ``"fp32"`` nor ``"bf16"``.
    """
    return not _why_not(n_features, precision)


def status() -> str:
    """Which path is active and why, in one line."""
    kernel, reason = kernel_or_reason()
    if kernel is None:
        return f"PyTorch ({reason})"
    return f"native kernel, {kernel.instructions} ({' and '.join(kernel.precisions)})"


def _kernel(n_features: int, precision: str) -> Kernel:
    reason = _why_not(n_features, precision)
    if reason:
        raise RuntimeError(f"native edge kernel unavailable: {reason}; use the PyTorch backend")
    kernel, _ = kernel_or_reason()
    return kernel


def messages(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    precision: str = "fp32",
) -> Tensor:
    """Sum the attended messages of each atom's neighbours.

    For ``a_ij = u_i + v_j + |x_i - x_j|^2 c_d + |x0_i - x0_j|^2 c_0`` and
    ``m_ij = silu(w2 silu(a_ij) + b2)``, the sum over j != i of ``sigmoid(w_out.m_ij + b_out) m_ij``
    (EDM, Hoogeboom et al., arXiv:2203.17003, equation 12 and appendix B, with its first linear map
    split into parts that depend on one atom).

    A molecule's result is bitwise the same whatever else is in the batch and however many threads
    run. Differentiable once, with respect to every tensor; the gradients are reproducible.

    Parameters
    ----------
    u, v : Tensor, (A, F)
        Parts of the first linear map that depend on atom i (with its bias) and on atom j.
    x, x0 : Tensor, (A, 3)
        Current coordinates and input coordinates of the network.
    layout : AtomLayout
        Molecules of any size; one of a single atom gets zeros.
    weights : EdgeWeights
    precision : {"fp32", "bf16"}

    Returns
    -------
    Tensor, (A, F)

    Raises
    ------
    ValueError
        If a tensor has another shape, type or device than described (all float32 on the CPU).
    RuntimeError
        If the kernel is not available.
    """
    return edge_function(
        u, v, x, x0, layout, weights, coordinates=False, coords_range=0.0, norm_constant=0.0,
        precision=precision, kernel=_kernel(u.shape[-1], precision),
    )  # fmt: skip


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
    """Sum the displacements that each atom's neighbours give it.

    With m_ij as in `messages`, the sum over j != i of ``coords_range tanh(w_out.m_ij) (x_i - x_j) /
    (sqrt(|x_i - x_j|^2 + 1e-8) + norm_constant)`` (EDM, Hoogeboom et al., arXiv:2203.17003,
    equation 12 and appendix B).

    Parameters
    ----------
    u, v, x, x0, layout, weights, precision
        As in `messages`; ``weights.b_out`` must be None.
    coords_range : float
        Largest weight of one neighbour, in the units of x.
    norm_constant : float
        Added to the distance in the denominator, in the units of x.

    Returns
    -------
    Tensor, (A, 3)

    Raises
    ------
    ValueError
        If a tensor has another shape, type or device than described, or there is a ``b_out``.
    RuntimeError
        If the kernel is not available.
    """
    if weights.b_out is not None:
        raise ValueError("coordinate updates have no bias: weights.b_out must be None")
    return edge_function(
        u, v, x, x0, layout, weights, coordinates=True, coords_range=coords_range,
        norm_constant=norm_constant, precision=precision, kernel=_kernel(u.shape[-1], precision),
    )  # fmt: skip


def evaluate(
    network: nn.Module, x: Tensor, h: Tensor, layout: AtomLayout, precision: str = "fp32"
) -> tuple[Tensor, Tensor]:
    """Outputs of a whole EGNN, without gradients.

    A molecule's result is bitwise the same whatever else is in the batch and however many threads
    run. The weights are read (and brought into the kernel's format) in every call.

    Parameters
    ----------
    network : nn.Module
        float32 parameters on the CPU.
    x, h, layout
        As in ``EGNN.forward``, which checks their shapes.
    precision : {"fp32", "bf16"}

    Returns
    -------
    dx, h_out : Tensor, (A, 3) and (A, out_features)

    Raises
    ------
    ValueError
        If a tensor or a parameter is not float32 on the CPU.
    RuntimeError
        If the kernel is not available.
    """
    kernel = _kernel(network.n_features, precision)
    return whole_network.evaluate(network, x, h, layout, precision, kernel)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, precision: str = "fp32"
) -> Tensor:
    """``x @ weight.T + bias`` for many rows.

    A row's result does not depend on the others. Differentiable once, with respect to every tensor;
    the gradients are reproducible.

    Parameters
    ----------
    x : Tensor, (A, K)
    weight : Tensor, (F, K)
        May be some columns of a wider matrix. F and K are multiples of 32.
    bias : Tensor, (F,), optional
    precision : {"fp32", "bf16"}
        Format of the operands of the three products, ``x`` and the incoming gradient included.

    Returns
    -------
    Tensor, (A, F)

    Raises
    ------
    ValueError
        If a tensor has another shape, type or device than described (all float32 on the CPU).
    RuntimeError
        If the kernel is not available, or not for these sizes.
    """
    kernel = _kernel(x.shape[-1], precision)
    _kernel(weight.shape[0], precision)
    return linear_maps.linear(x, weight, bias, precision, kernel)

"""The edge kernel as differentiable PyTorch functions."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.native.build import Kernel

# Activations of as many edges are kept for the backward pass as this many bytes a call hold; those
# of other edges are computed again (a sixth of their work), so that memory does not grow with them.
# The exact path, twice as wide, keeps less: at EDM's size and batch it stays below a tenth of what
# the network takes when written plainly.
SAVED_BYTES_LIMIT = {"fp32": 16 * 2**20, "bf16": 64 * 2**20}

_POINTERS = ctypes.c_void_p
_SCALAR_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Problem(ctypes.Structure):
    """Arguments of one kernel call; the same fields as ``Problem`` in edges.h."""

    _fields_ = [
        *[(n, ctypes.c_int64) for n in ("n_molecules", "n_features", "n_threads", "coordinates")],
        ("counts", _POINTERS),
        *[(n, _POINTERS) for n in ("u", "v", "x", "x0")],
        *[(n, _POINTERS) for n in ("c_d", "c_0", "w2", "b2", "w_out", "b_out")],
        *[(n, ctypes.c_float) for n in ("coords_range", "norm_constant")],
        ("out", _POINTERS),
        ("saved_edges", ctypes.c_int64),
        *[(n, _POINTERS) for n in ("saved_z", "saved_logits", "grad_out")],
        *[(n, _POINTERS) for n in ("du", "dv", "dx", "dx0")],
        *[(n, _POINTERS) for n in ("dc_d", "dc_0", "dw2", "db2", "dw_out", "db_out")],
    ]


def _call(kernel: Kernel, function: str, tensors: dict[str, Tensor | None], scalars: dict) -> None:
    """Run a kernel function. The caller's references keep the tensors alive meanwhile."""
    problem = Problem(n_threads=torch.get_num_threads(), **scalars)
    for name, tensor in tensors.items():
        if tensor is not None:
            setattr(problem, name, tensor.data_ptr())
    getattr(kernel.library, function)(ctypes.byref(problem))


class EdgeFunction(torch.autograd.Function):
    """Sums over the edges of an EGNN edge network, by the native kernel.

    Inputs are float32, C-contiguous and of matching shapes (the callers in this package check).
    """

    @staticmethod
    def forward(
        ctx, u, v, x, x0, c_d, c_0, w2, b2, w_out, b_out, counts, scalars, precision, kernel, saving
    ):
        inputs = dict(
            zip(
                ("u", "v", "x", "x0", "c_d", "c_0", "w2", "b2", "w_out", "b_out"),
                (u, v, x, x0, c_d, c_0, w2, b2, w_out, b_out),
                strict=True,
            )
        )
        out = torch.empty_like(x if scalars["coordinates"] else u)
        kind, edges = _SCALAR_TYPES[precision], 0
        if saving:
            edges = int((counts * (counts - 1)).sum())
            edges = min(edges, SAVED_BYTES_LIMIT[precision] // (u.shape[1] * kind.itemsize))
        scalars = scalars | {"saved_edges": edges}
        saved = {
            "counts": counts,
            "saved_z": torch.empty((edges, u.shape[1]), dtype=kind),
            "saved_logits": torch.empty((edges,), dtype=torch.float32),
        }
        _call(kernel, f"forward_{precision}", {**inputs, **saved, "out": out}, scalars)
        if saving:
            ctx.names = [*inputs, *saved]
            ctx.save_for_backward(*inputs.values(), *saved.values())
            ctx.scalars, ctx.precision, ctx.kernel = scalars, precision, kernel
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        inputs = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        atoms = {"du": inputs["u"], "dv": inputs["v"], "dx": inputs["x"]}
        grads: dict[str, Tensor | None] = {n: torch.empty_like(t) for n, t in atoms.items()}
        grads["dx0"] = torch.empty_like(inputs["x0"]) if ctx.needs_input_grad[3] else None
        weights = ("c_d", "c_0", "w2", "b2", "w_out", "b_out")
        wanted = any(ctx.needs_input_grad[4:10])
        for name in weights:
            present = wanted and inputs[name] is not None
            grads[f"d{name}"] = torch.empty_like(inputs[name]) if present else None
        _call(
            ctx.kernel,
            f"backward_{ctx.precision}",
            {**inputs, **grads, "grad_out": grad_out.contiguous()},
            ctx.scalars,
        )
        return (*grads.values(), None, None, None, None, None)


def edge_function(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    *,
    coordinates: bool,
    coords_range: float,
    norm_constant: float,
    precision: str,
    kernel: Kernel,
) -> Tensor:
    """Check the arguments and apply `EdgeFunction`.

    Raises
    ------
    ValueError
        If a tensor has another shape, type or device than the kernel takes.
    """
    atoms, features = layout.n_nodes, weights.w2.shape[0]
    shapes = {
        "u": (u, (atoms, features)),
        "v": (v, (atoms, features)),
        "x": (x, (atoms, 3)),
        "x0": (x0, (atoms, 3)),
        "c_d": (weights.c_d, (features,)),
        "c_0": (weights.c_0, (features,)),
        "w2": (weights.w2, (features, features)),
        "b2": (weights.b2, (features,)),
        "w_out": (weights.w_out, (features,)),
        "b_out": (weights.b_out, (1,)),
    }
    for name, (tensor, shape) in shapes.items():
        if tensor is None and name == "b_out":
            continue
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}; the native kernel takes float32 on "
                f"the CPU (use the PyTorch backend for anything else)"
            )
    scalars = {
        "n_molecules": layout.n_molecules,
        "n_features": features,
        "coordinates": int(coordinates),
        "coords_range": coords_range,
        "norm_constant": norm_constant,
    }
    tensors = [None if t is None else t.contiguous() for t, _ in shapes.values()]
    counts = layout.counts.contiguous()
    # Inside forward() the gradient mode is always off, so this has to be asked here.
    saving = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    return EdgeFunction.apply(*tensors, counts, scalars, precision, kernel, saving)

"""A linear map of the features of atoms by the native kernel, as a differentiable function."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.kernels.native.build import Kernel

_POINTERS = ctypes.c_void_p


class LinearProblem(ctypes.Structure):
    """Arguments of one kernel call; the same fields as in linear_kernel.cpp."""

    _fields_ = [
        *[(n, ctypes.c_int64) for n in ("rows", "inner", "outputs", "n_threads", "w_stride")],
        *[(n, _POINTERS) for n in ("x", "w", "b", "dy", "y", "dx", "dw", "db")],
    ]


def _call(kernel: Kernel, function: str, x: Tensor, w: Tensor, **tensors: Tensor | None) -> None:
    problem = LinearProblem(
        rows=x.shape[0],
        inner=x.shape[1],
        outputs=w.shape[0],
        n_threads=torch.get_num_threads(),
        w_stride=w.stride(0),
        x=x.data_ptr(),
        w=w.data_ptr(),
        **{name: t.data_ptr() for name, t in tensors.items() if t is not None},
    )
    getattr(kernel.linear, f"linear_{function}")(ctypes.byref(problem))


class LinearFunction(torch.autograd.Function):
    """``x @ weight.T + bias``; float32, the rows of the weight contiguous, the rest altogether."""

    @staticmethod
    def forward(ctx, x, weight, bias, precision, kernel):
        y = x.new_empty(x.shape[0], weight.shape[0])
        _call(kernel, f"forward_{precision}", x, weight, b=bias, y=y)
        ctx.save_for_backward(x, weight)
        ctx.precision, ctx.kernel = precision, kernel
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y):
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        grads = {
            "dx": torch.empty_like(x) if wants_x else None,
            "dw": x.new_empty(weight.shape) if wants_weight or wants_bias else None,
            "db": x.new_empty(weight.shape[0]) if wants_bias else None,
        }
        function = f"backward_{ctx.precision}"
        _call(ctx.kernel, function, x, weight, dy=grad_y.contiguous(), **grads)
        return (*grads.values(), None, None)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, precision: str, kernel: Kernel
) -> Tensor:
    """Check the arguments and apply `LinearFunction`.

    Raises
    ------
    ValueError
        If a tensor has another shape, type or device than the kernel takes.
    """
    shapes = {"x": (x, (len(x), weight.shape[1])), "weight": (weight, tuple(weight.shape))}
    if bias is not None:
        shapes["bias"] = (bias, (weight.shape[0],))
    for name, (tensor, shape) in shapes.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}; the native kernel takes float32 on "
                f"the CPU (use the PyTorch backend for anything else)"
            )
    weight = weight if weight.stride(1) == 1 else weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    return LinearFunction.apply(x.contiguous(), weight, bias, precision, kernel)

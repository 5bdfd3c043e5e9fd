"""The whole EGNN in one call of the native kernel, without gradients."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native.build import Kernel

_POINTERS = ctypes.c_void_p


class NetworkProblem(ctypes.Structure):
    """Arguments of one kernel call; the same fields as in network_problem.h."""

    _fields_ = [
        *[(n, ctypes.c_int64) for n in ("n_molecules", "n_layers", "n_features")],
        *[(n, ctypes.c_int64) for n in ("in_features", "out_features", "n_threads")],
        *[(n, _POINTERS) for n in ("counts", "x", "h", "embedding_w", "embedding_b")],
        *[(n, _POINTERS) for n in ("embedding_out_w", "embedding_out_b", "blocks")],
        *[(n, ctypes.c_float) for n in ("coords_range", "norm_constant")],
        *[(n, _POINTERS) for n in ("dx", "h_out")],
    ]


def _block_parameters(block: Any) -> list[Tensor | None]:
    """In the order of ``BlockParameters`` in network_problem.h."""
    message, node = block.message.edge_mlp, block.message.node_mlp
    attention, coordinates = block.message.att_mlp[0], block.coordinates.coord_mlp
    return [
        *(message[0].weight, message[0].bias, message[2].weight, message[2].bias),
        *(attention.weight, attention.bias),
        *(node[0].weight, node[0].bias, node[2].weight, node[2].bias),
        *(coordinates[0].weight, coordinates[0].bias),
        *(coordinates[2].weight, coordinates[2].bias),
        *(coordinates[4].weight, None),
    ]


def evaluate(
    network: Any, x: Tensor, h: Tensor, layout: AtomLayout, precision: str, kernel: Kernel
) -> tuple[Tensor, Tensor]:
    """Outputs of an `EGNN` (its room is above this one), as its ``forward`` describes them.

    The weights are read afresh in every call.

    Raises
    ------
    ValueError
        If a tensor or a parameter is not float32 on the CPU.
    """
    embedding, embedding_out = network.embedding, network.embedding_out
    tensors = {
        "x": x, "h": h,
        "embedding_w": embedding.weight, "embedding_b": embedding.bias,
        "embedding_out_w": embedding_out.weight, "embedding_out_b": embedding_out.bias,
    }  # fmt: skip
    blocks = [p for block in network.blocks for p in _block_parameters(block)]
    # These lists keep copies of tensors that are not contiguous alive during the call.
    tensors = {name: _checked(tensor, name) for name, tensor in tensors.items()}
    blocks = [None if p is None else _checked(p, "a parameter") for p in blocks]
    counts = layout.counts.contiguous()
    dx, h_out = torch.empty_like(tensors["x"]), x.new_empty(len(x), network.out_features)
    pointers = (ctypes.c_void_p * len(blocks))(
        *[None if p is None else p.data_ptr() for p in blocks]
    )
    problem = NetworkProblem(
        n_molecules=layout.n_molecules,
        n_layers=len(network.blocks),
        n_features=network.n_features,
        in_features=network.in_features,
        out_features=network.out_features,
        n_threads=torch.get_num_threads(),
        counts=counts.data_ptr(),
        blocks=ctypes.addressof(pointers),
        coords_range=network.coords_range,
        norm_constant=network.norm_constant,
        dx=dx.data_ptr(),
        h_out=h_out.data_ptr(),
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
    )
    getattr(kernel.network, f"evaluate_{precision}")(ctypes.byref(problem))
    return dx, h_out


def _checked(tensor: Tensor, name: str) -> Tensor:
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise ValueError(
            f"{name} is {tensor.dtype} on {tensor.device}; the native kernel takes float32 on the "
            f"CPU (use the PyTorch backend for anything else)"
        )
    return tensor.detach().contiguous()

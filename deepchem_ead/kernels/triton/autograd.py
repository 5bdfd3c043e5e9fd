"""The Triton kernels as differentiable PyTorch functions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.triton import kernels
from deepchem_ead.kernels.triton.tiles import Tiles


class Launch(NamedTuple):
    """How a kernel is cut into programs."""

    block_e: int  # pairs of a tile
    block_k: int  # features of one step of a matrix product
    n_warps: int
    n_stages: int  # loads in flight


#: Chosen for 256 features by what the compiler reports for Hopper: registers and shared memory.
FORWARD = {"fp32": Launch(64, 32, 8, 2), "bf16": Launch(64, 32, 8, 2)}
BACKWARD = {"fp32": Launch(32, 32, 8, 2), "bf16": Launch(64, 32, 8, 2)}
#: What a program of these needs, in bytes of shared memory, and how to do with less, as on the
#: consumers' cards, which have 99 KiB.
BACKWARD_SHARED_BYTES = 100 * 2**10
SMALL_BACKWARD = {"fp32": Launch(16, 32, 8, 2), "bf16": Launch(64, 32, 8, 2)}
#: Centre atoms of a tile of the forward kernel, at most; what matrix products need at least.
BLOCK_C = 16
#: Pairs a program of the node kernel reads at once.
NODE_BLOCK = 32
#: Tile of the gradient of w2, pairs it is summed over at once, and how often in one program.
WEIGHT_BLOCK, WEIGHT_PAIRS, WEIGHT_STEPS = 64, 64, 8
#: Memory for what the backward pass hands from kernel to kernel, (n, F) three times. Molecules are
#: worked off in parts that fit; a part that also fits the second level cache never leaves it.
WORKSPACE_BYTES = 48 * 2**20

_KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def product_precision() -> str:
    """How Triton multiplies float32 matrices: as PyTorch is set to, but always on tensor cores.

    "tf32x3" is three tf32 products, which together are as exact as float32.
    """
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def backward_launches(device: torch.device) -> dict[str, Launch]:
    """How the backward kernel is cut on this device."""
    if device.type == "cpu":  # interpreted
        return BACKWARD
    available = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
    return BACKWARD if available >= BACKWARD_SHARED_BYTES else SMALL_BACKWARD


class EdgeFunction(torch.autograd.Function):
    """Sums over the pairs of an edge network. Inputs are float32 and contiguous."""

    @staticmethod
    def forward(ctx, u, v, x, x0, c_d, c_0, w2, b2, w_out, b_out, tiles: Tiles, options: dict):
        f, launch = u.shape[1], FORWARD[options["precision"]]
        w2 = w2.to(_KINDS[options["precision"]])
        attention = b_out is not None
        out = torch.empty_like(u if attention else x)
        ctx.products = product_precision()
        kernels.forward_kernel[(tiles.n_tiles,)](
            u, v, x, x0, tiles.first, tiles.second, tiles.tile_edges, tiles.tile_nodes,
            c_d, c_0, w2, b2, w_out, b_out if attention else b2, out,
            options["coords_range"], options["norm_constant"],
            F=f, BLOCK_F=_power_of_two(f), BLOCK_E=launch.block_e, BLOCK_K=launch.block_k,
            BLOCK_C=BLOCK_C, N_BLOCKS=_blocks(tiles.longest_row, launch.block_e),
            ATTENTION=attention, PRECISION=ctx.products,
            num_warps=launch.n_warps, num_stages=launch.n_stages,
        )  # fmt: skip
        ctx.save_for_backward(u, v, x, x0, c_d, c_0, w2, b2, w_out, b_out)
        ctx.tiles, ctx.options = tiles, options
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, g_out):
        u, v, x, x0, c_d, c_0, w2, b2, w_out, b_out = ctx.saved_tensors
        tiles, f, attention = ctx.tiles, u.shape[1], b_out is not None
        g_out = g_out.contiguous()
        parts = tiles.parts(max(WORKSPACE_BYTES // (3 * f * w2.element_size()), 1))
        longest = max((part.n_pairs for part in parts), default=0)
        h, g_z, g_a = w2.new_empty(3, longest, f)
        pulls = u.new_empty(2, longest, 3)
        g_u, g_v, g_x, g_x0 = (torch.zeros_like(t) for t in (u, v, x, x0))
        g_vectors, g_b_out, g_w2 = u.new_zeros(4, f), u.new_zeros(1), u.new_zeros(f, f)
        sizes = {"F": f, "BLOCK_F": _power_of_two(f)}
        launch = backward_launches(u.device)[ctx.options["precision"]]
        for part in parts:
            n_tiles = _blocks(part.n_pairs, launch.block_e)
            vectors, g_bias = u.new_empty(n_tiles, 4, f), u.new_zeros(n_tiles)
            kernels.backward_kernel[(n_tiles,)](
                u, v, x, x0, tiles.first, tiles.second, c_d, c_0, w2, b2, w_out,
                b_out if attention else b2, g_out, h, g_z, g_a, pulls[0], pulls[1],
                vectors, g_bias, part.begin, part.end,
                ctx.options["coords_range"], ctx.options["norm_constant"],
                **sizes, BLOCK_E=launch.block_e, BLOCK_K=launch.block_k,
                ATTENTION=attention, PRECISION=ctx.products,
                num_warps=launch.n_warps, num_stages=launch.n_stages,
            )  # fmt: skip
            kernels.node_kernel[(part.n_nodes,)](
                g_a, pulls[0], pulls[1], tiles.reverse, tiles.rows, g_u, g_v, g_x, g_x0,
                part.first_node, part.begin, **sizes, BLOCK_E=NODE_BLOCK,
                N_BLOCKS=_blocks(tiles.longest_row, NODE_BLOCK),
            )  # fmt: skip
            block = min(WEIGHT_BLOCK, sizes["BLOCK_F"])
            n_splits = _blocks(part.n_pairs, WEIGHT_PAIRS * WEIGHT_STEPS)
            shares = u.new_empty(n_splits, f, f)
            kernels.weight_kernel[(_blocks(f, block) ** 2, n_splits)](
                g_z, h, shares, part.n_pairs,
                F=f, BLOCK=block, BLOCK_E=WEIGHT_PAIRS, N_BLOCKS=WEIGHT_STEPS,
                PRECISION=ctx.products,
            )  # fmt: skip
            g_w2 += shares.sum(0)
            g_vectors += vectors.sum(0)
            g_b_out += g_bias.sum()
        g_c_d, g_c_0, g_b2, g_w_out = g_vectors
        g_b_out = g_b_out if attention else None
        return g_u, g_v, g_x, g_x0, g_c_d, g_c_0, g_w2, g_b2, g_w_out, g_b_out, None, None


def edge_function(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    precision: str,
    coords_range: float,
    norm_constant: float,
) -> Tensor:
    """Apply `EdgeFunction`.

    Raises
    ------
    ValueError
        If a tensor is not float32.
    """
    tensors = (u, v, x, x0, *weights)
    for tensor in tensors:
        if tensor is not None and tensor.dtype != torch.float32:
            raise ValueError(
                f"the Triton kernels take float32, not {tensor.dtype}; use the PyTorch backend"
            )
    options = {
        "precision": precision,
        "coords_range": coords_range,
        "norm_constant": norm_constant,
    }
    tensors = (None if t is None else t.contiguous() for t in tensors)
    tiles = Tiles.of(layout, BLOCK_C, FORWARD[precision].block_e)
    return EdgeFunction.apply(*tensors, tiles, options)


def _blocks(n: int, size: int) -> int:
    return -(-n // size)


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()

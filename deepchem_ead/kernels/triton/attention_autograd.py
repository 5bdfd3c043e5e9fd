"""The pair operation in Triton as a differentiable PyTorch function."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_weights import PairWeights
from deepchem_ead.kernels.triton import attention_kernels as kernels
from deepchem_ead.kernels.triton.attention_ranges import Range, ranges
from deepchem_ead.kernels.triton.autograd import product_precision


class Launch(NamedTuple):
    """How a program does its work."""

    chunk: int  # numbers of each head read at once
    atoms_a_warp: int  # of the other atoms of a molecule


#: Chosen for 12 heads of 16 by the registers that the compiler reports for Hopper.
FORWARD = Launch(4, 16)
#: For gradients of atoms as centres and as neighbours of pairs.
CENTRE, NEIGHBOUR = Launch(2, 16), Launch(4, 16)
#: Of a launch for centres, about: each leaves its share of the gradients of the weights.
CENTRE_PROGRAMS = 1024
#: What matrix products need.
LEAST_HEADS = 16


class Rows(NamedTuple):
    """Arrays whose rows lie equally far apart, as those of columns of one array do."""

    arrays: tuple[Tensor, ...]
    stride: int

    @classmethod
    def of(cls, *arrays: Tensor) -> Rows:
        if len({t.stride() for t in arrays}) > 1 or arrays[0].stride(1) != 1:
            arrays = tuple(t.contiguous() for t in arrays)
        return cls(arrays, arrays[0].stride(0))


class PairFunction(torch.autograd.Function):
    """Values (A, F), pairs (A, H P) and vectors (A, H, 3) of `pair_attention`, all float32."""

    @staticmethod
    def forward(
        ctx, q, k, v, own, other, x, x0, radial, radial_input, logits, gates, told: Tensor | None,
        layout: AtomLayout,
    ):  # fmt: skip
        (q, k, v), node_stride = Rows.of(q, k, v)
        (own, other), pair_stride = Rows.of(own, other)
        inputs = q, k, v, own, other, x, x0, layout.index, layout.starts, layout.counts
        inputs += radial, radial_input, logits, gates
        # Without columns nothing is read of the last two.
        inputs += (x, layout.starts) if told is None else (told, layout.first_pairs)
        n_nodes, n_heads = len(q), len(logits)
        outputs = x.new_empty(q.shape), x.new_empty(n_nodes, logits.numel())
        outputs += x.new_empty(n_nodes, n_heads, 3), x.new_empty(n_nodes, n_heads)
        ctx.told = told is not None
        ctx.products, ctx.ranges, ctx.strides = product_precision(), ranges(layout), (
            node_stride, pair_stride,
        )  # fmt: skip
        for part in ctx.ranges:
            kernels.forward_kernel[(part.n_atoms,)](
                *inputs, *outputs, part.first, *ctx.strides, _scale(q, logits),
                **_sizes(q, logits), **_cut(FORWARD, part), PRECISION=ctx.products,
                TOLD=ctx.told,
            )  # fmt: skip
        ctx.save_for_backward(*inputs, *outputs)
        return outputs[:3]

    @staticmethod
    @once_differentiable
    def backward(ctx, g_values, g_pairs, g_vectors):
        *inputs, values, pairs, vectors, log_sums = ctx.saved_tensors
        q, _, _, own, _, x, x0, *_, radial, _, logits, _, told, _ = inputs
        (g_values,), values_stride = Rows.of(g_values)
        (g_pairs,), pairs_stride = Rows.of(g_pairs)
        strides = *ctx.strides, values_stride, pairs_stride
        incoming = g_values, g_pairs, g_vectors.contiguous()
        sizes, deltas = _sizes(q, logits), torch.empty_like(log_sums)
        kernels.delta_kernel[(len(q),)](
            values, pairs, vectors, *incoming, deltas, *strides[2:], **sizes, num_warps=1
        )
        input_gradients = ctx.needs_input_grad[6]
        g_nodes = [*q.new_empty(3, *q.shape), *own.new_empty(2, *own.shape), torch.empty_like(x)]
        g_nodes.append(torch.empty_like(x0) if input_gradients else None)
        g_told = torch.empty_like(told) if ctx.told else None
        counts = [-(-part.n_atoms // CENTRE_PROGRAMS) for part in ctx.ranges]
        programs = [-(-part.n_atoms // n) for part, n in zip(ctx.ranges, counts, strict=True)]
        g_radial = radial.new_zeros(sum(programs), 2, *radial.shape)
        g_read = logits.new_zeros(sum(programs), 2, *logits.shape)
        shares = zip(g_radial.split(programs), g_read.split(programs), strict=True)
        for part, n_each, share in zip(ctx.ranges, counts, shares, strict=True):
            for launch, n in ((CENTRE, n_each), (NEIGHBOUR, 1)):
                kernels.backward_kernel[(-(-part.n_atoms // n),)](
                    *inputs, log_sums, deltas, *incoming, *g_nodes, g_told, *share,
                    part.first, part.end, n, *strides, _scale(q, logits),
                    **sizes, **_cut(launch, part), PRECISION=ctx.products,
                    TOLD=ctx.told, AS_CENTRES=launch is CENTRE, INPUT_GRADIENTS=input_gradients,
                )  # fmt: skip
        return *g_nodes, *g_radial.sum(0), *g_read.sum(0), g_told, None


def pair_function(inputs: PairInputs, weights: PairWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Apply `PairFunction`.

    Raises
    ------
    ValueError
        If x, x0 or a weight is not float32, or what belongs to atoms neither that nor bfloat16.
    """
    of_atoms = inputs.q, inputs.k, inputs.v, inputs.own, inputs.other
    exact = inputs.x, inputs.x0, weights.radial, weights.radial_input, weights.logits, weights.gates
    kinds = {t.dtype for t in of_atoms}
    same = len(kinds) == 1 and kinds <= {torch.float32, torch.bfloat16}
    if not same or {t.dtype for t in exact} != {torch.float32}:
        raise ValueError(
            "the Triton kernels take float32 coordinates and weights, and float32 or bfloat16 "
            "numbers of atoms; use the PyTorch backend"
        )
    told = None if inputs.told is None else (inputs.told @ weights.told.T).float().contiguous()
    return PairFunction.apply(*of_atoms, *(t.contiguous() for t in exact), told, inputs.layout)


def _sizes(q: Tensor, logits: Tensor) -> dict[str, int]:
    n_heads, n_pair_features = logits.shape
    block = max(1 << (n_heads - 1).bit_length(), LEAST_HEADS)
    return {"H": n_heads, "W": q.shape[1] // n_heads, "P": n_pair_features, "BLOCK_H": block}


def _scale(q: Tensor, logits: Tensor) -> float:
    return (q.shape[1] // len(logits)) ** -0.5


def _cut(launch: Launch, part: Range) -> dict[str, int]:
    return {
        "BLOCK_N": part.block,
        "CHUNK": launch.chunk,
        "num_warps": max(part.block // launch.atoms_a_warp, 1),
    }

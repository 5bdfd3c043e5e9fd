"""What the kernels have in common."""

from __future__ import annotations

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET", "0") == "1")


@triton.jit
def dot(a, b, total, PRECISION: tl.constexpr):
    """``total + a b``, summed in float32."""
    if INTERPRETED:  # the interpreter would multiply bfloat16 numbers as integers
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, total, input_precision=PRECISION)


@triton.jit
def silu(x):
    return x * tl.sigmoid(x)


@triton.jit
def silu_slope(x):
    s = tl.sigmoid(x)
    return s * (1.0 + x * (1.0 - s))


@triton.jit
def pair_places(node, to, come, index, starts, counts, first_pairs):
    """Where the pairs (to, come) of a node's molecule stand in the order of `AtomLayout.pairs`."""
    molecule = tl.load(index + node)
    n = tl.load(counts + molecule)
    turn = come - to
    turn = tl.where(turn < 0, turn + n, turn)
    begin = tl.load(first_pairs + molecule) + (to - tl.load(starts + molecule)) * (n - 1)
    return begin + turn - 1

"""The pair operation of the attention denoiser as Triton kernels.

Notation of `deepchem_ead.denoisers.attention`, for a pair (i, j) and a head h::

    z = own_i + other_j + e_ij + C r(d) + D r(d_0),  p = silu(z),  a = exp(q_i . k_j + L p - l_i)

with q scaled by the root of the head's width, l_i the logarithm of the softmax's sum, and e what
the columns of pairs say (with TOLD; their product with E is made by PyTorch). A program works off
an atom i with all other atoms of the molecule at once; what belongs to a pair lives in registers
only. Backward the pairs are computed again, twice: once an atom is the centre of its
pairs, once their neighbour. So every sum over a molecule is made by one program in a fixed order:
no atomic operations are needed, and results are reproducible.

Tiles have dimensions n (atoms j), h (heads), p (pair features), r (radial features) and a (axes),
padded to powers of two; whatever is padded is zero. Rows of q, k and v would fill the registers:
they are read ``CHUNK`` numbers of each head at a time.

Cost of a pair, H heads of width W, P pair features, R radial features of each distance::

    operations  forward   2 P (2 R + 3 H) + 4 H W       7 k for 12 heads of 16 and P = R = 32
                backward  2 P (8 R + 14 H) + 14 H W    30 k, and 4 P R if x0 wants gradients
    bytes       forward   4 (2 H W + P), backward 4 (4 H W + 2 P + H (P + 5)): the rows of atom j,
                from memory once a molecule, from a cache for each of its atoms i
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from deepchem_ead.kernels.pair_weights import N_RADIAL, RADIAL_RANGE
from deepchem_ead.kernels.triton.elementary import dot, pair_places, silu, silu_slope

_R = tl.constexpr(N_RADIAL)
#: Of the Gaussians, in log(1 + d).
_SPACING = tl.constexpr(math.log1p(RADIAL_RANGE) / (N_RADIAL - 1))
#: Below every logit; not infinite, because differences of it are taken.
_NEVER = tl.constexpr(-1e30)


@triton.jit
def _neighbours(node, index, starts, counts, BLOCK_N: tl.constexpr):
    """Atoms of a node's molecule, and whether they exist and are others, (n,)."""
    molecule = tl.load(index + node)
    begin = tl.load(starts + molecule)
    j = begin + tl.arange(0, BLOCK_N)
    return j, (j < begin + tl.load(counts + molecule)) & (j != node)


@triton.jit
def _columns(
    base, node, present, stride, first,
    H: tl.constexpr, D: tl.constexpr, BLOCK_H: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Columns first, ... of each head of the nodes (n,), (n, h, CHUNK), of rows of H D numbers."""
    h, d = tl.arange(0, BLOCK_H), first + tl.arange(0, CHUNK)
    inside = (h < H)[:, None] & (d < D)[None, :]
    at = base + node[:, None, None] * stride + (h[:, None] * D + d[None, :])[None, :, :]
    mask = present[:, None, None] & inside[None, :, :]
    return tl.load(at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _store_heads(
    base, node, stride, first, rows,
    H: tl.constexpr, D: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Write columns first, ... of each head of one node from (h, BLOCK_D)."""
    h, d = tl.arange(0, BLOCK_H), first + tl.arange(0, BLOCK_D)
    inside = (h < H)[:, None] & (d < D)[None, :]
    tl.store(base + node * stride + h[:, None] * D + d[None, :], rows, mask=inside)


@triton.jit
def _add_products(
    total, left, left_node, left_present, left_stride, right, right_node, right_present,
    right_stride, scale,
    H: tl.constexpr, W: tl.constexpr, BLOCK_H: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """``total`` (n, h) plus the scaled inner products of the heads of two sets of nodes.

    One of the sets may be a single node.
    """
    for first in range(0, W, CHUNK):
        a = _columns(left, left_node, left_present, left_stride, first, H, W, BLOCK_H, CHUNK)
        b = _columns(right, right_node, right_present, right_stride, first, H, W, BLOCK_H, CHUNK)
        total += scale * tl.sum(a * b, 2)
    return total


@triton.jit
def _store_sums(
    to, node, weights, base, j, present, stride, scale,
    H: tl.constexpr, W: tl.constexpr, BLOCK_H: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Write the row of a node (H W): the weighted (n, h) and scaled sums of the rows of nodes j."""
    for first in range(0, W, CHUNK):
        rows = _columns(base, j, present, stride, first, H, W, BLOCK_H, CHUNK)
        total = scale * tl.sum(weights[:, :, None] * rows, 0)
        _store_heads(to, node, H * W, first, total, H, W, BLOCK_H, CHUNK)


@triton.jit
def _head_scalars(base, node, present, H: tl.constexpr, BLOCK_H: tl.constexpr):
    """One number a head of the nodes (n,), (n, h)."""
    h = tl.arange(0, BLOCK_H)
    mask = present[:, None] & (h < H)[None, :]
    return tl.load(base + node[:, None] * H + h[None, :], mask=mask, other=0.0)


@triton.jit
def _pair_rows(base, node, present, stride, P: tl.constexpr):
    """Rows of P numbers of the nodes (n,), (n, p)."""
    at = base + node[:, None] * stride + tl.arange(0, P)[None, :]
    return tl.load(at, mask=present[:, None], other=0.0).to(tl.float32)


@triton.jit
def _differences(x, node, j, present):
    """x_i - x_j, (n, a), and its length, (n,)."""
    axis = tl.arange(0, 4)
    here = tl.load(x + 3 * node + axis, mask=axis < 3, other=0.0)
    mask = present[:, None] & (axis < 3)[None, :]
    there = tl.load(x + 3 * j[:, None] + axis[None, :], mask=mask, other=0.0)
    difference = here[None, :] - there
    return difference, tl.sqrt(tl.sum(difference * difference, 1) + 1e-8)


@triton.jit
def _grid_offsets(distance):
    """How far distances are from the centres of the Gaussians, in their spacing, (n, r)."""
    place = tl.log(1.0 + distance) / _SPACING
    return place[:, None] - tl.arange(0, _R).to(tl.float32)[None, :]


@triton.jit
def _gaussians(offset):
    return tl.exp(-0.5 * offset * offset)


@triton.jit
def _mix(z, distance, base, P: tl.constexpr, PRECISION: tl.constexpr):
    """z (n, p) plus C or D times the radial features."""
    weights = tl.load(base + tl.arange(0, _R)[:, None] + tl.arange(0, P)[None, :] * _R)
    return dot(_gaussians(_grid_offsets(distance)), weights, z, PRECISION)


@triton.jit
def _matrix(base, H: tl.constexpr, P: tl.constexpr, BLOCK_H: tl.constexpr):
    """L, G, or the gradient of one atom's pair sums, (h, p)."""
    h = tl.arange(0, BLOCK_H)
    at = base + h[:, None] * P + tl.arange(0, P)[None, :]
    return tl.load(at, mask=(h < H)[:, None], other=0.0)


@triton.jit
def _read(p, weights, PRECISION: tl.constexpr):
    """``p weights^T``: (n, h) from (n, p) and (h, p)."""
    weights = tl.trans(weights)
    return dot(p, weights, tl.zeros((p.shape[0], weights.shape[1]), tl.float32), PRECISION)


@triton.jit(do_not_specialize=["first_node"])
def forward_kernel(
    q, k, v, own, other, x, x0, index, starts, counts, radial, radial_input, logits, gates,
    told, first_pairs, values, pairs, vectors, log_sums,
    first_node, node_stride, pair_stride, scale,
    H: tl.constexpr, W: tl.constexpr, P: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
    TOLD: tl.constexpr,
):  # fmt: skip
    """The sums of `pair_attention` and ``log_sums``, l of each atom and head, (A, H).

    One program an atom, from ``first_node`` on; molecules have at most BLOCK_N atoms. Rows of q, k
    and v are ``node_stride`` apart, those of own and other ``pair_stride``.
    """
    node = first_node + tl.program_id(0).to(tl.int64)
    j, present = _neighbours(node, index, starts, counts, BLOCK_N)
    here = node + tl.zeros((1,), tl.int64)
    always = here >= 0
    difference, distance = _differences(x, node, j, present)
    _, distance_0 = _differences(x0, node, j, present)
    z = _pair_rows(own, here, always, pair_stride, P)
    z += _pair_rows(other, j, present, pair_stride, P)
    if TOLD:
        places = pair_places(node, here, j, index, starts, counts, first_pairs)
        z += _pair_rows(told, places, present, P, P)
    z = _mix(z, distance, radial, P, PRECISION)
    p = silu(_mix(z, distance_0, radial_input, P, PRECISION))

    logit = _add_products(
        _read(p, _matrix(logits, H, P, BLOCK_H), PRECISION),
        q, here, always, node_stride, k, j, present, node_stride, scale,
        H, W, BLOCK_H, CHUNK,
    )  # fmt: skip
    logit = tl.where(present[:, None], logit, _NEVER)
    largest = tl.max(logit, 0)
    a = tl.where(present[:, None], tl.exp(logit - largest[None, :]), 0.0)
    total = tl.sum(a, 0)
    total = tl.where(total == 0.0, 1.0, total)  # an atom that is alone: everything is zero
    a /= total[None, :]
    h = tl.arange(0, BLOCK_H)
    tl.store(log_sums + node * H + h, largest + tl.log(total), mask=h < H)

    _store_sums(values, node, a, v, j, present, node_stride, 1.0, H, W, BLOCK_H, CHUNK)
    pair = dot(tl.trans(a), p, tl.zeros((BLOCK_H, P), tl.float32), PRECISION)
    _store_heads(pairs, node, H * P, 0, pair, H, P, BLOCK_H, P)
    unit = difference / (distance + 1.0)[:, None]
    a *= _read(p, _matrix(gates, H, P, BLOCK_H), PRECISION)
    vector = tl.sum(a[:, :, None] * unit[:, None, :], 0)
    _store_heads(vectors, node, H * 3, 0, vector, H, 3, BLOCK_H, 4)


@triton.jit
def delta_kernel(
    values, pairs, vectors, g_values, g_pairs, g_vectors, deltas, values_stride, pairs_stride,
    H: tl.constexpr, W: tl.constexpr, P: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """``sum_j a_ij da_ij`` of an atom and its heads, (A, H): what came out times its gradient."""
    node = tl.program_id(0).to(tl.int64)
    here = node + tl.zeros((1,), tl.int64)
    yes = here >= 0
    delta = tl.zeros((1, BLOCK_H), tl.float32)
    delta = _add_products(
        delta, values, here, yes, H * W, g_values, here, yes, values_stride, 1.0, H, W, BLOCK_H, 4
    )
    delta = _add_products(
        delta, pairs, here, yes, H * P, g_pairs, here, yes, pairs_stride, 1.0, H, P, BLOCK_H, 4
    )
    delta = _add_products(
        delta, vectors, here, yes, H * 3, g_vectors, here, yes, H * 3, 1.0, H, 3, BLOCK_H, 4
    )
    h = tl.arange(0, BLOCK_H)[None, :]
    tl.store(deltas + node * H + h, delta, mask=h < H)


@triton.jit
def _pair_products(
    p, base, j, present, stride, H: tl.constexpr, P: tl.constexpr, BLOCK_H: tl.constexpr
):
    """Inner products of p (n, p) with each head's row of the nodes j, (n, h)."""
    h = tl.arange(0, BLOCK_H)[None, :]
    products = tl.zeros((p.shape[0], BLOCK_H), tl.float32)
    for head in range(H):
        product = tl.sum(p * _pair_rows(base + head * P, j, present, stride, P), 1)
        products = tl.where(h == head, product[:, None], products)
    return products


@triton.jit
def _weighted_rows(a, base, j, present, stride, H: tl.constexpr, P: tl.constexpr):
    """Sums of the heads' rows of the nodes j, weighted with a (n, h), (n, p)."""
    h = tl.arange(0, a.shape[1])[None, :]
    total = tl.zeros((a.shape[0], P), tl.float32)
    for head in range(H):
        weight = tl.sum(tl.where(h == head, a, 0.0), 1)
        total += weight[:, None] * _pair_rows(base + head * P, j, present, stride, P)
    return total


@triton.jit
def _by_distance(g_z, distance, base, P: tl.constexpr, PRECISION: tl.constexpr):
    """Gradient of the distances (n,) through their radial features."""
    weights = tl.load(base + tl.arange(0, P)[:, None] * _R + tl.arange(0, _R)[None, :])
    g = dot(g_z, weights, tl.zeros((g_z.shape[0], _R), tl.float32), PRECISION)
    offset = _grid_offsets(distance)
    return -tl.sum(g * _gaussians(offset) * offset, 1) / (_SPACING * (1.0 + distance))


@triton.jit
def _store_position(g_x, node, pull, ADD: tl.constexpr):
    """Store or add the sum of the gradients of x_i - x_j, (n, a)."""
    axis = tl.arange(0, 4)
    at, mask, g = g_x + 3 * node + axis, axis < 3, tl.sum(pull, 0)
    if ADD:
        g += tl.load(at, mask=mask, other=0.0)
    tl.store(at, g, mask=mask)


@triton.jit
def _add_matrix(base, a, b, N_ROWS: tl.constexpr, PRECISION: tl.constexpr):
    """Add ``a b`` to a matrix in memory, which has ``N_ROWS`` rows."""
    row, column = tl.arange(0, a.shape[0]), tl.arange(0, b.shape[1])
    at, mask = base + row[:, None] * b.shape[1] + column[None, :], (row < N_ROWS)[:, None]
    tl.store(at, dot(a, b, tl.load(at, mask=mask, other=0.0), PRECISION), mask=mask)


@triton.jit(do_not_specialize=["first_node", "end_node", "n_each"])
def backward_kernel(
    q, k, v, own, other, x, x0, index, starts, counts, radial, radial_input, logits, gates,
    told, first_pairs, log_sums, deltas, g_values, g_pairs, g_vectors,
    g_q, g_k, g_v, g_own, g_other, g_x, g_x0, g_told, g_radial, g_read,
    first_node, end_node, n_each, node_stride, pair_stride, values_stride, pairs_stride, scale,
    H: tl.constexpr, W: tl.constexpr, P: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
    TOLD: tl.constexpr, AS_CENTRES: tl.constexpr, INPUT_GRADIENTS: tl.constexpr,
):  # fmt: skip
    """Gradients of a program's ``n_each`` atoms as centres of pairs or as neighbours.

    As centres: those of q, own and, with TOLD, of what pairs are told are written, and the
    program's shares of those of C and D are added to ``g_radial`` (programs, 2, P, R), of L and G
    to ``g_read`` (programs, 2, H, P). As neighbours: those of k, v and other. Those of x, and with
    INPUT_GRADIENTS of x0, are written as centres and added to as neighbours.
    """
    g_radial += tl.program_id(0) * 2 * P * _R
    g_read += tl.program_id(0) * 2 * H * P
    feature = tl.arange(0, P)
    node = first_node + tl.program_id(0).to(tl.int64) * n_each
    last = tl.minimum(node + n_each, end_node)
    while node < last:
        j, present = _neighbours(node, index, starts, counts, BLOCK_N)
        here = node + tl.zeros((1,), tl.int64)
        always = here >= 0
        if AS_CENTRES:
            to, to_there, come, come_there = here, always, j, present
        else:
            to, to_there, come, come_there = j, present, here, always
        difference, distance = _differences(x, node, j, present)
        difference_0, distance_0 = _differences(x0, node, j, present)
        z = _pair_rows(own, to, to_there, pair_stride, P)
        z += _pair_rows(other, come, come_there, pair_stride, P)
        if TOLD:
            places = pair_places(node, to, come, index, starts, counts, first_pairs)
            z += _pair_rows(told, places, present, P, P)
        z = _mix(z, distance, radial, P, PRECISION)
        z = _mix(z, distance_0, radial_input, P, PRECISION)
        p = silu(z)
        logit = _read(p, _matrix(logits, H, P, BLOCK_H), PRECISION)
        gate = _read(p, _matrix(gates, H, P, BLOCK_H), PRECISION)
        if AS_CENTRES:
            g_a = _read(p, _matrix(g_pairs + node * pairs_stride, H, P, BLOCK_H), PRECISION)
        else:
            g_a = _pair_products(p, g_pairs, j, present, pairs_stride, H, P, BLOCK_H)
        logit = _add_products(
            logit, q, to, to_there, node_stride, k, come, come_there, node_stride, scale,
            H, W, BLOCK_H, CHUNK,
        )  # fmt: skip
        logit -= _head_scalars(log_sums, to, to_there, H, BLOCK_H)
        a = tl.exp(tl.where(present[:, None], logit, _NEVER))

        # Along x_i - x_j: for the neighbour's sake the vectors are turned round.
        unit = difference / (distance + 1.0)[:, None]
        g_vector = _columns(g_vectors, to, to_there, H * 3, 0, H, 3, BLOCK_H, 4)
        if not AS_CENTRES:
            g_vector = -g_vector
        along = tl.sum(g_vector * unit[:, None, :], 2)
        g_unit = tl.sum((a * gate)[:, :, None] * g_vector, 1)
        g_a = _add_products(
            g_a + gate * along, g_values, to, to_there, values_stride,
            v, come, come_there, node_stride, 1.0, H, W, BLOCK_H, CHUNK,
        )  # fmt: skip
        g_logit = a * (g_a - _head_scalars(deltas, to, to_there, H, BLOCK_H))
        g_gate = a * along
        if AS_CENTRES:
            g_pair = _matrix(g_pairs + node * pairs_stride, H, P, BLOCK_H)
            g_p = dot(a, g_pair, tl.zeros((BLOCK_N, P), tl.float32), PRECISION)
        else:
            g_p = _weighted_rows(a, g_pairs, j, present, pairs_stride, H, P)
        g_p = dot(g_logit, _matrix(logits, H, P, BLOCK_H), g_p, PRECISION)
        g_p = dot(g_gate, _matrix(gates, H, P, BLOCK_H), g_p, PRECISION)
        g_z = g_p * silu_slope(z)
        if AS_CENTRES:
            _store_sums(g_q, node, g_logit, k, j, present, node_stride, scale, H, W, BLOCK_H, CHUNK)
            tl.store(g_own + node * P + feature, tl.sum(g_z, 0))
            if TOLD:
                at = g_told + places[:, None] * P + feature[None, :]
                tl.store(at, g_z, mask=present[:, None])
            _add_matrix(g_read, tl.trans(g_logit), p, H, PRECISION)
            _add_matrix(g_read + H * P, tl.trans(g_gate), p, H, PRECISION)
            r = _gaussians(_grid_offsets(distance))
            _add_matrix(g_radial, tl.trans(g_z), r, P, PRECISION)
            r = _gaussians(_grid_offsets(distance_0))
            _add_matrix(g_radial + P * _R, tl.trans(g_z), r, P, PRECISION)
        else:
            _store_sums(g_k, node, g_logit, q, j, present, node_stride, scale, H, W, BLOCK_H, CHUNK)
            _store_sums(
                g_v, node, a, g_values, j, present, values_stride, 1.0, H, W, BLOCK_H, CHUNK
            )
            tl.store(g_other + node * P + feature, tl.sum(g_z, 0))

        inverse = 1.0 / (distance + 1.0)
        g = _by_distance(g_z, distance, radial, P, PRECISION) - tl.sum(g_unit * unit, 1) * inverse
        pull = g_unit * inverse[:, None] + (g / distance)[:, None] * difference
        _store_position(g_x, node, pull, not AS_CENTRES)
        if INPUT_GRADIENTS:
            g = _by_distance(g_z, distance_0, radial_input, P, PRECISION) / distance_0
            _store_position(g_x0, node, g[:, None] * difference_0, not AS_CENTRES)
        node += 1
        tl.debug_barrier()  # the next atom adds to the same shares, maybe by other threads

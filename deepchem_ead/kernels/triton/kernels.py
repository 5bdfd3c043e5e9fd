"""The edge functions of the EGNN as Triton kernels.

Notation of `deepchem_ead.kernels.edge_weights`: for a pair e = (i, j)::

    a = u_i + v_j + d2 c_d + d2_0 c_0,  h = silu(a),  z = w2 h + b2,  m = silu(z),  s = w_out . m

A tile is up to ``BLOCK_E`` pairs; all F features of z stay in registers. Sums over a molecule are
made by one program each in a fixed order, so no kernel needs atomic operations and results are
reproducible.
"""

from __future__ import annotations

import triton
import triton.language as tl

from deepchem_ead.kernels.triton.elementary import dot, silu, silu_slope


@triton.jit
def _tanh(x):
    """Also relatively exact near zero, where new networks are."""
    y = x * x
    series = x * (1.0 - y * (1.0 / 3.0 - y * (2.0 / 15.0 - y * (17.0 / 315.0 - y * 62.0 / 2835.0))))
    decay = tl.exp(-2.0 * tl.abs(x))
    large = (1.0 - decay) / (1.0 + decay)
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0.0, -large, large))


@triton.jit
def _difference(x, i, j, axis):
    return tl.load(x + 3 * i + axis) - tl.load(x + 3 * j + axis)


@triton.jit
def _squared_distance(x, i, j):
    d = _difference(x, i, j, 0)
    square = d * d
    d = _difference(x, i, j, 1)
    square += d * d
    d = _difference(x, i, j, 2)
    return square + d * d


@triton.jit
def _pre_activation(u, v, c_d, c_0, i, j, d2, d2_0, k, F: tl.constexpr):
    """a of a tile's pairs, (BLOCK_E, BLOCK_K), for the features k (all below F)."""
    a = tl.load(u + i[:, None] * F + k[None, :]) + tl.load(v + j[:, None] * F + k[None, :])
    a += d2[:, None] * tl.load(c_d + k)[None, :]
    return a + d2_0[:, None] * tl.load(c_0 + k)[None, :]


@triton.jit
def forward_kernel(
    u, v, x, x0, first, second, tile_edges, tile_nodes,
    c_d, c_0, w2, b2, w_out, b_out, out,
    coords_range, norm_constant,
    F: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_C: tl.constexpr, N_BLOCKS: tl.constexpr, ATTENTION: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Sums over the pairs of a tile's centre atoms: messages (A, F) or displacements (A, 3).

    A tile holds all pairs of up to BLOCK_C consecutive centre atoms, at most N_BLOCKS times
    BLOCK_E; N_BLOCKS is 1 unless a single centre atom has more pairs than BLOCK_E. ``w2`` has the
    type the matrix products are made in.
    """
    tile = tl.program_id(0)
    node, end_node = tl.load(tile_nodes + tile), tl.load(tile_nodes + tile + 1)
    begin, end = tl.load(tile_edges + tile), tl.load(tile_edges + tile + 1)
    f, c = tl.arange(0, BLOCK_F), tl.arange(0, BLOCK_C)
    inside = f < F
    if ATTENTION:
        total = tl.zeros((BLOCK_C, BLOCK_F), tl.float32)
    else:
        total_x = tl.zeros((BLOCK_C,), tl.float32)
        total_y = tl.zeros((BLOCK_C,), tl.float32)
        total_z = tl.zeros((BLOCK_C,), tl.float32)
    for block in range(N_BLOCKS):
        e = begin + block * BLOCK_E + tl.arange(0, BLOCK_E)
        present = e < end
        i = tl.load(first + e, mask=present, other=0)
        j = tl.load(second + e, mask=present, other=0)
        d2, d2_0 = _squared_distance(x, i, j), _squared_distance(x0, i, j)
        z = tl.zeros((BLOCK_E, BLOCK_F), tl.float32)
        for k0 in range(0, F, BLOCK_K):
            k = k0 + tl.arange(0, BLOCK_K)
            h = silu(_pre_activation(u, v, c_d, c_0, i, j, d2, d2_0, k, F))
            w = tl.load(w2 + f[:, None] * F + k[None, :], mask=inside[:, None], other=0.0)
            z = dot(h.to(w.dtype), tl.trans(w), z, PRECISION)
        z += tl.load(b2 + f, mask=inside, other=0.0)[None, :]
        m = silu(z)
        score = tl.sum(m * tl.load(w_out + f, mask=inside, other=0.0)[None, :], 1)
        own = (i[None, :] - node == c[:, None]) & present[None, :]
        if ATTENTION:
            m *= tl.sigmoid(score + tl.load(b_out))[:, None]
            kind = w2.dtype.element_ty
            total = dot(own.to(tl.float32).to(kind), m.to(kind), total, PRECISION)
        else:
            pull = _tanh(score) * coords_range / (tl.sqrt(d2 + 1e-8) + norm_constant)
            pull = tl.where(own, pull[None, :], 0.0)
            total_x += tl.sum(pull * _difference(x, i, j, 0)[None, :], 1)
            total_y += tl.sum(pull * _difference(x, i, j, 1)[None, :], 1)
            total_z += tl.sum(pull * _difference(x, i, j, 2)[None, :], 1)
    centre = node + c
    if ATTENTION:
        mask = (centre < end_node)[:, None] & inside[None, :]
        tl.store(out + centre[:, None] * F + f[None, :], total, mask=mask)
    else:
        tl.store(out + 3 * centre, total_x, mask=centre < end_node)
        tl.store(out + 3 * centre + 1, total_y, mask=centre < end_node)
        tl.store(out + 3 * centre + 2, total_z, mask=centre < end_node)


@triton.jit(do_not_specialize=["begin", "end"])
def backward_kernel(
    u, v, x, x0, first, second, c_d, c_0, w2, b2, w_out, b_out, g_out,
    h_pairs, g_z_pairs, g_a_pairs, g_x_pairs, g_x0_pairs, g_weights, g_b_out,
    begin, end, coords_range, norm_constant,
    F: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK_K: tl.constexpr,
    ATTENTION: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the pairs begin..end-1, one tile of BLOCK_E pairs a program.

    Writes, for pair e at row e - begin: h and the gradients of z and a, (n, F); the gradients of
    x_i - x_j and x0_i - x0_j, (n, 3). And for each tile its share of the gradients of c_d, c_0, b2
    and w_out, (tiles, 4, F), and of b_out, (tiles,).
    """
    tile = tl.program_id(0)
    row = tile * BLOCK_E + tl.arange(0, BLOCK_E)
    present = begin + row < end
    i = tl.load(first + begin + row, mask=present, other=0).to(tl.int32)
    j = tl.load(second + begin + row, mask=present, other=0).to(tl.int32)
    f = tl.arange(0, BLOCK_F)
    inside = f < F
    stored = present[:, None] & inside[None, :]
    kind = w2.dtype.element_ty
    row = row.to(tl.int64)

    d2, d2_0 = _squared_distance(x, i, j), _squared_distance(x0, i, j)
    z = tl.zeros((BLOCK_E, BLOCK_F), tl.float32)
    for k0 in range(0, F, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        h = silu(_pre_activation(u, v, c_d, c_0, i, j, d2, d2_0, k, F)).to(kind)
        tl.store(h_pairs + row[:, None] * F + k[None, :], h, mask=present[:, None])
        w = tl.load(w2 + f[:, None] * F + k[None, :], mask=inside[:, None], other=0.0)
        z = dot(h, tl.trans(w), z, PRECISION)
    z += tl.load(b2 + f, mask=inside, other=0.0)[None, :]
    m = silu(z)
    read_out = tl.load(w_out + f, mask=inside, other=0.0)
    score = tl.sum(m * read_out[None, :], 1)
    shares = g_weights + tile * 4 * F
    if ATTENTION:
        gate = tl.sigmoid(score + tl.load(b_out))
        g_rows = g_out + i[:, None] * F + f[None, :]
        g_score = tl.sum(tl.load(g_rows, mask=stored, other=0.0) * m, 1) * gate * (1.0 - gate)
        direct = 0.0 * d2
        g_d2 = 0.0 * d2
        tl.store(g_b_out + tile, tl.sum(g_score, 0))
    else:
        gate = _tanh(score)
        along = tl.load(g_out + 3 * i) * _difference(x, i, j, 0)
        along += tl.load(g_out + 3 * i + 1) * _difference(x, i, j, 1)
        along += tl.load(g_out + 3 * i + 2) * _difference(x, i, j, 2)
        distance = tl.sqrt(d2 + 1e-8)
        scale = coords_range / (distance + norm_constant)
        along = tl.where(present, along * scale, 0.0)
        g_score = along * (1.0 - gate * gate)
        direct = gate * scale
        g_d2 = -0.5 * gate * along / ((distance + norm_constant) * distance)
    tl.store(shares + 3 * F + f, tl.sum(m * g_score[:, None], 0), mask=inside)
    g_z = g_score[:, None] * read_out[None, :]
    if ATTENTION:  # read again: registers hold z and little more
        g_z += tl.load(g_rows, mask=stored, other=0.0) * gate[:, None]
    g_z *= silu_slope(z)
    tl.store(shares + 2 * F + f, tl.sum(g_z, 0), mask=inside)
    g_z = g_z.to(kind)
    tl.store(g_z_pairs + row[:, None] * F + f[None, :], g_z, mask=stored)

    g_d2_0 = 0.0 * d2
    for k0 in range(0, F, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        w = tl.load(w2 + f[:, None] * F + k[None, :], mask=inside[:, None], other=0.0)
        g_h = dot(g_z, w, tl.zeros((BLOCK_E, BLOCK_K), tl.float32), PRECISION)
        a = _pre_activation(u, v, c_d, c_0, i, j, d2, d2_0, k, F)
        g_a = g_h * silu_slope(a)
        tl.store(g_a_pairs + row[:, None] * F + k[None, :], g_a.to(kind), mask=present[:, None])
        g_d2 += tl.sum(g_a * tl.load(c_d + k)[None, :], 1)
        g_d2_0 += tl.sum(g_a * tl.load(c_0 + k)[None, :], 1)
        tl.store(shares + k, tl.sum(g_a * d2[:, None], 0))
        tl.store(shares + F + k, tl.sum(g_a * d2_0[:, None], 0))

    for axis in tl.static_range(3):
        g = 2.0 * g_d2 * _difference(x, i, j, axis)
        if not ATTENTION:
            g += direct * tl.load(g_out + 3 * i + axis)
        tl.store(g_x_pairs + 3 * row + axis, g, mask=present)
        g = 2.0 * g_d2_0 * _difference(x0, i, j, axis)
        tl.store(g_x0_pairs + 3 * row + axis, g, mask=present)


@triton.jit(do_not_specialize=["first_node", "begin"])
def node_kernel(
    g_a_pairs, g_x_pairs, g_x0_pairs, reverse, rows, g_u, g_v, g_x, g_x0, first_node, begin,
    F: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_E: tl.constexpr, N_BLOCKS: tl.constexpr,
):  # fmt: skip
    """Sums over the pairs that start and end at a node, one program a node.

    ``rows`` (A + 1,) holds the first pair of each node, ``reverse`` the place of pair (j, i). No
    node has more than N_BLOCKS times BLOCK_E pairs.
    """
    node = first_node + tl.program_id(0)
    start, end = tl.load(rows + node), tl.load(rows + node + 1)
    f = tl.arange(0, BLOCK_F)
    axis = tl.arange(0, 4)
    sum_u, sum_v = tl.zeros((BLOCK_F,), tl.float32), tl.zeros((BLOCK_F,), tl.float32)
    sum_x, sum_x0 = tl.zeros((4,), tl.float32), tl.zeros((4,), tl.float32)
    for block in range(N_BLOCKS):
        e = start + block * BLOCK_E + tl.arange(0, BLOCK_E)
        present = e < end
        to = (e - begin)[:, None]
        back = (tl.load(reverse + e, mask=present, other=0) - begin)[:, None]
        mask = present[:, None] & (f < F)[None, :]
        sum_u += tl.sum(tl.load(g_a_pairs + to * F + f[None, :], mask, 0.0).to(tl.float32), 0)
        sum_v += tl.sum(tl.load(g_a_pairs + back * F + f[None, :], mask, 0.0).to(tl.float32), 0)
        mask = present[:, None] & (axis < 3)[None, :]
        pull = tl.load(g_x_pairs + 3 * to + axis[None, :], mask, 0.0)
        sum_x += tl.sum(pull - tl.load(g_x_pairs + 3 * back + axis[None, :], mask, 0.0), 0)
        pull = tl.load(g_x0_pairs + 3 * to + axis[None, :], mask, 0.0)
        sum_x0 += tl.sum(pull - tl.load(g_x0_pairs + 3 * back + axis[None, :], mask, 0.0), 0)
    tl.store(g_u + node * F + f, sum_u, mask=f < F)
    tl.store(g_v + node * F + f, sum_v, mask=f < F)
    tl.store(g_x + 3 * node + axis, sum_x, mask=axis < 3)
    tl.store(g_x0 + 3 * node + axis, sum_x0, mask=axis < 3)


@triton.jit(do_not_specialize=["n_pairs"])
def weight_kernel(
    g_z_pairs, h_pairs, shares, n_pairs,
    F: tl.constexpr, BLOCK: tl.constexpr, BLOCK_E: tl.constexpr, N_BLOCKS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Shares of the gradient of w2, ``sum_e g_z[e] h[e]^T``: (splits, F, F).

    A split is N_BLOCKS times BLOCK_E pairs, the last one fewer.
    """
    blocks: tl.constexpr = (F + BLOCK - 1) // BLOCK
    split = tl.program_id(1)
    f = (tl.program_id(0) // blocks) * BLOCK + tl.arange(0, BLOCK)
    k = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for block in range(N_BLOCKS):
        e = (split * N_BLOCKS + block) * BLOCK_E + tl.arange(0, BLOCK_E)
        present = (e < n_pairs)[:, None]
        row = e.to(tl.int64)[:, None] * F
        g = tl.load(g_z_pairs + row + f[None, :], present & (f < F)[None, :], 0.0)
        h = tl.load(h_pairs + row + k[None, :], present & (k < F)[None, :], 0.0)
        total = dot(tl.trans(g), h, total, PRECISION)
    place = shares + split.to(tl.int64) * F * F + f[:, None] * F + k[None, :]
    tl.store(place, total, mask=(f < F)[:, None] & (k < F)[None, :])

"""EGNN's edge functions in PyTorch: dense, without padding and self pairs, hand-written backward.

Both functions run one edge network (``EdgeWeights``) on all ordered pairs of each molecule. The
network's first linear map arrives factored, as node values u and v plus two rank-one terms. Pairs
are worked off in chunks whose arrays stay in the processor's cache; one of three activations is
kept for the backward, the others are computed again, which costs less than fetching them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.pairs import Chunk, Pairs, pair_differences

# Values in one activation array of a chunk: 1.25 MiB of float32, so that the three or four arrays
# in use stay in the second and third level caches.
CHUNK_VALUES = 5 * 2**16
# On a GPU, which chunks have to fill: 128 MiB.
GPU_CHUNK_VALUES = 2**25
# Largest pre-activation array kept for a backward; beyond, it is computed again, so that memory
# grows with the number of atoms only.
SAVED_BYTES = 128 * 2**20
# Without gradients, work in blocks of exactly this many values (rows x features), the last rows
# being idle. Libraries choose how to round by the shape of what they are given (and vectorised
# functions treat the end of an array, or of a thread's share, differently: 122,880 splits evenly
# by 32 for up to 4 threads, and more are not used for so few). With one shape for all, an atom's
# result does not depend on the rest of the batch, to the last bit.
BLOCK_VALUES = 122_880
MAX_BLOCK_ROWS = 1920
FIXED_BLOCKS = True

_silu_backward = torch.ops.aten.silu_backward.grad_input


class _EdgeNetwork(torch.autograd.Function):
    """The edge network over all pairs; returns summed messages or one tanh(score) per pair."""

    @staticmethod
    def forward(
        ctx, u, v, d2, d2_0, c_d, c_0, w2, b2, w_out, b_out, pairs: Pairs, saving: bool, heard=None,
        told=None, w_told=None,
    ) -> Tensor:  # fmt: skip
        attention = b_out is not None
        n_edges, width = pairs.n_edges, u.shape[1]
        distances = torch.stack([d2, d2_0], 1)
        columns = torch.stack([c_d, c_0])
        if told is not None:
            distances = torch.cat([distances, told], 1)
            columns = torch.cat([columns, w_told.t()])
        u, doubled = u.contiguous(), v.index_select(0, pairs.doubled)
        on_cpu = u.device.type == "cpu"
        fixed = FIXED_BLOCKS and on_cpu and not saving
        if fixed:
            longest = max(min(BLOCK_VALUES // width, MAX_BLOCK_ROWS), pairs.longest_row)
            chunks = pairs.chunks(longest, fill=True)
            distances = torch.nn.functional.pad(distances, (0, 0, 0, longest))
        else:
            values = CHUNK_VALUES if on_cpu else GPU_CHUNK_VALUES
            chunks = pairs.chunks(max(values // width, 1), fill=False)
            longest = max((c.n_edges for c in chunks), default=0)
        keep = saving and n_edges * width * u.element_size() <= SAVED_BYTES
        kept = u.new_empty(n_edges, width) if keep else None
        work = u.new_zeros(2, longest, width)
        scores = u.new_empty(n_edges)
        out = u.new_zeros(u.shape) if attention else scores
        score_work = u.new_empty(longest)
        for chunk in chunks:
            n = longest if fixed else chunk.n_edges
            hidden = _first_layer(work[0, :n], u, doubled, distances, columns, chunk)
            torch.nn.functional.silu(hidden, inplace=True)
            z = work[1, :n] if kept is None else kept[chunk.edges]
            torch.addmm(b2, hidden, w2.t(), out=z)
            message = torch.ops.aten.silu.out(z, out=hidden)
            score = torch.mv(message, w_out, out=score_work[:n])
            score = score.add_(b_out).sigmoid_() if attention else score.tanh_()
            if heard is not None:
                score[: chunk.n_edges].mul_(heard[chunk.edges])
            scores[chunk.edges] = score[: chunk.n_edges]
            if attention:
                for piece in chunk.pieces:
                    rows = piece.n_molecules * piece.n_rows
                    torch.bmm(
                        score[piece.edges].view(rows, 1, -1),
                        message[piece.edges].view(rows, -1, width),
                        out=out[piece.nodes].view(rows, 1, width),
                    )
        if saving:
            ctx.save_for_backward(u, doubled, distances, columns, w2, b2, w_out, scores, kept)
            ctx.pairs, ctx.chunks, ctx.longest, ctx.attention = pairs, chunks, longest, attention
            ctx.heard, ctx.told = heard, told is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, g_out: Tensor):
        u, doubled, distances, columns, w2, b2, w_out, scores, kept = ctx.saved_tensors
        pairs, width = ctx.pairs, u.shape[1]
        g_out = g_out.contiguous()
        g_u, g_doubled = torch.zeros_like(u), torch.zeros_like(doubled)
        g_distances, g_columns = torch.empty_like(distances), torch.zeros_like(columns)
        g_w2, g_b2, g_w_out = (torch.zeros_like(w) for w in (w2, b2, w_out))
        g_b_out = u.new_zeros(1)
        work = u.new_empty(4, ctx.longest, width)
        for chunk in ctx.chunks:
            n = chunk.n_edges
            pre = _first_layer(work[0, :n], u, doubled, distances, columns, chunk)
            hidden = torch.ops.aten.silu.out(pre, out=work[1, :n])
            if kept is None:
                z = torch.addmm(b2, hidden, w2.t(), out=work[3, :n])
            else:
                z = kept[chunk.edges]
            message = torch.ops.aten.silu.out(z, out=work[2, :n])
            score = scores[chunk.edges]
            if not ctx.attention:
                g_score = g_out[chunk.edges] * (1 - score * score)
                if ctx.heard is not None:
                    g_score *= ctx.heard[chunk.edges]
                g_w_out.addmv_(message.t(), g_score)
                g = torch.outer(g_score, w_out, out=message)
            else:
                g_score = _attention_backward(message, score, g_out, w_out, g_w_out, chunk)
                g_b_out += g_score.sum()
                g = message
            _silu_backward(g, z, grad_input=g)
            g_b2 += g.sum(0)
            g_w2.addmm_(g.t(), hidden)
            g = torch.mm(g, w2, out=hidden)
            _silu_backward(g, pre, grad_input=g)
            torch.mm(g, columns.t(), out=g_distances[chunk.edges])
            g_columns.addmm_(distances[chunk.edges].t(), g)
            for piece in chunk.pieces:
                block = g[piece.edges].view(piece.n_molecules, piece.n_rows, -1, width)
                rows = g_u[piece.nodes].view(piece.n_molecules, piece.n_rows, width)
                torch.sum(block, 2, out=rows)
                windows = piece.windows(g_doubled)
                for row in range(piece.n_rows):  # the windows overlap
                    windows[:, row] += block[:, row]
        g_v = torch.zeros_like(u)
        for group in pairs.groups:
            start = 2 * group.first_node
            twice = g_doubled[start : start + 2 * group.size * group.n_molecules]
            twice = twice.view(group.n_molecules, 2, group.size, width)
            torch.sum(twice, 1, out=g_v[group.nodes].view(-1, group.size, width))
        return (
            g_u, g_v, g_distances[:, 0], g_distances[:, 1], g_columns[0], g_columns[1],
            g_w2, g_b2, g_w_out, g_b_out if ctx.attention else None, None, None, None,
            *((g_distances[:, 2:], g_columns[2:].t()) if ctx.told else (None, None)),
        )  # fmt: skip


def _first_layer(
    pre: Tensor, u: Tensor, doubled: Tensor, distances: Tensor, columns: Tensor, chunk: Chunk
) -> Tensor:
    """Write the pre-activations u_i + v_j + d2_ij c_d + d2_0,ij c_0 of a chunk's pairs to ``pre``.

    Rows of ``pre`` beyond the chunk are idle: they receive numbers that nobody reads.
    """
    width = u.shape[1]
    for piece in chunk.pieces:
        block = pre[piece.edges].view(piece.n_molecules, piece.n_rows, -1, width)
        centres = u[piece.nodes].view(piece.n_molecules, piece.n_rows, 1, width)
        torch.add(centres, piece.windows(doubled), out=block)
    start = chunk.edges.start
    return pre.addmm_(distances[start : start + len(pre)], columns)


def _attention_backward(
    message: Tensor, attention: Tensor, g_out: Tensor, w_out: Tensor, g_w_out: Tensor, chunk: Chunk
) -> Tensor:
    """Overwrite messages m with the gradient s g_i + g_score w_out; return g_score.

    s = sigmoid(w_out . m + b_out), g_score = (g_i . m) s (1 - s).
    """
    width = message.shape[1]
    g_score = torch.empty_like(attention)
    for piece in chunk.pieces:
        rows = piece.n_molecules * piece.n_rows
        torch.bmm(
            message[piece.edges].view(rows, -1, width),
            g_out[piece.nodes].view(rows, width, 1),
            out=g_score[piece.edges].view(rows, -1, 1),
        )
    g_score *= attention * (1 - attention)
    g_w_out.addmv_(message.t(), g_score)
    torch.outer(g_score, w_out, out=message)
    for piece in chunk.pieces:
        rows = piece.n_molecules * piece.n_rows
        message[piece.edges].view(rows, -1, width).baddbmm_(
            attention[piece.edges].view(rows, -1, 1), g_out[piece.nodes].view(rows, 1, width)
        )
    return g_score


def _edge_network(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    pairs: Pairs,
    weights: EdgeWeights,
    heard: Tensor | None,
    told: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    difference, d2 = pair_differences(x, pairs)
    d2_0 = d2 if x0 is x else pair_differences(x0, pairs)[1]
    inputs = (u, v, d2, d2_0, *weights)
    columns = told or (None, None)
    learned = (*inputs, *columns)
    saving = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in learned)
    return _EdgeNetwork.apply(*inputs, pairs, saving, heard, *columns), difference, d2


def messages(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    heard: Tensor | None = None,
    told: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""Sum of the attention-weighted messages that reach each atom.

    .. math:: \sum_{j \ne i} \sigma(w_{out} \cdot m_{ij} + b_{out})\, m_{ij}

    (The layer of EDM, Hoogeboom et al., arXiv:2203.17003, with attention.)

    Parameters
    ----------
    u, v : Tensor, (A, F)
        First linear map of the receiving and the sending atom; u includes the bias.
    x, x0 : Tensor, (A, 3)
        Current coordinates and the network's input coordinates.
    layout : AtomLayout
        Which atoms form a molecule.
    weights : EdgeWeights
        The edge network; ``b_out`` is required.
    heard : Tensor, (E,), optional
        1 for the pairs (i, j) of `Pairs` whose message counts, 0 for the others.
    told : tuple of Tensor, (E, W) and (F, W), optional
        Further columns of each pair, and what the first map multiplies them with.

    Returns
    -------
    Tensor, (A, F)
        Zero for the atom of a one-atom molecule. Differentiable once, with respect to every
        floating-point argument.
    """
    return _edge_network(u, v, x, x0, Pairs.of(layout), weights, heard, told)[0]


def coordinate_updates(
    u: Tensor,
    v: Tensor,
    x: Tensor,
    x0: Tensor,
    layout: AtomLayout,
    weights: EdgeWeights,
    coords_range: float = 15.0,
    norm_constant: float = 1.0,
    heard: Tensor | None = None,
    told: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""Displacement of each atom along its relative vectors.

    .. math:: \sum_{j \ne i} r \tanh(w_{out} \cdot m_{ij})
              \frac{x_i - x_j}{\sqrt{d_{ij}^2 + 10^{-8}} + c}

    with r = ``coords_range`` (Angstrom) and c = ``norm_constant`` (the layer of
    EDM, arXiv:2203.17003; the 1e-8 keeps the gradient of coincident atoms finite).

    Parameters and gradients as in `messages`, with ``weights.b_out`` None.

    Returns
    -------
    Tensor, (A, 3)
    """
    pairs = Pairs.of(layout)
    scores, difference, d2 = _edge_network(u, v, x, x0, pairs, weights, heard, told)
    factors = scores * coords_range / (torch.sqrt(d2 + 1e-8) + norm_constant)
    return torch.zeros_like(x).index_add(0, pairs.first, factors.unsqueeze(1) * difference)

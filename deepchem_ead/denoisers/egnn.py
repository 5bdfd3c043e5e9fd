"""EGNN, the equivariant graph network of EDM, on flat atoms without padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from deepchem_ead.denoisers.base import (
    DENOISERS,
    DenoiserNetwork,
    DenoiserOptions,
    InputColumns,
)
from deepchem_ead.diffusion import Outputs, Seen
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.egnn_backend import EdgeBackend, native
from deepchem_ead.kernels.pairs import Pairs

# linear(rows, weight, bias=None), whoever computes it.
LinearMap = Callable[..., Tensor]

# Without gradients, node-level maps of the PyTorch path are computed in blocks of exactly this many
# rows (the last one filled up with zeros), so that an atom's result does not depend, to the last
# bit, on how many other atoms are in the batch. None computes all rows at once.
ROWS_PER_BLOCK: int | None = 192


@dataclass(frozen=True)
class EGNNOptions(DenoiserOptions):
    """Options of `EGNN`.

    Attributes
    ----------
    causal_mask : bool
        Nodes do not hear those that are much noisier than they are, and atoms do not hear dummy
        atoms. No kernel does this: PyTorch computes.
    causal_reach : float
        How much noisier is much, as a share of the highest level: 2 C / T, which is the most by
        which levels differ in training (interval 29 of 1000 by default).
    """

    causal_mask: bool = False
    causal_reach: float = 0.058

    def __post_init__(self) -> None:
        if not 0 <= self.causal_reach <= 1:
            raise ValueError(f"causal_reach is a share of all levels, not {self.causal_reach}")


@DENOISERS.register("egnn")
class EGNN(EdgeBackend, DenoiserNetwork):
    r"""E(3)-equivariant denoiser: EDM's network, parameter for parameter.

    Each of the ``n_layers`` blocks updates features, then coordinates::

        m_ij = mlp_e(h_i, h_j, |x_i - x_j|^2, |x0_i - x0_j|^2)
        h_i <- h_i + mlp_h(h_i, sum_j sigmoid(w . m_ij + b) m_ij)
        x_i <- x_i + sum_j r tanh(mlp_x(h_i, h_j, ...)) (x_i - x_j) / (|x_i - x_j| + c)

    between a linear embedding of the input features and a linear read-out (EDM, Hoogeboom et al.,
    arXiv:2203.17003, with inv_sublayers 1, attention, tanh, sum aggregation and normalization
    factor 1). The first linear map of mlp_e and mlp_x is computed per atom, not per pair:
    W (h_i, h_j, d, d0) = W_a h_i + W_b h_j + d c_d + d0 c_0.

    Parameters
    ----------
    in_features, out_features : int
        Invariant features of an atom, read and returned.
    n_layers, n_features : int
        Blocks and hidden width (EDM's QM9 network: 9 and 256).
    coords_range : float
        r, bound of one pair's pull in each block, in the unit of the coordinates.
    norm_constant : float
        c above.
    backend : {"auto", "torch", "native", "triton"}
        Who computes the pairs. "auto" takes the compiled kernel on the CPU and Triton's on a GPU
        where they can run and PyTorch elsewhere; "native" and "triton" insist.
    precision : {"auto", "fp32", "bf16"}
        "auto" is "fp32": exact single precision. "bf16" multiplies matrices of the pairs in
        bfloat16 (in the kernels only) and is never chosen unless asked for. Where the processor
        cannot do that, or only PyTorch computes, it is "fp32" again; ``active_backend`` says so.
    causal_mask, causal_reach
        See `EGNNOptions`. Without ``columns`` only levels are looked at.
    columns : InputColumns, optional
        Columns of pairs, if there are any, enter mlp_e and mlp_x beside the distances, and PyTorch
        computes: no kernel reads them. And where in ``Seen.h`` a dummy atom shows: by its evidence,
        if that is told, a node counts as one where this is likelier than not; else where its noisy
        features say so most.

    Notes
    -----
    The mask ("causal EGNN" in EAD, arXiv:2603.10093, not explained there) sets the terms of both
    sums to zero for the pairs (i, j) with t_j > t_i + ``causal_reach``, and for those of an atom i
    and a dummy j. A pair may be cut in one direction only.

    Without gradients an atom's output is a function of its own molecule alone, bit for bit: a
    molecule gives the same numbers alone and in any batch (same machine, same number of threads,
    same backend). With gradients enabled, and on a GPU, results agree to rounding only.

    Examples
    --------
    >>> import torch
    >>> from deepchem_ead.denoisers import EGNN
    >>> from deepchem_ead.diffusion import AtomLayout, Seen
    >>> layout = AtomLayout.from_counts([3, 5])
    >>> network = EGNN(in_features=6, out_features=5, n_layers=2, n_features=32)
    >>> out = network(Seen(torch.randn(8, 3), torch.randn(8, 6), layout))
    >>> out.dx.shape, out.h.shape
    (torch.Size([8, 3]), torch.Size([8, 5]))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_layers: int,
        n_features: int,
        coords_range: float = 15.0,
        norm_constant: float = 1.0,
        backend: str = "auto",
        precision: str = "auto",
        causal_mask: bool = False,
        causal_reach: float = EGNNOptions.causal_reach,
        columns: InputColumns | None = None,
    ) -> None:
        super().__init__()
        self.causal_mask, self.causal_reach = causal_mask, causal_reach
        self._columns = columns or InputColumns()
        n_pairs = self._columns.n_pair_columns
        self.in_features = in_features
        self.out_features = out_features
        self.n_layers = n_layers
        self.coords_range = coords_range
        self.norm_constant = norm_constant
        self._choose_edges(n_features, backend, precision)
        self.embedding = nn.Linear(in_features, n_features)
        self.blocks = nn.ModuleList(EGNNBlock(n_features, n_pairs) for _ in range(n_layers))
        self.embedding_out = nn.Linear(n_features, out_features)

    Options = EGNNOptions
    reads = frozenset({"levels", "step", "pairs"})
    bytes_per_pair = (8, 130)  # measured on molecules of 500 and 1,000 atoms

    @classmethod
    def build(cls, columns: InputColumns, out_features: int, options: EGNNOptions) -> EGNN:
        # EDM's network has one output more than it uses, and its weights say so.
        return cls(columns.total, out_features + 1, columns=columns, **asdict(options))

    def forward(self, seen: Seen) -> Outputs:
        """Final minus input coordinates (not centred) and features predicted for each atom.

        Raises
        ------
        ValueError
            If the shapes do not fit the layout or the network, or a mask has no levels to go by.
        """
        self._check_shapes(seen, self.in_features)
        x, h, layout = seen.x, seen.h, seen.layout
        precision = self._native_precision(x)
        if precision is not None and not torch.is_grad_enabled():
            return Outputs(*native.evaluate(self, x, h, layout, precision))
        messages, coordinate_updates = self._edge_functions(x)
        if self.causal_mask:
            heard = self._heard(seen).to(x.dtype)
            messages = partial(messages, heard=heard)
            coordinate_updates = partial(coordinate_updates, heard=heard)
        # What feeds the pairs may be rounded like them; what is added to the features may not.
        node_map = linear if precision is None else native.linear
        projection = linear if precision is None else partial(native.linear, precision=precision)
        x0, dx = x, torch.zeros_like(x)
        h = by_rows(self.embedding, h)
        for block in self.blocks:
            message, update = block.message, block.coordinates
            told, told_x = (_told(seen.pairs, part) for part in (message, update))
            u, v = message.project(h, projection)
            received = messages(u, v, x, x0, layout, message.edge_weights(), **told)
            h = message.update(h, received, node_map)
            u, v = update.project(h, projection)
            move = coordinate_updates(
                u, v, x, x0, layout, update.edge_weights(), self.coords_range, self.norm_constant,
                **told_x,
            )  # fmt: skip
            if seen.step is None:
                x = x + move
            else:  # x stays an estimate of the clean molecule
                dx = dx + move
                x = x - seen.step.unsqueeze(1) * move
        return Outputs(x - x0 if seen.step is None else dx, by_rows(self.embedding_out, h))

    def _why_not(self, who: str, device: torch.device, number_format: str) -> str:
        if self.causal_mask:
            return "no kernel leaves out pairs, as causal_mask does"
        if self._columns.n_pair_columns:
            return "no kernel of it reads columns of pairs, as frame='preconditioned' has them"
        return super()._why_not(who, device, number_format)

    def _heard(self, seen: Seen) -> Tensor:
        """Pairs (i, j) of `Pairs` in which i hears j, (E,) bool."""
        if seen.levels is None:
            raise ValueError("causal_mask needs the levels of all nodes: Seen(..., levels=...)")
        pairs = Pairs.of(seen.layout)
        i, j = pairs.first, pairs.second
        # Levels are shares that were rounded: at the reach itself, a pair is heard.
        heard = seen.levels[j] - seen.levels[i] <= self.causal_reach + 1e-9
        dummy = self._looks_like_dummy(seen.h)
        return heard if dummy is None else heard & (dummy[i] | ~dummy[j])

    def _looks_like_dummy(self, h: Tensor) -> Tensor | None:
        """Nodes (A,) that seem to be dummy atoms by their own features; None without such."""
        columns = self._columns
        if (evidence := columns.column("evidence", "dummy")) is not None:
            dummy = h[:, evidence] > 0.5
        elif (feature := columns.column("features", "dummy")) is not None:
            first = columns.slice("features").start  # the types, of which the dummy is the last
            dummy = h[:, first : feature + 1].argmax(1) == feature - first
        else:
            return None
        flag = columns.column("context: fixed size", 0)
        return dummy if flag is None else dummy & (h[:, flag] == 0)


class EGNNBlock(nn.Module):
    """One message pass and one coordinate update."""

    def __init__(self, n_features: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        self.message = MessagePass(n_features, n_pair_columns)
        self.coordinates = CoordinateUpdate(n_features, n_pair_columns)


class MessagePass(nn.Module):
    """Parameters of EDM's graph convolution with attention (``gcl_0`` there)."""

    def __init__(self, n_features: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        f = n_features
        self.edge_mlp = nn.Sequential(
            nn.Linear(2 * f + 2 + n_pair_columns, f), nn.SiLU(), nn.Linear(f, f), nn.SiLU()
        )
        self.node_mlp = nn.Sequential(nn.Linear(2 * f, f), nn.SiLU(), nn.Linear(f, f))
        self.att_mlp = nn.Sequential(nn.Linear(f, 1), nn.Sigmoid())

    def project(self, h: Tensor, linear: LinearMap = linear) -> tuple[Tensor, Tensor]:
        """Node values u (with the bias) and v of the first edge map."""
        return _project(self.edge_mlp[0], h, linear)

    def edge_weights(self) -> EdgeWeights:
        """Parameters behind the first map, as the edge functions take them."""
        attention = self.att_mlp[0]
        return _edge_weights(self.edge_mlp, attention.weight, attention.bias)

    def pair_weights(self) -> Tensor:
        """Columns (F, W) of the first map that multiply columns of pairs."""
        return _pair_weights(self.edge_mlp)

    def update(self, h: Tensor, received: Tensor, linear: LinearMap = linear) -> Tensor:
        """New features of each atom from its own and the messages it received."""
        first, activation, second = self.node_mlp

        def node_update(h: Tensor, received: Tensor) -> Tensor:
            hidden = activation(linear(torch.cat([h, received], 1), first.weight, first.bias))
            return h + linear(hidden, second.weight, second.bias)

        return by_rows(node_update, h, received)


class CoordinateUpdate(nn.Module):
    """Parameters of EDM's coordinate update (``gcl_equiv`` there)."""

    def __init__(self, n_features: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        f = n_features
        last = nn.Linear(f, 1, bias=False)
        # Coordinates start out (almost) unmoved: the network begins near "no noise predicted".
        nn.init.xavier_uniform_(last.weight, gain=0.001)
        self.coord_mlp = nn.Sequential(
            nn.Linear(2 * f + 2 + n_pair_columns, f),
            nn.SiLU(),
            nn.Linear(f, f),
            nn.SiLU(),
            last,
        )

    def project(self, h: Tensor, linear: LinearMap = linear) -> tuple[Tensor, Tensor]:
        """Node values u (with the bias) and v of the first edge map."""
        return _project(self.coord_mlp[0], h, linear)

    def edge_weights(self) -> EdgeWeights:
        """Parameters behind the first map, as the edge functions take them."""
        return _edge_weights(self.coord_mlp, self.coord_mlp[4].weight, None)

    def pair_weights(self) -> Tensor:
        """Columns (F, W) of the first map that multiply columns of pairs."""
        return _pair_weights(self.coord_mlp)


def _project(first: nn.Linear, h: Tensor, linear: LinearMap) -> tuple[Tensor, Tensor]:
    f = first.out_features
    own, other = first.weight[:, : 2 * f].split(f, 1)
    u = by_rows(lambda rows: linear(rows, own, first.bias), h)
    v = by_rows(lambda rows: linear(rows, other), h)
    return u, v


def _edge_weights(mlp: nn.Sequential, w_out: Tensor, b_out: Tensor | None) -> EdgeWeights:
    width = mlp[0].out_features
    c_d, c_0 = mlp[0].weight[:, 2 * width : 2 * width + 2].unbind(1)
    return EdgeWeights(c_d, c_0, mlp[2].weight, mlp[2].bias, w_out[0], b_out)


def _told(pairs: Tensor | None, part: MessagePass | CoordinateUpdate) -> dict[str, Any]:
    """Columns of pairs as an argument of edge functions, which kernels do not have."""
    return {} if pairs is None else {"told": (pairs, part.pair_weights())}


def _pair_weights(mlp: nn.Sequential) -> Tensor:
    return mlp[0].weight[:, 2 * mlp[0].out_features + 2 :]


def by_rows(function: Callable[..., Tensor], *inputs: Tensor, blocks_at_once: int = 1) -> Tensor:
    """Apply a row-wise function; without gradients in blocks of ``ROWS_PER_BLOCK`` rows."""
    if torch.is_grad_enabled() or ROWS_PER_BLOCK is None:
        return function(*inputs)
    n_rows, block = inputs[0].shape[0], blocks_at_once * ROWS_PER_BLOCK
    padding = -n_rows % block
    if padding:
        inputs = tuple(nn.functional.pad(t, [0, 0] * (t.dim() - 1) + [0, padding]) for t in inputs)
    blocks = zip(*(t.split(block) for t in inputs), strict=True)
    return torch.cat([function(*block) for block in blocks])[:n_rows]

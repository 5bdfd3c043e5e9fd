"""A denoiser of the attention family: wide maps per atom, narrow features per pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deepchem_ead.denoisers.base import (
    DENOISERS,
    DenoiserNetwork,
    DenoiserOptions,
    InputColumns,
)
from deepchem_ead.denoisers.egnn import by_rows
from deepchem_ead.denoisers.handedness import N_COLUMNS, Handedness
from deepchem_ead.denoisers.layers import AdaptiveNorm, bounded, condition_network
from deepchem_ead.denoisers.pair_outputs import PairOutputs
from deepchem_ead.diffusion import AtomLayout, Outputs, Seen
from deepchem_ead.kernels.attention_backend import (
    AttentionBackend,
    attention_network,
    pair_outputs,
)
from deepchem_ead.kernels.pair_attention import PairInputs, PairWeights, pair_attention

#: Width of the pair features.
N_PAIR_FEATURES = 32

#: Pairs of vector channels whose inner products the features see.
N_PRODUCTS = 16


@dataclass(frozen=True)
class AttentionOptions(DenoiserOptions):
    """Options of `AttentionDenoiser`.

    Attributes
    ----------
    n_heads : int
        Attention heads; divides ``n_features``.
    """

    n_heads: int = 8


@DENOISERS.register("attention")
class AttentionDenoiser(AttentionBackend, DenoiserNetwork):
    r"""E(3)-equivariant denoiser with distance-biased attention.

    Each of the ``n_layers`` blocks computes, with n_i the normalised features of atom i, modulated
    by its noise level and context, and r(d) Gaussians of log(1 + d)::

        p_ij   = silu(A n_i + B n_j + C r(|x_i - x_j|) + D r(|x0_i - x0_j|) + E pairs_ij)   narrow
        a_ij^h = softmax_j(q_i^h . k_j^h + L^h p_ij)                             over j != i
        o_i    = sum_j a_ij^h (v_j^h, p_ij)                                      invariant
        V_i^h  = sum_j a_ij^h (G^h p_ij) (x_i - x_j) / (|x_i - x_j| + 1)         a vector a head
        h_i   <- h_i + O(o_i, norms and inner products of V_i and x_i - mean x)
        h_i   <- h_i + mlp(h_i)
        x_i   <- x_i - s_i e_i,    e_i = bounded(sum_h w_i^h V_i^h + w_i (x_i - mean x))

    with ``bounded(e) = e / sqrt(1 + |e|^2 / 20^2)``, and returns the sum of the e_i, the predicted
    noise. ``s_i`` is what the frame says (`Seen.step`), or else the atom's sigma, read from column
    ``sigma_column`` of the input features, so that x stays the network's estimate of the clean
    molecule, whose distances mean something; without a column it is 1.

    Parameters
    ----------
    in_features, out_features : int
        Invariant features of an atom, read and returned.
    n_layers, n_features : int
        Blocks and hidden width.
    n_heads : int
        Attention heads; divides ``n_features``.
    sigma_column : int, optional
        Column of the input features that holds sigma.
    precision : {"auto", "fp32", "bf16"}
        "auto" is "fp32". "bf16" multiplies the matrices of atoms in bfloat16; everything about
        pairs and coordinates stays in single precision. On processors that cannot multiply in
        bfloat16 it is "fp32" again, which is faster there; ``active_backend`` says so.
    backend : {"auto", "torch", "native", "triton"}
        "auto" takes the compiled kernel on the CPU and Triton's on a GPU, where they can run, and
        PyTorch elsewhere; the last two insist.
    n_pair_columns : int
        Columns of `Seen.pairs`. Triton's kernels read none: with some, PyTorch computes on a GPU.
    n_pair_outputs : int
        Columns of `Outputs.pairs`, which `PairOutputs` reads from the normalised features after the
        last block, from the estimate of the clean molecule ``x - s dx`` and from what is told of
        pairs: without gradients by the native kernel where it runs, else by PyTorch.
    stereo : bool
        It learns from tags of centres (`Seen.stereo`) by `Handedness`, by PyTorch. Its columns
        stand behind the input features. Reflections act on the tags, too.

    Notes
    -----
    Without gradients an atom's output is a function of its own molecule alone, bit for bit (same
    machine, same backend; PyTorch's path also needs the same number of threads). The native kernel
    keeps that promise with gradients too. On a GPU results agree to rounding only.

    References
    ----------
    The elements are common property: attention biased by pair features and vectors from weighted
    relative positions (for example SemlaFlow, arXiv:2406.07266, and JODO, arXiv:2305.12347),
    adaptive layer norm (DiT, arXiv:2212.09748).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_layers: int,
        n_features: int,
        n_heads: int = 12,
        sigma_column: int | None = None,
        precision: str = "auto",
        backend: str = "auto",
        n_pair_columns: int = 0,
        n_pair_outputs: int = 0,
        stereo: bool = False,
    ) -> None:
        super().__init__()
        self.n_pair_columns = n_pair_columns
        self.n_pair_outputs = n_pair_outputs
        self._choose_kernel(n_features, n_heads, backend, precision)
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads do not divide {n_features} features")
        self.in_features = in_features
        self.out_features = out_features
        self.sigma_column = sigma_column
        n_columns = in_features + N_COLUMNS * stereo
        self.embedding = nn.Linear(n_columns, n_features)
        self.condition = condition_network(n_columns)
        self.blocks = nn.ModuleList(
            AttentionBlock(n_features, n_heads, n_pair_columns) for _ in range(n_layers)
        )
        self.norm_out = AdaptiveNorm(n_features)
        self.embedding_out = nn.Linear(n_features, out_features)
        self.pair_outputs = None
        if n_pair_outputs:
            self.pair_outputs = PairOutputs(n_features, n_pair_outputs, n_pair_columns)
        self.handedness = Handedness(in_features, n_features) if stereo else None

    Options = AttentionOptions
    reads = frozenset({"reference", "step", "pairs", "stereo"})
    writes = frozenset({"pairs"})
    bytes_per_pair = (180, 1300)  # measured on molecules of 500 and 1,000 atoms

    @classmethod
    def build(
        cls,
        columns: InputColumns,
        out_features: int,
        options: AttentionOptions,
        n_pair_outputs: int = 0,
    ) -> AttentionDenoiser:
        # One output more than is used, as the weights that there are have it.
        return cls(
            columns.total,
            out_features + 1,
            sigma_column=columns.sigma,
            n_pair_columns=columns.n_pair_columns,
            n_pair_outputs=n_pair_outputs,
            stereo=columns.stereo,
            **asdict(options),
        )

    def forward(self, seen: Seen) -> Outputs:
        """Predicted noise of positions and features, and what is said about pairs.

        The distances of ``seen.reference`` stand in place of those of the input in all blocks.

        Raises
        ------
        ValueError
            If the shapes do not fit the layout or the network.
        """
        self._check_shapes(seen, self.in_features, self.n_pair_columns)
        x, layout = seen.x, seen.layout
        step = 1.0 if self.sigma_column is None else seen.h[:, self.sigma_column, None]
        step = step if seen.step is None else seen.step.unsqueeze(1)
        first, tagged = None, None
        if self.handedness is not None:
            seen, first, tagged = self.handedness.before(seen, step)
        kernel = self._kernel(x)
        if kernel is not None:
            dx, h_out = attention_network.evaluate(self, seen, kernel)
        else:
            dx, h_out = self._evaluate(seen, step)
        h_out, *read = h_out.split(
            [self.out_features, *(m.out_features for m in self.read_outs)], 1
        )
        x = layout.center(seen.x)
        estimate = x - step * dx
        if self.handedness is not None and tagged is not None:
            last = self.handedness.after(estimate, read[-1], tagged)
            dx, estimate = dx + first + last, estimate - step * last
        if self.pair_outputs is None or not seen.wants_pairs:
            return Outputs(dx, h_out)
        arguments = (read[0], estimate, layout, seen.pairs)
        if kernel is None or torch.is_grad_enabled():
            return Outputs(dx, h_out, self.pair_outputs(*arguments))
        return Outputs(dx, h_out, pair_outputs.evaluate(self.pair_outputs, *arguments, kernel))

    @property
    def read_outs(self) -> list[nn.Linear]:
        """What else is read from the normalised features after the last block."""
        found = [] if self.pair_outputs is None else [self.pair_outputs.atoms]
        return found if self.handedness is None else [*found, self.handedness.last.atoms]

    def _evaluate(self, seen: Seen, step: Tensor | float) -> tuple[Tensor, Tensor]:
        """Moves and what is read out of the features, by PyTorch or Triton."""
        x, h, layout, reference = seen.x, seen.h, seen.layout, seen.reference
        rounded = self.precision == "bf16" and self._choose(x.device).number_format == "bf16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=rounded):
            condition = by_rows(self.condition, h)
            features = by_rows(self.embedding, h)
            x = x0 = layout.center(x)
            if reference is not None:
                x0 = layout.center(reference.detach())
            dx = torch.zeros_like(x)
            for block in self.blocks:
                features, move = block(features, condition, x, x0, layout, seen.pairs)
                dx = dx + move
                x = x - step * move
            h_out = by_rows(self._read_out, features, condition).to(h.dtype)
        return dx, h_out

    def _read_out(self, features: Tensor, condition: Tensor) -> Tensor:
        n = self.norm_out(features, condition)
        return torch.cat([self.embedding_out(n), *(read(n) for read in self.read_outs)], 1)


class AttentionBlock(nn.Module):
    """One attention pass, one perceptron per atom, and one move of the coordinates."""

    def __init__(self, n_features: int, n_heads: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        f, p = n_features, N_PAIR_FEATURES
        self.n_heads = n_heads
        self.splits = [f, f, f, p, p]
        n_vectors = n_heads + 1  # a vector a head, and the atom's own position
        self.norm = AdaptiveNorm(f)
        self.project = nn.Linear(f, sum(self.splits))
        self.pair = PairWeights(p, n_heads, n_pair_columns)
        self.vectors_left = nn.Parameter(torch.randn(N_PRODUCTS, n_vectors) / n_vectors**0.5)
        self.vectors_right = nn.Parameter(torch.randn(N_PRODUCTS, n_vectors) / n_vectors**0.5)
        self.out = nn.Linear(f + n_heads * p + n_vectors + N_PRODUCTS, f)
        self.norm_mlp = AdaptiveNorm(f)
        self.mlp = nn.Sequential(nn.Linear(f, 3 * f), nn.SiLU(), nn.Linear(3 * f, f))
        self.move = nn.Linear(f, n_vectors)
        # A new network predicts (almost) no noise.
        nn.init.normal_(self.move.weight, std=1e-3)
        nn.init.zeros_(self.move.bias)

    def forward(
        self,
        h: Tensor,
        condition: Tensor,
        x: Tensor,
        x0: Tensor,
        layout: AtomLayout,
        told: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        projected = by_rows(self._project, h, condition).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            inputs = PairInputs(*projected.split(self.splits, 1), x, x0, layout, told)
            values, pairs, vectors = pair_attention(inputs, self.pair)
        sums = torch.cat([values, pairs], 1)
        vectors = torch.cat([vectors, layout.center(x).unsqueeze(1)], 1).flatten(1)
        return by_rows(self._update, h, condition, sums, vectors).split([self.splits[0], 3], 1)

    def _project(self, h: Tensor, condition: Tensor) -> Tensor:
        return self.project(self.norm(h, condition))

    def _update(self, h: Tensor, condition: Tensor, sums: Tensor, vectors: Tensor) -> Tensor:
        """New features and the move of each atom as columns of one matrix."""
        vectors = vectors.unflatten(1, (-1, 3))
        with torch.autocast(h.device.type, enabled=False):
            norms = (vectors.square().sum(2) + 1e-8).sqrt()
            left, right = self.vectors_left @ vectors, self.vectors_right @ vectors
            products = (left * right).sum(2)
            # Inner products grow with the square of the distances.
            products = products / (1 + products.abs()).sqrt()
        h = h + self.out(torch.cat([sums, norms, products], 1))
        h = h + self.mlp(self.norm_mlp(h, condition))
        weights = self.move(h).to(vectors.dtype)
        move = (weights.unsqueeze(2) * vectors).sum(1)
        return torch.cat([h, bounded(move)], 1)

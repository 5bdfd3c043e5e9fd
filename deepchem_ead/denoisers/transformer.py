"""A plain transformer on coordinates: it knows no symmetry and learns it from turned molecules."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from deepchem_ead.denoisers.base import DENOISERS, DenoiserNetwork, DenoiserOptions, InputColumns
from deepchem_ead.denoisers.egnn import by_rows
from deepchem_ead.denoisers.layers import AdaptiveNorm, condition_network
from deepchem_ead.diffusion import AtomLayout, Outputs, Seen

#: Octaves of sines and cosines that each coordinate is given as, from wave lengths of 2 pi down.
N_OCTAVES = 4


@dataclass(frozen=True)
class TransformerOptions(DenoiserOptions):
    """Options of `Transformer`.

    Attributes
    ----------
    n_heads : int
        Attention heads; divides ``n_features``.
    """

    n_heads: int = 8


@DENOISERS.register("transformer")
class Transformer(DenoiserNetwork):
    r"""Self-attention over the atoms of a molecule, whose coordinates are features like others.

    With c_i what the noise level and the context are turned into, and n a layer norm whose scale
    and shift depend on it::

        h_i  = W (columns_i, x_i, x0_i, sines and cosines of 2^k x_i)
        h_i <- h_i + O softmax_j(q_i . k_j / sqrt(F / H)) v_j,        q, k, v from n(h_i, c_i)
        h_i <- h_i + mlp(n(h_i, c_i))

    ``n_layers`` times, and a linear read-out of three columns about the position and those about
    the features. Positions are centred first, so shifts do nothing; rotations and reflections are
    learned: training turns each molecule at random. What that leaves is to be measured
    (`deepchem_ead.testing.equivariance_error`).

    Parameters
    ----------
    in_features, out_features : int
        Invariant columns of an atom, read and returned.
    n_layers, n_features, n_heads : int
    precision : {"auto", "fp32", "bf16"}
        "bf16" computes matrix products in bfloat16.

    References
    ----------
    Generators of this kind: ADiT (Joshi et al., arXiv:2503.03965), TABASCO (Vonessen et al.,
    arXiv:2507.00899). Adaptive norm: DiT, arXiv:2212.09748.
    """

    octaves: Tensor

    Options = TransformerOptions
    reads = frozenset({"reference"})
    equivariant = False

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_layers: int,
        n_features: int,
        n_heads: int = 8,
        precision: str = "auto",
    ) -> None:
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads do not divide {n_features} features")
        self.in_features, self.precision = in_features, precision
        self.embedding = nn.Linear(in_features + 3 * (2 + 2 * N_OCTAVES), n_features)
        self.condition = condition_network(in_features)
        self.blocks = nn.ModuleList(TransformerBlock(n_features, n_heads) for _ in range(n_layers))
        self.norm_out = AdaptiveNorm(n_features)
        self.embedding_out = nn.Linear(n_features, 3 + out_features)
        # A new network predicts (almost) no noise.
        nn.init.normal_(self.embedding_out.weight, std=1e-3)
        self.register_buffer("octaves", 2.0 ** torch.arange(N_OCTAVES), persistent=False)

    @classmethod
    def build(
        cls, columns: InputColumns, out_features: int, options: TransformerOptions
    ) -> Transformer:
        return cls(columns.total, out_features, **asdict(options))

    def forward(self, seen: Seen) -> Outputs:
        """What it says about positions and features; see `DenoiserNetwork`."""
        self._check_shapes(seen, self.in_features)
        layout = seen.layout
        x = layout.center(seen.x)
        x0 = x if seen.reference is None else layout.center(seen.reference.detach())
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            condition = by_rows(self.condition, seen.h)
            h = by_rows(self._embed, seen.h, x, x0)
            for block in self.blocks:
                h = block(h, condition, layout)
            out = by_rows(lambda h, c: self.embedding_out(self.norm_out(h, c)), h, condition)
        out = out.to(seen.h.dtype)
        dx, h_out = out.tensor_split([3], 1)
        return Outputs(layout.center(dx), h_out)

    def _embed(self, h: Tensor, x: Tensor, x0: Tensor) -> Tensor:
        waves = (x.unsqueeze(2) * self.octaves.to(x.dtype)).flatten(1)
        return self.embedding(torch.cat([h, x, x0, waves.sin(), waves.cos()], 1))


class TransformerBlock(nn.Module):
    """Attention, then a perceptron for each atom."""

    def __init__(self, n_features: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = AdaptiveNorm(n_features)
        self.project = nn.Linear(n_features, 3 * n_features)
        self.out = nn.Linear(n_features, n_features)
        self.norm_mlp = AdaptiveNorm(n_features)
        self.mlp = nn.Sequential(
            nn.Linear(n_features, 4 * n_features), nn.SiLU(), nn.Linear(4 * n_features, n_features)
        )

    def forward(self, h: Tensor, condition: Tensor, layout: AtomLayout) -> Tensor:
        projected = by_rows(lambda h, c: self.project(self.norm(h, c)), h, condition)
        parts = []
        for group in layout.groups:  # molecules of one size need no mask
            rows = projected[group.nodes].view(group.n_molecules, group.size, 3, self.n_heads, -1)
            q, k, v = rows.permute(2, 0, 3, 1, 4)
            parts.append(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        received = torch.cat([part.flatten(0, 1) for part in parts])
        return by_rows(self._update, h, received, condition)

    def _update(self, h: Tensor, received: Tensor, condition: Tensor) -> Tensor:
        h = h + self.out(received)
        return h + self.mlp(self.norm_mlp(h, condition))

"""An E(3)-equivariant denoiser of tensor products, made of e3nn's parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet, Gate
from torch import Tensor, nn

from deepchem_ead.denoisers.base import DENOISERS, DenoiserNetwork, DenoiserOptions, InputColumns
from deepchem_ead.diffusion import Outputs, Seen
from deepchem_ead.kernels.pairs import Pairs

#: Gaussians of log(1 + d) that a distance is given as, and the distance (Angstrom) of the last.
N_RADIAL = 16
FARTHEST = 20.0


@dataclass(frozen=True)
class E3NNOptions(DenoiserOptions):
    """Options of `E3NNDenoiser`.

    Attributes
    ----------
    n_vectors : int
        Vector channels; ``n_features`` counts the scalar ones.
    lmax : int
        Highest degree of the spherical harmonics of a direction.
    """

    n_layers: int = 4
    n_features: int = 64
    n_vectors: int = 16
    lmax: int = 2


@DENOISERS.register("e3nn")
class E3NNDenoiser(DenoiserNetwork):
    r"""Convolutions by tensor products (a tensor field network) over all pairs of atoms.

    With h_i scalars and vectors, Y the spherical harmonics of ``(x_i - x_j) / (|x_i - x_j| + 1)``
    up to degree ``lmax``, and r Gaussians of log(1 + d)::

        w_ij  = mlp(r(|x_i - x_j|), r(|x0_i - x0_j|))
        m_i   = sum_{j != i} (A h_j) (x)_{w_ij} Y_ij / sqrt(n - 1)
        h_i  <- h_i + gate(B h_i + C m_i)

    ``n_layers`` times, where (x)_w is the tensor product whose paths are weighted by w, after a
    linear embedding of the columns; the read-out is one linear map to a vector, the noise, and to
    scalars about the features.

    Parameters
    ----------
    in_features, out_features : int
        Invariant columns of an atom, read and returned.
    n_layers, n_features, n_vectors, lmax : int
    precision : {"auto", "fp32"}

    References
    ----------
    Thomas et al. (tensor field networks), arXiv:1802.08219; Geiger and Smidt (e3nn),
    arXiv:2207.09453.
    """

    centres: Tensor

    Options = E3NNOptions
    reads = frozenset({"reference"})

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_layers: int,
        n_features: int,
        n_vectors: int = 16,
        lmax: int = 2,
        precision: str = "auto",
    ) -> None:
        super().__init__()
        if precision == "bf16":
            raise ValueError("the e3nn denoiser computes in single precision: precision='fp32'")
        self.in_features = in_features
        self.directions = o3.Irreps.spherical_harmonics(lmax)
        hidden = o3.Irreps(f"{n_features}x0e + {n_vectors}x1o")
        self.embedding = nn.Linear(in_features, n_features)
        scalars = o3.Irreps(f"{n_features}x0e")
        self.layers = nn.ModuleList(
            Convolution(scalars if k == 0 else hidden, n_features, n_vectors, self.directions)
            for k in range(n_layers)
        )
        self.read_out = o3.Linear(hidden, o3.Irreps(f"1x1o + {out_features}x0e"))
        # A new network predicts (almost) no noise.
        nn.init.normal_(self.read_out.weight, std=0.1)
        centres = torch.linspace(0, float(torch.tensor(1 + FARTHEST).log()), N_RADIAL)
        self.register_buffer("centres", centres, persistent=False)

    @classmethod
    def build(cls, columns: InputColumns, out_features: int, options: E3NNOptions) -> E3NNDenoiser:
        return cls(columns.total, out_features, **asdict(options))

    def forward(self, seen: Seen) -> Outputs:
        """What it says about positions and features; see `DenoiserNetwork`."""
        self._check_shapes(seen, self.in_features)
        x, pairs = seen.x, Pairs.of(seen.layout)
        difference = x[pairs.first] - x[pairs.second]
        distance = _length(difference)
        radial = [self._gaussians(distance)] * 2
        if seen.reference is not None:
            x0 = seen.reference.detach()
            radial[1] = self._gaussians(_length(x0[pairs.first] - x0[pairs.second]))
        # Smooth where two atoms coincide, unlike harmonics of the unit vector.
        direction = o3.spherical_harmonics(
            self.directions, difference / (distance + 1), normalize=False
        )
        share = (seen.layout.counts - 1).clamp_min(1).to(x.dtype).rsqrt()
        share = seen.layout.expand(share).unsqueeze(1)
        h, edges = self.embedding(seen.h), torch.cat(radial, 1)
        for layer in self.layers:
            h = layer(h, direction, edges, pairs, share)
        out = self.read_out(h)
        return Outputs(*out.tensor_split([3], 1))

    def _gaussians(self, distance: Tensor) -> Tensor:
        spacing = self.centres[1] - self.centres[0]
        return torch.exp(-0.5 * ((torch.log1p(distance) - self.centres) / spacing) ** 2)


class Convolution(nn.Module):
    """Messages by a weighted tensor product, a gate, and a skip connection."""

    def __init__(
        self, inputs: o3.Irreps, n_features: int, n_vectors: int, directions: o3.Irreps
    ) -> None:
        super().__init__()
        gate = Gate(
            f"{n_features}x0e", [torch.nn.functional.silu],
            f"{n_vectors}x0e", [torch.sigmoid], f"{n_vectors}x1o",
        )  # fmt: skip
        self.gate = gate
        self.before = o3.Linear(inputs, inputs)
        self.product = _product(inputs, directions, gate.irreps_in)
        self.weights = FullyConnectedNet(
            [2 * N_RADIAL, 2 * N_RADIAL, self.product.weight_numel], torch.nn.functional.silu
        )
        self.after = o3.Linear(self.product.irreps_out, gate.irreps_in)
        self.own = o3.Linear(inputs, gate.irreps_in)
        self.skip = o3.Linear(inputs, gate.irreps_out)

    def forward(
        self, h: Tensor, direction: Tensor, edges: Tensor, pairs: Pairs, share: Tensor
    ) -> Tensor:
        sent = self.before(h)[pairs.second]
        messages = self.product(sent, direction, self.weights(edges))
        received = torch.zeros(len(h), messages.shape[1], dtype=h.dtype, device=h.device)
        received = received.index_add(0, pairs.first, messages) * share
        return self.skip(h) + self.gate(self.own(h) + self.after(received))


def _product(inputs: o3.Irreps, directions: o3.Irreps, wanted: o3.Irreps) -> o3.TensorProduct:
    """Tensor product channel by channel, with the paths that lead to a wanted irrep."""
    outputs, paths = [], []
    for i, (multiplicity, ir_in) in enumerate(inputs):
        for j, (_, ir_direction) in enumerate(directions):
            for ir_out in ir_in * ir_direction:
                if ir_out in wanted:
                    paths.append((i, j, len(outputs), "uvu", True))
                    outputs.append((multiplicity, ir_out))
    # Like irreps side by side.
    sorted_irreps, order, _ = o3.Irreps(outputs).sort()
    paths = [(i, j, order[k], mode, train) for i, j, k, mode, train in paths]
    return o3.TensorProduct(
        inputs, directions, sorted_irreps, paths, shared_weights=False, internal_weights=False
    )


def _length(vectors: Tensor) -> Tensor:
    """Lengths (E, 1), with a gradient where they are 0."""
    return (vectors.square().sum(1, keepdim=True) + 1e-8).sqrt()

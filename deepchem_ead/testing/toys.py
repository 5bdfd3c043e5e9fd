"""Small processes, denoisers and noise sources: what is known about them is exact."""

from __future__ import annotations

from functools import wraps

import torch

from deepchem_ead.diffusion import (
    AtomLayout,
    DiffusionProcess,
    NoiseSchedule,
    Outputs,
    QuotientFrame,
    Seen,
    channel,
    joined,
)


def make_process(timesteps: int = 100, frame=None, **options) -> DiffusionProcess:
    """EDM's schedule in a frame, positions modulo translation by default."""
    schedule = NoiseSchedule.polynomial_2(timesteps)
    return DiffusionProcess(schedule, frame or QuotientFrame(), **options)


def levels_of(h: torch.Tensor, timesteps: int) -> torch.Tensor:
    """Integer levels from the t / T column of what a denoiser is given."""
    return (h[:, -1].double() * timesteps).round().long()


def seeing(function):
    """A denoiser from ``function(x, h, layout[, reference]) -> (dx, h_out)``.

    It can still be called with these, by another such function.
    """

    @wraps(function)
    def denoiser(seen, *rest):
        if not isinstance(seen, Seen):
            return function(seen, *rest)
        reference = () if seen.reference is None else (seen.reference,)
        return Outputs(*function(seen.x, seen.h, seen.layout, *reference))

    return denoiser


@seeing
def pair_denoiser(x, h, layout):
    """E(3)- and permutation-equivariant, coupling all nodes of a molecule and their levels.

    Only additions, products, quotients and roots, so that results are the same to the last bit
    wherever a molecule lies in the batch.
    """
    receiver, sender = pairs(layout)
    difference = x[receiver] - x[sender]
    distance = (difference * difference).sum(1, keepdim=True)
    signal = (h[receiver] * h[sender]).sum(1, keepdim=True)
    weight = (1 + signal / (1 + signal * signal)) / (1 + distance)
    dx = torch.zeros_like(x).index_add_(0, receiver, weight * difference)
    h_out = torch.zeros_like(h).index_add_(0, receiver, weight * (h[receiver] - 0.3 * h[sender]))
    return 0.7 * x * (1 + h[:, -1:]) + 0.2 * dx, 0.8 * h + 0.1 * h_out


def pairs(layout: AtomLayout) -> tuple[torch.Tensor, torch.Tensor]:
    """All ordered pairs i, j of nodes of one molecule, i != j."""
    same = layout.index[:, None] == layout.index[None, :]
    first, second = (same & ~torch.eye(layout.n_nodes, dtype=torch.bool)).nonzero(as_tuple=True)
    return first, second


class RecordedNoise:
    """Draws from a seed, kept, and transformed: rotated by Q (3, 3), nodes permuted."""

    def __init__(self, n_nodes, seed=0, rotation=None, permutation=None, dtype=torch.float64):
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(seed)
        self.n_nodes = n_nodes
        self.rotation = rotation
        self.permutation = slice(None) if permutation is None else permutation
        self.drawn: list[torch.Tensor] = []

    def normal(self, n_columns):
        eps = torch.randn(self.n_nodes, n_columns, generator=self.generator, dtype=torch.float64)
        if self.rotation is not None:
            eps = joined(channel(eps, "positions") @ self.rotation.T, channel(eps, "kinds"))
        eps = eps[self.permutation].to(self.dtype)
        self.drawn.append(eps)
        return eps

    def uniform(self):
        u = torch.rand(self.n_nodes, generator=self.generator, dtype=torch.float64)
        return u[self.permutation]


def random_rotation(seed: int, reflect: bool = False) -> torch.Tensor:
    """An orthogonal matrix (3, 3) float64, of determinant -1 if it is to reflect."""
    generator = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()
    if (torch.linalg.det(q) < 0) != reflect:
        q[:, 0] = -q[:, 0]
    return q


def bond_denoiser(process: DiffusionProcess, bond_variance: float, feature_variance: float):
    """Exact for two-atom molecules with ``x_1 - x_2 ~ N(0, s I)`` and ``h ~ N(0, v)``."""
    tau_table, alpha_table = process.schedule.tau, process.schedule.alpha

    @seeing
    def denoiser(x, h, layout):
        level = levels_of(h, process.schedule.timesteps)
        tau, alpha = tau_table[level], alpha_table[level]
        scale = layout.expand(layout.min(alpha))
        difference = (x[0::2] - x[1::2]) / scale[0::2, None]
        variance = bond_variance + tau[0::2] ** 2 + tau[1::2] ** 2
        pull = (difference / variance[:, None]).repeat_interleave(2, 0)
        sign = torch.tensor([1.0, -1.0], dtype=x.dtype).repeat(layout.n_molecules)
        eps_h = h[:, :-1] / alpha[:, None] * (tau / (feature_variance + tau**2))[:, None]
        return (sign * tau)[:, None] * pull, eps_h

    return denoiser

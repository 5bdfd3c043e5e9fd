"""Noise levels for training: every atom its own (EAD, Algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout


def sample_levels(
    layout: AtomLayout,
    timesteps: int = 1000,
    interval: int = 29,
    is_dummy: Tensor | None = None,
    p_sync: float = 0.0,
    generator: torch.Generator | None = None,
    level_power: float = 1.0,
) -> Tensor:
    """Draw asynchronous noise levels for the nodes of a batch.

    A molecule draws a centre ``t* ~ U{0..T}`` and each node an offset ``d ~ U{-C..C}``; a dummy
    atom draws its offset from ``U{0..C}`` instead with probability 1/2, so that dummies tend to be
    noisier than the atoms. Levels are ``clamp(t* + d, 0, T)``: they differ by at most 2C within a
    molecule.

    Parameters
    ----------
    layout : AtomLayout
        Nodes of the batch (or an integer sequence: the number of nodes of each molecule).
    timesteps : int
        Highest level T.
    interval : int
        Largest offset C. ``interval=0`` is synchronous diffusion (EDM).
    is_dummy : Tensor, (A,) bool, optional
        True for dummy atoms. None: there are none.
    p_sync : float
        Probability that all nodes of a molecule share its level. Independent offsets hardly ever
        agree, although most of sampling happens at equal levels.
    generator : torch.Generator, optional
    level_power : float
        1 for uniform centres; ``t* = floor((T + 1) u^power)`` with u uniform in [0, 1) otherwise:
        powers above 1 train low levels, where bonds take shape, more often.

    Returns
    -------
    Tensor, (A,) int64
        Levels in [0, T].

    References
    ----------
    EAD, arXiv:2603.10093, Algorithm 1; ``p_sync`` and ``level_power`` are additions.
    """
    if not isinstance(layout, AtomLayout):
        layout = AtomLayout.from_counts(layout)
    if interval < 0:
        raise ValueError(f"interval must not be negative, not {interval}")
    if not 0.0 <= p_sync <= 1.0:
        raise ValueError(f"p_sync is a probability, not {p_sync}")
    if level_power <= 0:
        raise ValueError(f"level_power must be positive, not {level_power}")
    device = layout.index.device
    n_molecules, n_nodes = layout.n_molecules, layout.n_nodes

    def integers(low: int, high: int, n: int) -> Tensor:
        return torch.randint(low, high + 1, (n,), generator=generator, device=device)

    def coin(probability: float, n: int) -> Tensor:
        return torch.rand(n, generator=generator, device=device) < probability

    if level_power == 1:
        center = integers(0, timesteps, n_molecules)
    else:
        u = torch.rand(n_molecules, generator=generator, device=device, dtype=torch.float64)
        center = ((timesteps + 1) * u**level_power).long()
    center = layout.expand(center)
    offset = integers(-interval, interval, n_nodes)
    if is_dummy is not None:
        upward = is_dummy & coin(0.5, n_nodes)
        offset = torch.where(upward, integers(0, interval, n_nodes), offset)
    if p_sync > 0:
        offset = offset.masked_fill(layout.expand(coin(p_sync, n_molecules)), 0)
    return (center + offset).clamp(0, timesteps)

"""Molecules turned at random, for networks that do not know that this changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion.channels import channel, joined
from deepchem_ead.diffusion.layout import AtomLayout


def turn_at_random(state: Tensor, layout: AtomLayout, generator: torch.Generator) -> Tensor:
    """Each molecule turned by `random_turns` of its own.

    Parameters
    ----------
    state : Tensor, (A, 3 + F)
        With centred positions.
    layout : AtomLayout
    generator : torch.Generator
        On the device of the state.

    Returns
    -------
    Tensor, (A, 3 + F)
    """
    return turn(state, random_turns(layout, generator), layout)


def turn(state: Tensor, turns: Tensor, layout: AtomLayout) -> Tensor:
    """A state (A, 3 + F), the positions of each molecule turned around the origin by (B, 3, 3)."""
    positions = turned(channel(state, "positions"), turns, layout)
    return joined(positions, channel(state, "kinds"))


def turned(x: Tensor, turns: Tensor, layout: AtomLayout) -> Tensor:
    """Positions (A, 3), each molecule turned around the origin by its own matrix (B, 3, 3)."""
    return torch.einsum("aij,aj->ai", layout.expand(turns.to(x.dtype)), x)


def random_turns(layout: AtomLayout, generator: torch.Generator) -> Tensor:
    """Rotations, uniform over SO(3), and mirrored or not, (B, 3, 3) float64.

    References
    ----------
    Normalised Gaussian quaternions are uniform (Marsaglia, Ann. Math. Stat. 43, 645, 1972).
    """
    n, device = layout.n_molecules, generator.device
    quaternions = torch.randn(n, 4, generator=generator, device=device, dtype=torch.float64)
    w, i, j, k = (quaternions / quaternions.norm(dim=1, keepdim=True)).unbind(1)
    rotation = torch.stack(
        [
            1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j),
            2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i),
            2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j),
        ],
        1,
    ).view(n, 3, 3)  # fmt: skip
    mirrored = torch.rand(n, generator=generator, device=device) < 0.5
    return torch.where(mirrored.view(n, 1, 1), -rotation, rotation)

"""Molecules turned at random, for networks that do not know that this changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion.channels import channel, joined
from deepchem_ead.diffusion.layout import AtomLayout


def turn_at_random(state: Tensor, layout: AtomLayout, generator: torch.Generator) -> Tensor:
    """Each molecule rotated by a rotation of its own, uniform over SO(3), and mirrored or not.

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

    References
    ----------
    Normalised Gaussian quaternions are uniform (Marsaglia, Ann. Math. Stat. 43, 645, 1972).
    """
    n = layout.n_molecules
    quaternions = torch.randn(n, 4, generator=generator, device=state.device, dtype=torch.float64)
    w, i, j, k = (quaternions / quaternions.norm(dim=1, keepdim=True)).unbind(1)
    rotation = torch.stack(
        [
            1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j),
            2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i),
            2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j),
        ],
        1,
    ).view(n, 3, 3)  # fmt: skip
    mirrored = torch.rand(n, generator=generator, device=state.device) < 0.5
    rotation = torch.where(mirrored.view(n, 1, 1), -rotation, rotation)
    x = channel(state, "positions")
    turned = torch.einsum("aij,aj->ai", layout.expand(rotation.to(x.dtype)), x)
    return joined(turned, channel(state, "kinds"))

"""Positions turned onto others as well as they can be."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.orientations import proper_svd


@torch.no_grad()
def aligning_turns(
    moving: Tensor, onto: Tensor, layout: AtomLayout, mirrored: bool = False
) -> Tensor:
    """Turns (B, 3, 3) that bring centred positions closest to others, by least squares.

    Parameters
    ----------
    moving, onto : Tensor, (A, 3)
        In any place: they are centred.
    layout : AtomLayout
    mirrored : bool
        Also mirror images, where they fit better: turns of determinant -1.

    Returns
    -------
    Tensor, (B, 3, 3) float64
        ``turned(moving, turns, layout)`` is what lies closest.

    References
    ----------
    Kabsch, doi:10.1107/S0567739476001873.
    """
    a, b = (layout.center(x.to(torch.float64)) for x in (moving, onto))
    u, s, v = proper_svd(layout.sum(b.unsqueeze(2) * a.unsqueeze(1)))
    if mirrored:
        mended = torch.where(s[:, 2:] < 0, -1.0, 1.0)
        u = torch.cat([u[..., :2], (u[..., 2] * mended).unsqueeze(2)], 2)
    return u @ v.mT

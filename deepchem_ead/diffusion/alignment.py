"""Positions turned onto others as well as they can be."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout

#: A matrix is squared so often to find its largest eigenvalue: those that lie closer together than
#: a share of 2^-30 count as equal, and then any of their turns is as good.
_SQUARINGS = 30


@torch.no_grad()
def aligning_turns(
    moving: Tensor, onto: Tensor, layout: AtomLayout, mirrored: bool = False
) -> Tensor:
    """Turns (B, 3, 3) that bring centred positions closest to others, by least squares.

    The quaternion of the best rotation is the eigenvector of Davenport's matrix with the largest
    eigenvalue (Kabsch's solution, without its special cases). It is found by squaring the matrix,
    which is the same arithmetic for all molecules and waits for no device.

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
    Kabsch, doi:10.1107/S0567739476001873; Coutsias et al., doi:10.1002/jcc.20110, eq. 10.
    """
    a, b = (layout.center(x.to(torch.float64)) for x in (moving, onto))
    # cross[i, j] = sum over atoms of a_i b_j
    cross = layout.sum(a.unsqueeze(2) * b.unsqueeze(1))
    matrix = _davenport(cross)
    rotation, fit = _best_rotation(matrix)
    if not mirrored:
        return rotation
    other, other_fit = _best_rotation(-matrix)
    better = (other_fit > fit).view(-1, 1, 1)
    return torch.where(better, -other, rotation)


def _davenport(cross: Tensor) -> Tensor:
    """Symmetric (B, 4, 4) whose form ``q' K q`` is how well the rotation of q fits."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(1) for row in cross.unbind(1))
    rows = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _best_rotation(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (B, 3, 3) of the quaternion of the largest eigenvalue, and that (B,)."""
    size = matrix.flatten(1).norm(dim=1).view(-1, 1, 1)
    eye = torch.eye(4, dtype=matrix.dtype, device=matrix.device)
    # All eigenvalues at least 0, and the largest about 1; the identity where nothing is known.
    power = matrix / size.clamp_min(torch.finfo(matrix.dtype).tiny) + (1 + 1e-9) * eye
    power[:, 0, 0] += 1e-12
    for _ in range(_SQUARINGS):
        power = power @ power
        power = power / power.flatten(1).norm(dim=1).view(-1, 1, 1)
    # Columns of a projection on the eigenvector; the longest is the most exact.
    best = power.square().sum(1).argmax(1).view(-1, 1, 1).expand(-1, 4, 1)
    q = power.gather(2, best).squeeze(2)
    q = q / q.norm(dim=1, keepdim=True)
    fit = torch.einsum("bi,bij,bj->b", q, matrix, q)
    w, x, y, z = q.unbind(1)
    rotation = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        1,
    ).view(-1, 3, 3)  # fmt: skip
    return rotation, fit

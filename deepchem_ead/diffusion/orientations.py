r"""Which orientations of a clean molecule explain a noisy one: the likeliest, and the mean of all.

If a molecule x may be turned in any way, the noisy positions ``y = R x + c + tau eps`` leave the
rotation R a matrix Fisher distribution ``p(R | y) ~ exp(tr F^T R)``, with x and y around their
means weighted by ``1 / tau_i^2`` and ``F = sum_i y_i x_i^T / tau_i^2 = U diag(s) V^T``, where U and
V are rotations and ``s_1 >= s_2 >= |s_3|``. Its mode is ``U V^T`` (Kabsch's alignment); its mean is
``U diag(1 - d) V^T`` with, for i, j, k all of 1, 2, 3 and ``s_i >= s_j``::

    d_k = <t>,    weights  I0e((s_i - s_j) t / 2)  I0e((s_i + s_j) (2 - t) / 2)  exp(-(s_j + s_k) t)

over t from 0 to 2, where ``I0e(x) = exp(-x) I0(x)``.

References
----------
Lee, arXiv:1710.03746, Theorem 2.1 and its corollaries, rescaled so that nothing overflows; that
alignment is the mode of what a denoiser averages over: Daigavane et al., arXiv:2510.03335.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Sweeps of Jacobi's method: errors are squared in each, and 6 suffice for double precision.
_SWEEPS = 6
_TINY = torch.finfo(torch.float64).tiny


def likeliest_rotation(f: Tensor) -> Tensor:
    """The rotation R that has the largest ``tr F^T R``, for F (B, 3, 3) float64."""
    u, _, v = proper_svd(f)
    return _product(u, v)


def mean_rotation(f: Tensor) -> Tensor:
    """The mean (B, 3, 3) of rotations of density ``exp(tr F^T R)``, for F (B, 3, 3) float64."""
    u, s, v = proper_svd(f)
    return _product(u * (1 - mean_loss(s)).unsqueeze(1), v)


def proper_svd(f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations U, V and s with ``F = U diag(s) V^T`` and ``s_1 >= s_2 >= |s_3|``.

    One-sided Jacobi: a fixed number of steps, in which nothing waits for the device.

    Parameters
    ----------
    f : Tensor, (B, 3, 3) float64

    Returns
    -------
    u, s, v : Tensor, (B, 3, 3), (B, 3), (B, 3, 3)
    """
    eye = torch.eye(3, dtype=f.dtype, device=f.device).expand_as(f)
    # Columns of F V, which become orthogonal, and of V.
    columns = list(zip(f.unbind(2), eye.unbind(2), strict=True))
    for _ in range(_SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            a, b = columns[p][0], columns[q][0]
            cross = (a * b).sum(1, keepdim=True)
            apart = (b.square() - a.square()).sum(1, keepdim=True)
            zeta = apart / torch.where(cross == 0, 1.0, 2 * cross)
            tangent = torch.where(zeta < 0, -1.0, 1.0) / (zeta.abs() + (1 + zeta.square()).sqrt())
            tangent = torch.where(cross == 0, 0.0, tangent)
            cosine = (1 + tangent.square()).rsqrt()
            sine = cosine * tangent
            (a, a_v), (b, b_v) = columns[p], columns[q]
            columns[p] = cosine * a - sine * b, cosine * a_v - sine * b_v
            columns[q] = sine * a + cosine * b, sine * a_v + cosine * b_v
    scaled, v = (torch.stack(each, 2) for each in zip(*columns, strict=True))
    order = scaled.square().sum(1).argsort(dim=1, descending=True).unsqueeze(1).expand_as(v)
    scaled, v = scaled.gather(2, order), v.gather(2, order)
    v1, v2 = v[..., 0], v[..., 1]
    v3: Tensor = torch.linalg.cross(v1, v2)
    s1 = scaled[..., 0].norm(dim=1, keepdim=True)
    u1 = torch.where(s1 > _TINY, scaled[..., 0] / s1.clamp_min(_TINY), v1)
    s2 = scaled[..., 1].norm(dim=1, keepdim=True)
    # Where F does not say, whichever of V's axes is less along the first.
    free = torch.where((v2 * u1).sum(1, keepdim=True).abs() < 0.75, v2, v3)
    u2 = torch.where(s2 > 1e-15 * s1, scaled[..., 1] / s2.clamp_min(_TINY), free)
    u2 = u2 - (u2 * u1).sum(1, keepdim=True) * u1
    u2 = u2 / u2.norm(dim=1, keepdim=True)
    u3: Tensor = torch.linalg.cross(u1, u2)
    s3 = (u3 * _applied(f, v3)).sum(1, keepdim=True)
    return (
        torch.stack([u1, u2, u3], 2),
        torch.cat([s1, s2, s3], 1),
        torch.stack([v1, v2, v3], 2),
    )


def mean_loss(s: Tensor) -> Tensor:
    """``d_k``, how far the mean of rotations falls short of their mode along each axis, (B, 3).

    Parameters
    ----------
    s : Tensor, (B, 3) float64
        ``s_1 >= s_2 >= |s_3|``.
    """
    # Even steps in log(t / (2 - t)): whatever the scale of the peaks at either end, they are seen.
    logit = torch.linspace(-42, 42, 169, dtype=s.dtype, device=s.device)
    t, rest = 2 * torch.sigmoid(logit), 2 * torch.sigmoid(-logit)
    jacobian = t * rest
    found = []
    for larger, smaller, k in ((1, 2, 0), (0, 2, 1), (0, 1, 2)):
        s_i, s_j, s_k = (s[:, n].unsqueeze(1) for n in (larger, smaller, k))
        weights = (
            torch.special.i0e((s_i - s_j) / 2 * t)
            * torch.special.i0e((s_i + s_j).clamp_min(0) / 2 * rest)
            * torch.exp(-(s_j + s_k).clamp_min(0) * t)
            * jacobian
        )
        found.append((weights * t).sum(1) / weights.sum(1))
    return torch.stack(found, 1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``A B^T``."""
    return (a.unsqueeze(2) * b.unsqueeze(1)).sum(3)


def _applied(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix * vector.unsqueeze(1)).sum(2)

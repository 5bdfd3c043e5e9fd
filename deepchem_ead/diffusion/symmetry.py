r"""What the loss makes of it that a molecule may be turned in any way.

The position target compares estimates of the noise with the noise itself, which says how the clean
molecule happened to be turned. With x and y the clean and the noisy positions around their means
weighted by ``1 / tau_i^2``, the part of the noise that the frame leaves is ``(y_i - x_i) / tau_i``.

========== ================================================ ========================================
name       what is missed by an estimate e                  its best e
========== ================================================ ========================================
none       ``e_i - (y_i - x_i) / tau_i``                    the mean of the noise given y, exactly
averaged   ``e_i - (y_i - E[R | y] x_i) / tau_i``           the same, from targets that vary less
quotient   ``P_y(e - (y - x) / tau)``                       the same, but for what turns y, which is
                                                            free
kabsch     ``e_i - (y_i - R* x_i) / tau_i``                 another: where more than one orientation
                                                            explains y, it is drawn to the likeliest
========== ================================================ ========================================

Levels may differ from atom to atom: weights are those of each. Where the positions of some atoms of
a molecule are known they say how it is turned: nothing is averaged or aligned there, and P leaves
out what turns about the known atoms only (see `quotient`), nothing at all with three not on a line.
What position targets make of it is the same for all: they weigh what is missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.orientations import likeliest_rotation, mean_rotation
from deepchem_ead.diffusion.quotient import project_rotation
from deepchem_ead.parts import make_part
from deepchem_ead.registry import Registry


class Symmetry(Protocol):
    """What an estimate of the positions' noise is compared with, and in what."""

    def missed(
        self, estimate: Tensor, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Error (A, 3) of an estimate of the noise, whose squares the loss sums.

        Parameters
        ----------
        estimate, noise : Tensor, (A, 3)
            Both projected by the frame, which has to be exact for unequal levels.
        clean : Tensor, (A, 3)
            Positions (Angstrom), anywhere.
        tau : Tensor, (A,) float64
            0 where the position is known.
        layout : AtomLayout
        """


@dataclass(frozen=True)
class NoSymmetry:
    """The noise as it was drawn (EDM, EAD)."""

    def missed(
        self, estimate: Tensor, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout
    ) -> Tensor:
        return estimate - noise


@dataclass(frozen=True)
class QuotientSymmetry:
    """Errors that a rigid motion of the noisy molecule explains do not count.

    The expectation of the noise has no such part, so nothing true is lost, and the network need not
    learn that it has none: 3 of 3 n - 3 directions of n atoms.

    References
    ----------
    Quotient-space diffusion, arXiv:2604.21809, eq. 11.
    """

    def missed(
        self, estimate: Tensor, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout
    ) -> Tensor:
        noisy = clean.to(torch.float64) + tau.unsqueeze(1) * noise
        return project_rotation(estimate - noise, noisy, tau, layout)


@dataclass(frozen=True)
class AveragedSymmetry:
    """The target is the mean over all orientations of the clean molecule, given the noisy one.

    Its best estimate is that of `NoSymmetry`, as it only averages what that averages, too.

    References
    ----------
    SO(3)-averaged flow matching, arXiv:2507.09785, in closed form as in `orientations`.
    """

    def missed(
        self, estimate: Tensor, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout
    ) -> Tensor:
        about = _Turns(noise, clean, tau, layout)
        rotation = mean_rotation(about.explained(about.noisy))
        return (estimate - about.noise_after(rotation)).to(estimate.dtype)


@dataclass(frozen=True)
class KabschSymmetry:
    """The clean molecule is aligned before its noise is the target.

    Errors at low noise are smaller than without; but the best estimate is no expectation any more,
    so samplers that ask for one (all that come with this package) are not exact for it.

    Attributes
    ----------
    to : str
        "noisy": aligned with the noisy molecule, as in GeoDiff; "estimate": with the estimate of
        the clean one, as in AlphaFold 3. Both with weights ``1 / tau_i^2``.

    References
    ----------
    GeoDiff, arXiv:2203.02923, sec. 4.3; AlphaFold 3, doi:10.1038/s41586-024-07487-w, SI Algorithm
    28; Daigavane et al., arXiv:2510.03335, for what alignment does.
    """

    to: str = "noisy"

    def __post_init__(self) -> None:
        if self.to not in ("noisy", "estimate"):
            raise ValueError(f"to must be 'noisy' or 'estimate', not {self.to!r}")

    def missed(
        self, estimate: Tensor, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout
    ) -> Tensor:
        about = _Turns(noise, clean, tau, layout)
        reference = about.noisy
        if self.to == "estimate":
            reference = about.noisy - about.tau * estimate.detach().to(torch.float64)
        rotation = likeliest_rotation(about.explained(reference))
        return (estimate - about.noise_after(rotation)).to(estimate.dtype)


class _Turns:
    """Clean and noisy molecules around their weighted means, (A, 3) float64."""

    def __init__(self, noise: Tensor, clean: Tensor, tau: Tensor, layout: AtomLayout) -> None:
        self._layout, self._noise = layout, noise.to(torch.float64)
        self.tau = tau.to(torch.float64).unsqueeze(1)
        known = self.tau == 0
        self._weight = torch.where(known, 0.0, 1 / torch.where(known, 1.0, self.tau).square())
        self._placed = layout.sum(known.to(torch.float64)) > 0
        clean = clean.to(torch.float64)
        mean = layout.sum(self._weight * clean) / layout.sum(self._weight).clamp_min(1e-300)
        self._clean = clean - layout.expand(mean)
        self.noisy = self._clean + self.tau * self._noise

    def explained(self, positions: Tensor) -> Tensor:
        """F (B, 3, 3) of positions (A, 3)."""
        weighed = self._weight * positions
        return self._layout.sum(weighed.unsqueeze(2) * self._clean.unsqueeze(1))

    def noise_after(self, rotation: Tensor) -> Tensor:
        """``(y - R x) / tau``, from R (B, 3, 3); of molecules in their place the noise itself."""
        eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
        missing = torch.where(self._placed.unsqueeze(2), 0.0, eye - rotation)
        moved = (self._layout.expand(missing) * self._clean.unsqueeze(1)).sum(2)
        return self._noise + self._weight.sqrt() * moved


SYMMETRIES: Registry[Callable[..., Symmetry]] = Registry(
    "symmetry",
    {
        "none": NoSymmetry,
        "quotient": QuotientSymmetry,
        "averaged": AveragedSymmetry,
        "kabsch": KabschSymmetry,
    },
)


def resolve_symmetry(symmetry: str | Symmetry) -> Symmetry:
    """The symmetry of this name, ``"kabsch:to=estimate"`` with options, or the object itself."""
    found: Symmetry = make_part(SYMMETRIES, symmetry) if isinstance(symmetry, str) else symmetry
    return found

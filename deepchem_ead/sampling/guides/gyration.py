"""A guide to compact or stretched molecules, a potential of positions alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deepchem_ead.diffusion import AtomLayout


@dataclass(frozen=True)
class RadiusOfGyration:
    """Root mean square distance (Angstrom) of a molecule's atoms from their centre.

    Attributes
    ----------
    tasks, mad, elements
        See `Guide`.
    """

    tasks: ClassVar = ("radius_of_gyration",)
    mad: ClassVar = (0.2,)
    elements: ClassVar = None

    def property_of(
        self, positions: Tensor, type_probabilities: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Radii (B, 1)."""
        return layout.mean(layout.center(positions).square().sum(1, keepdim=True)).sqrt()

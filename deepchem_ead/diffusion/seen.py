"""What a denoiser is told about a batch, and what it answers: every tensor named once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout


@dataclass(frozen=True, eq=False)
class Seen:
    """All that a denoiser may look at. It takes what its ``reads`` names and leaves the rest.

    Attributes
    ----------
    x : Tensor, (A, 3)
        Noisy positions as the frame shows them to networks.
    h : Tensor, (A, W)
        Invariant columns of each node: noisy features, what they alone say about the type, the
        noise level, the molecule's context, and what else the process tells (`columns.Columns`).
    layout : AtomLayout
        Which nodes form a molecule.
    reference : Tensor, (A, 3), optional
        Positions like ``x`` of an earlier estimate of the clean molecule; those of ``x`` where
        there is none. No gradients go through it.
    levels : Tensor, (A,) float64, optional
        Noise level of each node, as a share of the highest: 0 is clean, 1 is noise.
    """

    x: Tensor
    h: Tensor
    layout: AtomLayout
    reference: Tensor | None = None
    levels: Tensor | None = None

    def replace(self, **changes) -> Seen:
        """The same with other values of some attributes."""
        return replace(self, **changes)


class Outputs(NamedTuple):
    """What a denoiser says about each node.

    Attributes
    ----------
    dx : Tensor, (A, 3)
        About positions: turns and mirrors with them, ignores shifts. What it means is the position
        target's business (by default it is the noise).
    h : Tensor, (A, F or more)
        About features, invariant; the feature target reads the first columns it needs.
    """

    dx: Tensor
    h: Tensor


class Denoiser(Protocol):
    """Anything that answers a `Seen` with `Outputs`: a network, or a formula in a test."""

    def __call__(self, seen: Seen, /) -> Outputs: ...

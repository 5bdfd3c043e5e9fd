"""What a denoiser is told about a batch, and what it answers: every tensor named once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.stereo import Stereo


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
    step : Tensor, (A,), optional
        How far a unit of ``dx`` leads a node towards the clean molecule, in the unit of ``x``: the
        estimate is ``x - step dx``. 0 where the position is known. None: the frame does not say.
    pairs : Tensor, (E, W), optional
        Invariant columns of each ordered pair of atoms, in the order of `AtomLayout.pairs`
        (`columns.InputColumns.pairs` says which). None: there are none.
    stereo : Stereo, optional
        Tags of centres, of whose triple products with them something may be made. What it says
        about double bonds stands in ``pairs``, too. None: nothing is told.
    wants_pairs : bool
        `Outputs.pairs` are read; if not, a denoiser need not compute them.
    """

    x: Tensor
    h: Tensor
    layout: AtomLayout
    reference: Tensor | None = None
    levels: Tensor | None = None
    step: Tensor | None = None
    pairs: Tensor | None = None
    stereo: Stereo | None = None
    wants_pairs: bool = True

    def replace(self, **changes: Any) -> Seen:
        """The same with other values of some attributes."""
        return replace(self, **changes)


class _OfNodes(NamedTuple):
    dx: Tensor
    h: Tensor


class Outputs(_OfNodes):
    """What a denoiser says about each node, and beside that about pairs: a tuple of two, (dx, h).

    Attributes
    ----------
    dx : Tensor, (A, 3)
        About positions: turns and mirrors with them, ignores shifts. What it means is the position
        target's business (by default it is the noise).
    h : Tensor, (A, F or more)
        About features, invariant; the feature target reads the first columns it needs.
    pairs : Tensor, (E, K), optional
        About each ordered pair of atoms, invariant, in the order of `AtomLayout.pairs`; the same
        number for (i, j) and (j, i). None: it says nothing about them.
    """

    pairs: Tensor | None

    def __new__(cls, dx: Tensor, h: Tensor, pairs: Tensor | None = None) -> Outputs:
        outputs = super().__new__(cls, dx, h)
        outputs.pairs = pairs
        return outputs


class Denoiser(Protocol):
    """Anything that answers a `Seen` with `Outputs`: a network, or a formula in a test."""

    def __call__(self, seen: Seen, /) -> Outputs: ...

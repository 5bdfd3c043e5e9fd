r"""Direct denoising: a map from noise to data that is applied to its own results.

The map f is the estimate of a process that is told an earlier one, ``f(xb, w, t)``; passes over one
noisy molecule w are ``x^(n+1) = f(x^(n), w, t)``. In training xb is what the map said when it last
saw the molecule, kept for each, and at pass n the loss is::

    u_n d(f, x_0) + (1 - u_n) d(f, xb),      u_n = max(1 / n, guide_floor)

d is the mean over atoms of ``sqrt(|a_i - b_i|^2 + c^2) - c``, modulo what cannot be known: where no
position of a molecule is known, translations, rotations and mirroring of all its atoms.

References
----------
Zhang et al. (DDDM), arXiv:2405.13540, whose weight is 1 / n and whose d is elementwise, in a fixed
frame. Its fixed points: RTK, arXiv:2405.16387.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion.alignment import aligning_turns
from deepchem_ead.diffusion.channels import channel, joined
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.rotations import turned


class LastEstimate(NamedTuple):
    """What the map said of each molecule when it last saw it.

    Attributes
    ----------
    state : Tensor, (A, 3 + F)
        In the frame of the clean data; anything in molecules without passes.
    passes : Tensor, (B,) int64
        How often it has seen the molecule before.
    told : Tensor, (B,) bool
        Molecules whose estimate it is told, if there is one. The others are at their first pass.
    """

    state: Tensor
    passes: Tensor
    told: Tensor

    @property
    def known(self) -> Tensor:
        """Molecules (B,) bool that have an estimate which is told."""
        return self.told & (self.passes > 0)

    @classmethod
    def none(cls, clean: Tensor, layout: AtomLayout) -> LastEstimate:
        """That of molecules which it has not seen."""
        unseen = torch.zeros_like(layout.counts)
        return cls(torch.zeros_like(clean), unseen, unseen > 0)

    def previous(self, layout: AtomLayout) -> Tensor:
        """`Asked.previous`: NaN where none is told."""
        return torch.where(layout.expand(self.known).unsqueeze(1), self.state, torch.nan)


@dataclass(frozen=True)
class DirectObjective:
    """How far the map's estimates are from what they should be.

    Attributes
    ----------
    guide_floor : float
        Least weight u of the distance to the clean data. The other distance alone is 0 for a map
        that returns what it is told; and as both are distances and no squares, the larger weight
        wins: with less than 1/2, what is best for atoms far off is within
        ``width u / sqrt(1 - 2 u)`` of what is told.
    width : float
        c, in Angstrom: squares below it, distances above it.
    mirrored : bool
        Mirror images are the same.
    """

    guide_floor: float = 0.5
    width: float = 0.05
    mirrored: bool = True

    def weights(self, passes: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of both distances for molecules seen so often before; (1, 0) at first."""
        guide = 1 / (passes.to(torch.float32) + 1)
        guide = guide.clamp_min(self.guide_floor)
        return guide, 1 - guide

    def score(
        self,
        found: Tensor,
        clean: Tensor,
        last: LastEstimate | None,
        floating: Tensor,
        layout: AtomLayout,
    ) -> tuple[Tensor, Tensor]:
        """Error of the positions of each atom (A,), and the estimate in the frame of ``clean``.

        Parameters
        ----------
        found, clean : Tensor, (A, 3 + F)
            Estimate and truth.
        last : LastEstimate, optional
            None: no molecule has one.
        floating : Tensor, (B,) bool
            Molecules of which no position is known.
        layout : AtomLayout

        Returns
        -------
        error : Tensor, (A,)
        estimate : Tensor, (A, 3 + F)
            Without gradients: what the map is told when it sees the molecule again.
        """
        last = LastEstimate.none(clean, layout) if last is None else last
        x, truth, before = (channel(state, "positions") for state in (found, clean, last.state))
        guide, iteration = self.weights(torch.where(last.known, last.passes, 0))
        target, turns = self._placed(truth, x, floating, layout)
        echo, _ = self._placed(before, x, floating, layout)
        error = layout.expand(guide) * pseudo_huber(x - target, self.width)
        error = error + layout.expand(iteration) * pseudo_huber(x - echo, self.width)
        with torch.no_grad():
            centre = layout.expand(layout.mean(truth))
            back = turned(layout.center(x), turns.mT, layout) + centre
            back = torch.where(layout.expand(floating).unsqueeze(1), back, x)
            estimate = joined(back, channel(found, "kinds")).detach()
        return error, estimate

    @torch.no_grad()
    def _placed(
        self, target: Tensor, x: Tensor, floating: Tensor, layout: AtomLayout
    ) -> tuple[Tensor, Tensor]:
        """A target moved onto positions where molecules float, and the turns (B, 3, 3)."""
        turns = aligning_turns(target, x, layout, self.mirrored)
        moved = turned(layout.center(target), turns, layout) + layout.expand(layout.mean(x))
        return torch.where(layout.expand(floating).unsqueeze(1), moved, target), turns


def pseudo_huber(difference: Tensor, width: float) -> Tensor:
    """``sqrt(|d|^2 + c^2) - c`` of vectors (..., D), (...): |d| far from 0, ``|d|^2 / 2c`` near it.

    Written without a difference of nearly equal numbers.
    """
    squares = difference.square().sum(-1)
    return squares / ((squares + width**2).sqrt() + width)

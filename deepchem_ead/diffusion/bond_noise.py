r"""Bonds under noise of their own, of every pair of atoms at the level of the noisier of the two.

The clean row of a pair is one-hot times a scale, c_k, its noisy row ``v = c_k + tau eps``. All that
v says about the kind are the likelihoods of the kinds, in logarithms but for what all have in
common, and that is what is kept and told in place of v::

    L = scale v / tau^2 = u e_k + sqrt(u) eps,    u = (scale / tau)^2

The precision u is 0 where nothing is known. In u, L is a Brownian motion with drift e_k, so that
the ancestral transition of v to a lower level (`kernels.eta_step`), with estimated probabilities p,
and the noise that leads back up are::

    L_s = L_t + (u_s - u_t) p + sqrt(u_s - u_t) eps
    L_t = r L_s + sqrt(u_t (1 - r)) eps,    r = u_t / u_s

References
----------
In this form Bayesian flow networks (Graves et al., arXiv:2308.07037, sec. 6) have discrete data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from deepchem_ead.bonding import BOND_KINDS
from deepchem_ead.diffusion.bonds import Bonds, among, bond_probabilities
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.schedule import NoiseSchedule

#: Columns of `Seen.pairs` about what noisy rows say, and how many.
EVIDENCE_COLUMNS: Mapping[str, int] = {"evidence of bonds": len(BOND_KINDS)}


@dataclass(frozen=True)
class BondNoise:
    """Noise of the bonds that are not given.

    Attributes
    ----------
    scale : float
        Of the one-hot rows: a bond is told from others where tau is about as large.
    """

    scale: float

    def precision(
        self, levels: Tensor, known: Tensor, schedule: NoiseSchedule, layout: AtomLayout
    ) -> Tensor:
        """What the noisy row of each pair is worth, u, (E,) float64.

        0 between atoms that are known from the beginning: their bonds, where they are not given,
        are to be found from nothing.

        Parameters
        ----------
        levels : Tensor, (A,) or (A, C)
            The noisiest channel counts.
        known : Tensor, (A,) bool
            Atoms of which everything is known.
        """
        levels = levels if levels.dim() == 1 else levels.amax(1)
        i, j = layout.pairs
        tau = schedule.tau_at(torch.maximum(levels[i], levels[j]))
        return torch.where(among(known, layout), 0.0, (self.scale / tau) ** 2)

    def noised(self, bonds: Bonds, u: Tensor) -> Bonds:
        """Bonds with L at the precision u (E,); L = 0 where their kinds are not known.

        Raises
        ------
        ValueError
            If there are no draws.
        """
        kinds, eps = bonds.kinds, bonds.eps
        if eps is None:
            raise ValueError("bonds that have noise need draws of it: Bonds.eps")
        u = torch.where(kinds >= 0, u, 0.0).to(eps.dtype).unsqueeze(1)
        clean = one_hot(kinds.clamp_min(0), len(BOND_KINDS)).to(eps.dtype)
        return bonds._replace(evidence=u * clean + u.sqrt() * eps)

    def noisier(self, bonds: Bonds, u_s: Tensor, u_t: Tensor, eps: Tensor) -> Bonds:
        """Bonds with L at the precision u_t (E,), from L at u_s: where that is higher."""
        share = torch.where(u_s > u_t, u_t / u_s, 1.0)
        spread = torch.where(bonds.kinds >= 0, (u_t * (1 - share)).sqrt(), 0.0)
        return bonds._replace(evidence=_scaled(share, _evidence(bonds)) + _scaled(spread, eps))

    def less_noisy(self, bonds: Bonds, u_t: Tensor, u_s: Tensor, p: Tensor, eps: Tensor) -> Bonds:
        """Bonds with L at the precision u_s (E,), from L at u_t and estimates p (E, K)."""
        gained = u_s - u_t
        moved = _evidence(bonds) + _scaled(gained, p) + _scaled(gained.sqrt(), eps)
        return bonds._replace(evidence=moved)


def _evidence(bonds: Bonds) -> Tensor:
    assert bonds.evidence is not None
    return bonds.evidence


def _scaled(factor: Tensor, rows: Tensor) -> Tensor:
    return factor.to(rows.dtype).unsqueeze(1) * rows


def told_evidence(bonds: Bonds | None, layout: AtomLayout, like: Tensor) -> Tensor:
    """`EVIDENCE_COLUMNS` of `Seen.pairs`, (E, K): probabilities by the pairs' own rows alone."""
    nothing = like.new_zeros(layout.pairs.first.shape[0], len(BOND_KINDS))
    return bond_probabilities(nothing, bonds)


def unordered(layout: AtomLayout) -> Tensor:
    """Which number each ordered pair has, (E,) int64, if both directions have the same one.

    Pairs of a molecule of n atoms have n (n - 1) / 2 numbers, which follow those of the molecules
    before it.
    """
    i, j = layout.pairs
    n = layout.counts[layout.index[i]]
    first = (layout.first_pairs // 2)[layout.index[i]]
    start = layout.starts[layout.index[i]]
    low, high = torch.minimum(i, j) - start, torch.maximum(i, j) - start
    return first + low * (2 * n - low - 1) // 2 + high - low - 1

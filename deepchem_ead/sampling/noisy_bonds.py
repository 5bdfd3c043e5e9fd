"""Bonds of a cohort that lose their noise with their atoms."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    BondNoise,
    Bonds,
    NoiseSchedule,
    any_channel,
    unordered,
)
from deepchem_ead.sampling.noise import NoiseSource


class NoisyBonds:
    """What noisy rows of pairs say, from nothing at the beginning to certainty.

    Pairs always take the ancestral transition of their own rows, whatever the stepper of the atoms;
    those whose level stays the same do not change, whatever the repeat rule.

    Parameters
    ----------
    bond_noise : BondNoise
    schedule : NoiseSchedule
    layout : AtomLayout
    noise : NoiseSource
        Of the atoms.
    given : Bonds, optional
    known : Tensor, (A,) or (A, C) bool, optional
        What is known of atoms from the beginning.

    Attributes
    ----------
    bonds : Bonds
        What is given, and what the others' rows say.
    """

    def __init__(
        self,
        bond_noise: BondNoise,
        schedule: NoiseSchedule,
        layout: AtomLayout,
        noise: NoiseSource,
        given: Bonds | None = None,
        known: Tensor | None = None,
    ) -> None:
        self._bond_noise, self._schedule, self._layout = bond_noise, schedule, layout
        self._noise, self._numbers = noise.of_pairs(), unordered(layout)
        nothing = torch.zeros(
            len(self._numbers), len(BOND_KINDS), dtype=noise.dtype, device=layout.index.device
        )
        self._known = torch.zeros_like(layout.index, dtype=torch.bool)
        if known is not None:
            self._known = ~any_channel(~known)
        self.bonds = (given or Bonds.nothing(layout))._replace(evidence=nothing)
        self._precision = nothing[:, 0].to(torch.float64)

    def follow(self, levels: Tensor, p: Tensor) -> Bonds:
        """What is known when atoms are at these levels, by estimated probabilities (E, K)."""
        before = self._precision
        u = self._bond_noise.precision(levels, self._known, self._schedule, self._layout)
        self._precision = torch.maximum(u, before)
        eps = self._noise.normal(len(BOND_KINDS))[self._numbers]
        self.bonds = self._bond_noise.less_noisy(self.bonds, before, self._precision, p, eps)
        return self.bonds

"""Where sampling starts: what is known of the molecules, and the levels of the rest."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    CHANNELS,
    AtomLayout,
    Bonds,
    Stereo,
    by_column,
    channel,
    level_of,
    shifted,
)


class Start(NamedTuple):
    """Rows at level 0 are known: they never move, and come out as they are, to the last bit.

    Rows at a level between start as ``clean`` with the noise of that level.

    Attributes
    ----------
    clean : Tensor, (A, 3 + F)
        Positions (Angstrom, in any frame) and scaled features. They are looked at only where the
        level is not the highest.
    levels : Tensor, (A,) or (A, C)
        0 where known, the highest level, or infinity, where not (`deepchem_ead.diffusion.channels`
        says what C is). One level between may stand for the highest.
    bonds : Bonds, optional
        Bonds that are given, for a process that knows bonds.
    stereo : Stereo, optional
        The stereo that is given, for a process that is told.
    """

    clean: Tensor
    levels: Tensor
    bonds: Bonds | None = None
    stereo: Stereo | None = None


class KnownRows:
    """What is known, in a frame where the known atoms of each molecule are centred.

    Parameters
    ----------
    start : Start
    layout : AtomLayout
    n_columns : int
        3 + F.
    timesteps : int
        The highest level.

    Attributes
    ----------
    levels : Tensor, (A,) or (A, C) float64
    known : Tensor, (A, 1) or (A, 3 + F) bool
        What is known.
    top : float
        The level that sampling starts at.
    placed : Tensor, (B,) bool
        Molecules some of whose positions are known.

    Raises
    ------
    ValueError
        If shapes do not fit, levels are others than 0, the highest and one between, or a number
        that is told is none.
    """

    def __init__(self, start: Start, layout: AtomLayout, n_columns: int, timesteps: int) -> None:
        clean, levels, *_ = start
        n, device = layout.n_nodes, layout.index.device
        if clean.shape != (n, n_columns):
            shape = tuple(clean.shape)
            raise ValueError(f"clean must have the shape {(n, n_columns)}, not {shape}")
        if levels.shape not in ((n,), (n, len(CHANNELS))):
            shapes = f"({n},) or {(n, len(CHANNELS))}"
            raise ValueError(f"levels must have the shape {shapes}, not {tuple(levels.shape)}")
        levels = levels.to(device, torch.float64)
        levels = torch.where(levels.isinf(), float(timesteps), levels)
        between = levels[(levels != 0) & (levels != timesteps)]
        if len(between) and not bool(((between == between[0]) & (between > 0)).all()):
            raise ValueError(
                f"the levels of a start are 0 (known), {timesteps} (not known) and at most one "
                f"between, not {sorted(set(levels.flatten().tolist()))[:5]}"
            )
        if bool((levels > timesteps).any()):
            raise ValueError(f"the levels of a start are at most {timesteps}")
        self.top = float(levels.max())
        if levels.dim() == 2 and bool((levels == levels[:, :1]).all()):
            levels = levels[:, 0]
        self.levels, self._layout, self._clean = levels, layout, clean.to(device)
        self.known = by_column(levels == 0, n_columns)
        self._told = by_column(levels < timesteps, n_columns)
        wrong = (self._told & ~self._clean.isfinite()).any(1)
        if bool(wrong.any()):
            node = int(wrong.nonzero()[0])
            raise ValueError(f"node {node} is to be known, but is {self._clean[node].tolist()}")
        placed = (level_of(levels, "positions") == 0).unsqueeze(1)
        n_placed = layout.sum(placed.to(torch.float64))
        self.placed = n_placed[:, 0] > 0
        given = torch.where(self._told, self._clean, 0.0).to(torch.float64)
        positions = torch.where(placed, channel(given, "positions"), 0.0)
        origin = layout.sum(positions) / n_placed.clamp_min(1)
        self._origin = layout.expand(origin)
        # What is told beside known atoms is in their frame; alone, it is centred as all states are.
        self._given = shifted(given, -self._origin)

    def begin(self, state: Tensor, noise: Tensor, tau: Tensor) -> Tensor:
        """The first state (A, 3 + F): what is told, with the noise of its level, in its place.

        Parameters
        ----------
        state : Tensor, (A, 3 + F)
            Where nothing is told.
        noise : Tensor, (A, 3 + F)
            Noise of the process.
        tau : Tensor, (A, 1) or (A, 3 + F)
            Of `levels`.
        """
        noised = self._told & ~self.known
        if not bool(noised.any()):
            return self.fill(state)
        told = self._given.to(state.dtype) + tau.to(state.dtype) * noise
        state = torch.where(noised, told, state)
        centre = self._layout.mean(channel(state, "positions"))
        floating = torch.where(self.placed.unsqueeze(1), 0.0, centre)
        return self.fill(shifted(state, -self._layout.expand(floating)))

    def begun(self, grid: Tensor) -> Tensor:
        """The levels that a run visits, without those above the first."""
        if self.top in (0, float(grid[-1])):
            return grid
        return torch.cat([grid[grid < self.top], grid.new_tensor([self.top])])

    def fill(self, state: Tensor) -> Tensor:
        """The state or estimate (A, 3 + F) with what is known in its place."""
        return torch.where(self.known, self._given.to(state.dtype), state)

    def returned(self, state: Tensor) -> Tensor:
        """A finished state in the frame and the precision of `Start.clean`."""
        state = shifted(state.to(torch.float64), self._origin).to(self._clean.dtype)
        return torch.where(self.known, self._clean, state)

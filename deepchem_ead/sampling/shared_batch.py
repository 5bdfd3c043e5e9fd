"""The unfinished molecules of several cohorts as one batch for the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    Asked,
    AtomLayout,
    Bonds,
    Denoiser,
    DiffusionProcess,
    Stereo,
)
from deepchem_ead.sampling.cohort import Cohort


class SharedBatch:
    """Evaluates the network once for all cohorts, on the molecules unfinished at construction.

    Molecules are sorted by size across cohorts, since the network is fastest on long runs of equal
    molecules. A cohort alone, of which nothing is finished, keeps its own order.

    Parameters
    ----------
    cohorts : iterable of Cohort
        Those that are finished are left out.
    """

    def __init__(self, cohorts: Iterable[Cohort]) -> None:
        self._cohorts = [cohort for cohort in cohorts if not cohort.finished]
        self._work = self._pairs_left()
        unfinished = torch.cat([cohort.unfinished for cohort in self._cohorts])
        if len(self._cohorts) == 1 and bool(unfinished.all()):
            (cohort,) = self._cohorts
            self._layout, self._context, self._nodes = cohort.layout, cohort.context, None
            self._pairs, self._stereo = None, cohort.stereo
            return
        counts = torch.cat([cohort.layout.counts for cohort in self._cohorts])
        order = torch.argsort(counts, stable=True)
        order = order[unfinished[order]]
        self._layout = AtomLayout.from_counts(counts[order], device=counts.device)
        # Row of each node among all nodes of the cohorts, one cohort after the other.
        offset = (counts.cumsum(0) - counts)[order] - self._layout.starts
        self._nodes = torch.arange(self._layout.n_nodes, device=counts.device)
        self._nodes += self._layout.expand(offset)
        self._pairs = _pair_rows(counts, order)
        stereo = _stereo(self._cohorts)
        self._stereo = None if stereo is None else stereo.take(self._nodes, self._pairs)
        contexts = [cohort.context for cohort in self._cohorts]
        told = [context for context in contexts if context is not None]
        self._context = torch.cat(told)[order] if told else None

    def _pairs_left(self) -> int:
        return sum(cohort.pairs_left for cohort in self._cohorts)

    @property
    def finished_share(self) -> float:
        """How much of the batch's work has become superfluous, 0 to 1."""
        return 1 - self._pairs_left() / self._work

    def advance(self, process: DiffusionProcess, denoiser: Denoiser) -> None:
        """Evaluate the network on what every unfinished cohort asks for, and answer them."""
        asked = self._asked(process.bonds)
        found = process.estimate(denoiser, asked)
        x_hat, bonds = process.clean(asked, found.noise), found.bonds
        if self._nodes is not None:
            everywhere = torch.cat([cohort.x_hat for cohort in self._cohorts])
            everywhere[self._nodes] = x_hat
            x_hat = everywhere
            if bonds is not None:
                everywhere = self._estimated_bonds()
                everywhere[self._pairs] = bonds
                bonds = everywhere
        layouts = [cohort.layout for cohort in self._cohorts]
        rows = x_hat.split_with_sizes([layout.n_nodes for layout in layouts])
        pairs: Sequence[Tensor | None] = [None] * len(layouts)
        if bonds is not None:
            pairs = bonds.split_with_sizes([len(layout.pairs.first) for layout in layouts])
        for cohort, x, b in zip(self._cohorts, rows, pairs, strict=True):
            if not cohort.finished:
                cohort.advance(x, b)

    def _estimated_bonds(self) -> Tensor:
        """The last estimates of all cohorts, of a process that knows bonds."""
        return torch.cat([c.bonds_hat for c in self._cohorts if c.bonds_hat is not None])

    def _asked(self, with_bonds: bool) -> Asked:
        w = torch.cat([cohort.query.w for cohort in self._cohorts])
        levels = _side_by_side([cohort.query.levels for cohort in self._cohorts])
        # Without a reference the network's gradients go through all it sees.
        told = any(cohort.started for cohort in self._cohorts)
        asked = Asked(w, levels, self._layout, self._context)
        if told:
            asked = asked.replace(previous=torch.cat([cohort.previous for cohort in self._cohorts]))
        if self._nodes is not None:
            previous = None if asked.previous is None else asked.previous[self._nodes]
            asked = asked.replace(w=w[self._nodes], levels=levels[self._nodes], previous=previous)
        asked = asked.replace(stereo=self._stereo)
        if not with_bonds:
            return asked
        bonds, previous = _bonds(self._cohorts), None
        wanted = any(cohort.wants_bonds for cohort in self._cohorts)
        if told and wanted:
            previous = self._estimated_bonds()
        if self._pairs is not None:
            bonds = None if bonds is None else bonds.take(self._pairs)
            previous = None if previous is None else previous[self._pairs]
        return asked.replace(bonds=bonds, previous_bonds=previous, wants_bonds=wanted)


def _bonds(cohorts: Sequence[Cohort]) -> Bonds | None:
    """What is given of the bonds of all cohorts; None: nothing."""
    if all(cohort.bonds is None for cohort in cohorts):
        return None
    return Bonds.join(cohort.bonds or Bonds.nothing(cohort.layout) for cohort in cohorts)


def _stereo(cohorts: Sequence[Cohort]) -> Stereo | None:
    """What is given of the stereo of all cohorts; None: nothing."""
    if all(cohort.stereo is None for cohort in cohorts):
        return None
    parts = [cohort.stereo or Stereo.nothing(cohort.layout) for cohort in cohorts]
    return Stereo(*map(torch.cat, zip(*parts, strict=True)))


def _pair_rows(counts: Tensor, order: Tensor) -> Tensor:
    """Rows of the pairs of the molecules ``order`` among those of molecules of these sizes."""
    n_pairs = counts * (counts - 1)
    chosen = n_pairs[order]
    offset = (n_pairs.cumsum(0) - n_pairs)[order] - (chosen.cumsum(0) - chosen)
    rows = torch.repeat_interleave(offset, chosen)
    return rows + torch.arange(len(rows), device=rows.device)


def _side_by_side(levels: list[Tensor]) -> Tensor:
    """Levels of cohorts, (A,), or (A, C) if some have a level for each channel."""
    width = max(rows.shape[1] if rows.dim() > 1 else 0 for rows in levels)
    if width:
        levels = [r if r.dim() > 1 else r.unsqueeze(1).expand(-1, width) for r in levels]
    return torch.cat(levels)

"""The unfinished molecules of several cohorts as one batch for the network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deepchem_ead.diffusion import Asked, AtomLayout, Denoiser, DiffusionProcess
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
        self._n_pairs = self._pairs_left()
        unfinished = torch.cat([cohort.unfinished for cohort in self._cohorts])
        if len(self._cohorts) == 1 and bool(unfinished.all()):
            (cohort,) = self._cohorts
            self._layout, self._context, self._nodes = cohort.layout, cohort.context, None
            return
        counts = torch.cat([cohort.layout.counts for cohort in self._cohorts])
        order = torch.argsort(counts, stable=True)
        order = order[unfinished[order]]
        self._layout = AtomLayout.from_counts(counts[order], device=counts.device)
        # Row of each node among all nodes of the cohorts, one cohort after the other.
        offset = (counts.cumsum(0) - counts)[order] - self._layout.starts
        self._nodes = torch.arange(self._layout.n_nodes, device=counts.device)
        self._nodes += self._layout.expand(offset)
        contexts = [cohort.context for cohort in self._cohorts]
        told = [context for context in contexts if context is not None]
        self._context = torch.cat(told)[order] if told else None

    def _pairs_left(self) -> int:
        return sum(cohort.pairs_left for cohort in self._cohorts)

    @property
    def finished_share(self) -> float:
        """How much of the batch's work has become superfluous, 0 to 1."""
        return 1 - self._pairs_left() / self._n_pairs

    def advance(self, process: DiffusionProcess, denoiser: Denoiser) -> None:
        """Evaluate the network on what every unfinished cohort asks for, and answer them."""
        w = torch.cat([cohort.query.w for cohort in self._cohorts])
        levels = _side_by_side([cohort.query.levels for cohort in self._cohorts])
        # Without a reference the network's gradients go through all it sees.
        told = any(cohort.started for cohort in self._cohorts)
        previous = torch.cat([cohort.previous for cohort in self._cohorts]) if told else None
        nodes = self._nodes
        asked = Asked(w, levels, self._layout, self._context, previous)
        if nodes is None:
            x_hat = process.clean(asked, process.estimate(denoiser, asked).noise)
        else:
            asked = asked.replace(
                w=w[nodes],
                levels=levels[nodes],
                previous=None if previous is None else previous[nodes],
            )
            x_hat = torch.cat([cohort.x_hat for cohort in self._cohorts])
            x_hat[nodes] = process.clean(asked, process.estimate(denoiser, asked).noise)
        sizes = [cohort.layout.n_nodes for cohort in self._cohorts]
        for cohort, rows in zip(self._cohorts, x_hat.split_with_sizes(sizes), strict=True):
            if not cohort.finished:
                cohort.advance(rows)


def _side_by_side(levels: list[Tensor]) -> Tensor:
    """Levels of cohorts, (A,), or (A, C) if some have a level for each channel."""
    width = max(rows.shape[1] if rows.dim() > 1 else 0 for rows in levels)
    if width:
        levels = [r if r.dim() > 1 else r.unsqueeze(1).expand(-1, width) for r in levels]
    return torch.cat(levels)

"""What a network that is applied to its own results said of each training molecule."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor, nn

from deepchem_ead.diffusion import AtomLayout, LastEstimate, turn

logger = logging.getLogger(__name__)


class LastEstimates(nn.Module):
    """The last estimate of every molecule of a data set, in the frame of its data.

    It is no part of the weights, and of a checkpoint of training only (`tensors`).

    Parameters
    ----------
    n_columns : int
        3 + F.
    """

    state: Tensor
    passes: Tensor
    starts: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        #: What the molecules are known by: another data set begins anew.
        self.fingerprint = 0
        # The last row of each is for what is not to be kept.
        for name, value in (
            ("state", torch.zeros(1, n_columns)),
            ("passes", torch.zeros(1, dtype=torch.int64)),
            ("starts", torch.zeros(1, dtype=torch.int64)),
        ):
            self.register_buffer(name, value, persistent=False)
        self._pending: tuple[Tensor, Tensor, Tensor] | None = None

    def prepare(self, counts: np.ndarray, fingerprint: int) -> None:
        """Make room for molecules of so many atoms (N,), unless it is made for them already.

        Parameters
        ----------
        counts : ndarray, (N,)
            In the order of the data set.
        fingerprint : int
            Of the data set.
        """
        if fingerprint == self.fingerprint and len(self.passes) == len(counts) + 1:
            return
        if bool(self.passes.any()):
            logger.warning(
                "other molecules than before: their estimates begin anew, with the first pass"
            )
        self.fingerprint, device = fingerprint, self.passes.device
        ends = torch.from_numpy(np.cumsum(np.asarray(counts, np.int64))).to(device)
        self.starts = torch.cat([ends.new_zeros(1), ends])
        self.state = self.state.new_zeros((int(ends[-1]) + 1, self.state.shape[1]))
        self.passes = ends.new_zeros(len(counts) + 1)

    def of(
        self, items: Tensor, told: Tensor, layout: AtomLayout, turns: Tensor | None = None
    ) -> LastEstimate:
        """Estimates of a batch.

        Parameters
        ----------
        items : Tensor, (B,) int64
            Which molecules of the data set they are.
        told : Tensor, (B,) bool
            Molecules whose estimate is to be told.
        layout : AtomLayout
        turns : Tensor, (B, 3, 3), optional
            How their data are turned.
        """
        state = self.state[self._rows(items, layout)]
        state = state if turns is None else turn(state, turns, layout)
        return LastEstimate(state, self.passes[items], told)

    def propose(
        self, items: Tensor, found: Tensor, layout: AtomLayout, turns: Tensor | None = None
    ) -> None:
        """Estimates (A, 3 + F) that are to be kept when the step has been made: see `commit`."""
        found = found if turns is None else turn(found, turns.mT, layout)
        # A batch may hold a molecule twice: the first counts.
        same = items.unsqueeze(1) == items
        first = same.to(torch.int8).argmax(1) == torch.arange(len(items), device=items.device)
        kept = torch.where(first, items, len(self.passes) - 1)
        rows = torch.where(layout.expand(first), self._rows(items, layout), len(self.state) - 1)
        self._pending = kept, rows, found.to(self.state.dtype)

    def commit(self) -> None:
        """Keep what was proposed last."""
        if self._pending is None:
            return
        kept, rows, found = self._pending
        self.state.index_copy_(0, rows, found)
        self.passes.index_copy_(0, kept, self.passes[kept] + 1)
        self._pending = None

    def _rows(self, items: Tensor, layout: AtomLayout) -> Tensor:
        place = torch.arange(layout.n_nodes, device=items.device) - layout.expand(layout.starts)
        return layout.expand(self.starts[items]) + place

    def tensors(self) -> dict[str, Tensor]:
        """All of it, for a checkpoint; nothing before training."""
        if len(self.passes) == 1:
            return {}
        fingerprint = torch.tensor(self.fingerprint)
        return {
            "state": self.state[:-1], "passes": self.passes[:-1], "starts": self.starts,
            "fingerprint": fingerprint,
        }  # fmt: skip

    def load(self, tensors: dict[str, Tensor]) -> None:
        """What `tensors` gave."""
        if not tensors:
            return
        self.fingerprint = int(tensors["fingerprint"])
        for name, n_spare in (("state", 1), ("passes", 1), ("starts", 0)):
            here = getattr(self, name)
            stored = tensors[name].to(here)
            setattr(self, name, torch.cat([stored, stored.new_zeros(n_spare, *stored.shape[1:])]))

"""The processes that train one model together: who has which molecules, where gradients meet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout


@dataclass(frozen=True)
class World:
    """One process alone; the base of those that are several.

    Every process makes the same joint batch, with the same noise, and computes its `share` of it;
    the averaged gradients are those of the joint batch, whatever the number of processes.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    """

    rank: int = 0
    size: int = 1

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes, in place."""

    def share(self, batch: tuple[Any, list, list]) -> tuple[tuple[Any, list, list], Tensor | float]:
        """The part of a batch that this process computes, and what its loss counts.

        Parameters
        ----------
        batch : (dict, list of Tensor, list of Tensor)
            Inputs of a network with their ``layout`` and ``rank``, labels and weights, (B, ...) in
            the order of the input rows.

        Returns
        -------
        batch
            Molecules ``rank``, ``rank + size``, ... of the layout, a fair share of each size.
        factor : Tensor or float
            Of a loss that is a mean over the batch's weights: the mean over all processes of this
            times their loss is the loss of the joint batch.
        """
        if self.size == 1:
            return batch, 1.0
        inputs, labels, weights = batch
        layout, place = inputs["layout"], inputs["rank"]
        atoms = layout.index % self.size == self.rank
        rows = place % self.size == self.rank

        def part(name: str, value: Any) -> Any:
            if name == "layout":
                return AtomLayout.from_counts(layout.counts[self.rank :: self.size], atoms.device)
            if name == "rank":
                return place[rows] // self.size
            if isinstance(value, tuple):
                return type(value)(*(part("", each) for each in value))
            if not isinstance(value, Tensor):
                return value
            # Where there are as many atoms as molecules, both are the same.
            return value[atoms] if len(value) == len(atoms) else value[self.rank :: self.size]

        mine = {name: part(name, value) for name, value in inputs.items()}
        total, own = (sum(w.sum() for w in each) for each in (weights, [w[rows] for w in weights]))
        shared = (mine, [y[rows] for y in labels], [w[rows] for w in weights])
        return shared, own * self.size / total


class ProcessGroup(World):
    """The processes of PyTorch's default group (`torch.distributed.init_process_group`)."""

    def __init__(self) -> None:
        super().__init__(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def average(self, tensors: Iterable[Tensor]) -> None:
        tensors = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

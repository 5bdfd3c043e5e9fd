"""Where training molecules lie, and how they become the batches of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch

from deepchem_ead.generator.config import EADConfig
from deepchem_ead.training.noising import noised, seed_of
from deepchem_ead.training.resident_data import ResidentMolecules

#: Inputs of the network, labels and weights.
Batch = tuple[Any, list, list]


class Placement(Protocol):
    """Where the data lie.

    Attributes
    ----------
    n_batches : int
        Of an epoch.
    """

    n_batches: int

    def begin(self, epoch: int, batch: int, step: int) -> None:
        """Go to a batch of an epoch, of which step ``step`` learns; the host's part."""

    def batch(self) -> Batch:
        """The batch; the device's part, which may be recorded and replayed for others."""

    def ids(self) -> Sequence:
        """Names of the batch's molecules."""


class HostPlacement:
    """Molecules are read and encoded as they come, and copied to the device.

    Any data set will do, in the memory of one part of it, and every molecule comes once an epoch.

    Parameters
    ----------
    epochs : callable
        ``epochs(epoch, skip=0)``: rows of the batches of an epoch, with their ``ids``.
    n_batches : int
    prepare : callable
        From rows and the number of a step to a batch on the device.
    """

    def __init__(
        self, epochs: Callable[..., Iterator], n_batches: int, prepare: Callable[[Any], Batch]
    ) -> None:
        self.n_batches = n_batches
        self._epochs, self._prepare = epochs, prepare
        self._rows: Iterator = iter(())
        self._at: tuple[int, int] | None = None
        self._raw: Any = None

    def begin(self, epoch: int, batch: int, step: int) -> None:
        if self._at != (epoch, batch):
            self._rows = self._epochs(epoch, skip=batch)
        self._raw = next(self._rows)
        self._at = (epoch, batch + 1)

    def batch(self) -> Batch:
        return self._prepare(self._raw)

    def ids(self) -> Sequence:
        return self._raw.ids


class ResidentPlacement:
    """Encoded molecules and all that is drawn for them stay on the device.

    All batches have one shape (see `ResidentMolecules`), and nothing in `batch` waits for the
    device, so that a GPU's work can be recorded as one CUDA graph. On a GPU its own generator
    draws, seeded by seed and step; on the CPU the numbers are those of `HostPlacement`.

    Parameters
    ----------
    molecules : ResidentMolecules
    config : EADConfig
    equivariant : bool
        Of the denoiser.

    Attributes
    ----------
    generator : torch.Generator or None
        What draws on a GPU.
    """

    def __init__(self, molecules: ResidentMolecules, config: EADConfig, equivariant: bool) -> None:
        self.molecules, self.config, self.equivariant = molecules, config, equivariant
        self.n_batches = molecules.steps_per_epoch
        device = molecules.device
        self.generator: torch.Generator | None = None
        if device.type == "cuda":
            self.generator = torch.cuda.default_generators[device.index or 0]
        self._plan, self._planned = molecules.plan(0, 0), (0, 0)
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._rank = torch.arange(len(self._plan.weight), device=device)
        self._at, self._step = 0, 0

    def begin(self, epoch: int, batch: int, step: int) -> None:
        planned = (epoch, step - batch)
        if planned != self._planned:
            # Copied, because a graph knows the tensors by their addresses.
            for target, source in zip(self._plan, self.molecules.plan(*planned), strict=True):
                target.copy_(source)
            self._planned = planned
        self._row.fill_(batch)
        self._at, self._step = batch, step
        if self.generator is not None:
            self.generator.manual_seed(seed_of(self.config.seed, step))

    def batch(self) -> Batch:
        plan, molecules = self._plan, self.molecules
        chosen, fixed_size, seen = (
            table.index_select(0, self._row)[0]
            for table in (plan.molecules, plan.fixed_size, plan.seen)
        )
        encoded = molecules.gather(chosen)
        key = self._step if self.generator is None else self.generator
        inputs = noised(encoded, self.config, key, self.equivariant)
        inputs |= {"fixed_size": fixed_size, "conditions": None, "rank": self._rank}
        inputs["items"] = molecules.rows_of(chosen)
        if self.config.condition_names:
            inputs["conditions"] = molecules.conditions(chosen).masked_fill(~seen, torch.nan)
        return inputs, [], [plan.weight.unsqueeze(1)]

    def ids(self) -> Sequence:
        return self.molecules.ids_of(self._plan.molecules[self._at].tolist())

"""Training molecules that live on the device, in batches that all have the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding, EncodedMolecules
from deepchem_ead.training.noising import training_conditions, training_nodes


class DoesNotFitError(ValueError):
    """These molecules cannot stay on the device."""


class EpochPlan(NamedTuple):
    """Which molecules an epoch trains on: S steps of B slots.

    Attributes
    ----------
    molecules : Tensor, (S, B) int64
        Molecule of each slot.
    fixed_size : Tensor, (S, B) bool
        Slots whose molecule has no dummy atoms and is flagged so (see `noising.training_nodes`).
    seen : Tensor, (S, B, P) bool
        Properties that are not hidden (see `noising.training_conditions`).
    weight : Tensor, (B,) float32
        Weight of each slot's loss; they sum to 1.
    """

    molecules: Tensor
    fixed_size: Tensor
    seen: Tensor
    weight: Tensor


class ResidentMolecules:
    """Encoded molecules on the device, and batches of one shape gathered from them.

    Every batch holds the same number of molecules of each number of nodes, so that there is one
    layout, known to the host, and one graph of the device's work. The composition follows the
    training set as closely as whole numbers allow, with at least one molecule of every size. What
    is rounded is made up for by weights: if N of M molecules have a size that fills c slots of a
    batch, each of these slots has the weight N / (M c). So the expected gradient is exactly that
    of batches drawn at random. (Rare sizes are repeated, with little weight, and a molecule of a
    frequent size may have to wait for the next epoch.)

    Parameters
    ----------
    X : ndarray, (M, width, 4)
        x, y, z in Angstrom and the atomic number (0 for padding).
    encoding : AtomEncoding
    config : EADConfig
        Its ``batch_size`` B, seed and dummy atoms.
    device : torch.device
    properties : ndarray, (M, P), optional
        Conditions, NaN where unknown.
    ids : sequence, optional
        Names of the molecules; their numbers by default.

    Attributes
    ----------
    layout : AtomLayout
        Of every batch, on the device, sorted by size.
    steps_per_epoch : int
        S = M / B, rounded down, at least 1.

    Raises
    ------
    MoleculeError
        If a molecule cannot be used.
    ValueError
        If there are no molecules.
    DoesNotFitError
        If the batch has fewer slots than there are sizes.
    """

    def __init__(
        self,
        X: np.ndarray,
        encoding: AtomEncoding,
        config: EADConfig,
        device: torch.device,
        properties: np.ndarray | None = None,
        ids: Sequence | None = None,
    ) -> None:
        if len(X) == 0:
            raise ValueError("there are no molecules to train on")
        self.config = config
        self.device = device
        counts = encoding.count_atoms(X, ids)
        encoded = encoding.encode(X, n_nodes=counts if config.variable_size else None)
        #: Row of X of each molecule, (M,).
        self.rows = encoded.order
        self._rows = torch.from_numpy(self.rows).to(device)
        #: Atoms of each molecule, (M,), on the host; molecules are sorted by it.
        self.counts = counts[encoded.order]
        self._ids = np.asarray(range(len(X)) if ids is None else ids)[encoded.order]
        if properties is None:
            properties = np.zeros((len(X), 0))
        #: Properties (M, P) of the molecules in the same order, on the host.
        self.properties = np.asarray(properties, np.float64)[encoded.order]
        self._properties = torch.from_numpy(self.properties).to(device)
        clean, bonds, centres = encoded.clean, encoded.bonds, encoded.centres
        if config.variable_size:
            # A dummy atom is the last row of a molecule with one node too many.
            padded = encoding.encode(X[:1], n_nodes=counts[:1] + 1)
            clean = torch.cat([clean, padded.clean[-1:]])
        self._clean = clean.to(device)
        self._bonds, self._centres = (
            None if table is None else self._with_dummy(table).to(device)
            for table in (bonds, centres)
        )
        self._counts = encoded.layout.counts.to(device)
        self._starts = encoded.layout.starts.to(device)
        self.steps_per_epoch = max(len(X) // config.batch_size, 1)

        self._sizes = self._possible_sizes()
        nodes, _ = self._draw_nodes(np.arange(len(self.counts)), epoch=0)
        frequencies = np.array([(nodes == size).sum() for size in self._sizes])
        self._slots = compose(frequencies, config.batch_size, self._sizes)
        layout = AtomLayout.from_counts(np.repeat(self._sizes, self._slots))
        place = torch.arange(layout.n_nodes) - layout.expand(layout.starts)
        self.layout, self._place = layout.to(device), place.to(device)
        self._order = np.arange(layout.n_molecules)

    @property
    def n_molecules(self) -> int:
        """Number M of molecules."""
        return len(self.counts)

    def ids_of(self, molecules: Sequence[int]) -> list:
        """Names of molecules by their numbers here."""
        return self._ids[molecules].tolist()

    def rows_of(self, molecules: Tensor) -> Tensor:
        """Rows of X of a batch of molecules (B,), on the device."""
        return self._rows[molecules]

    def plan(self, epoch: int, first_step: int = 0) -> EpochPlan:
        """The molecules of an epoch, on the device.

        Which they are depends on seed and epoch only, which of their properties are seen on the
        seed and the number of the step.
        """
        shuffled = np.random.default_rng([self.config.seed, epoch]).permutation(self.n_molecules)
        nodes, fixed = self._draw_nodes(shuffled, epoch)
        steps = self.steps_per_epoch
        molecules, flags, weights = [], [], []
        for size, slots in zip(self._sizes, self._slots, strict=True):
            members = np.flatnonzero(nodes == size)
            weights.append(np.full(slots, len(members) / (self.n_molecules * slots)))
            if not len(members):  # any molecule that fits, with the weight 0
                members = np.flatnonzero(self.counts[shuffled] <= size)[:1]
            rows = np.resize(members, (steps, slots))  # starts over where they do not suffice
            molecules.append(shuffled[rows])
            flags.append(fixed[rows] & (nodes[rows] == size))
        seen = np.zeros((steps, self.layout.n_molecules, 0), bool)
        if self.config.condition_names:
            n = self.layout.n_molecules
            drawn = [training_conditions(n, self.config, first_step + k) for k in range(steps)]
            seen = np.stack(drawn)
        return EpochPlan(
            torch.from_numpy(np.concatenate(molecules, 1)).to(self.device),
            torch.from_numpy(np.concatenate(flags, 1)).to(self.device),
            torch.from_numpy(seen).to(self.device),
            torch.from_numpy(np.concatenate(weights).astype(np.float32)).to(self.device),
        )

    def gather(self, molecules: Tensor) -> EncodedMolecules:
        """A batch of molecules (B,)."""
        owner = self.layout.expand(molecules)
        rows = self._starts[owner] + self._place
        is_dummy = None
        if self.config.variable_size:
            is_dummy = self._place >= self._counts[owner]
            rows = rows.masked_fill(is_dummy, len(self._clean) - 1)
        bonds, centres = (
            None if table is None else table[rows] for table in (self._bonds, self._centres)
        )
        return EncodedMolecules(
            self._clean[rows], self.layout, is_dummy, self._order, bonds, centres
        )

    def _with_dummy(self, table: Tensor) -> Tensor:
        """A table of atoms with a row of zeros for dummy atoms, where there are some."""
        extra = torch.zeros_like(table[:1])
        return torch.cat([table, extra]) if self.config.variable_size else table

    def conditions(self, molecules: Tensor) -> Tensor:
        """Properties (B, P) float64 of a batch of molecules (B,), NaN where unknown."""
        return self._properties[molecules]

    def _possible_sizes(self) -> np.ndarray:
        own, config = np.unique(self.counts), self.config
        if not config.variable_size:
            return own
        if config.dummy_padding == "random":
            return np.arange(own[0], config.most_nodes(own).max() + 1)
        return np.union1d(own if config.p_fixed_size > 0 else [], [config.max_atoms]).astype(int)

    def _draw_nodes(self, molecules: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        counts = self.counts[molecules]
        if not self.config.variable_size:
            return counts, np.zeros(len(counts), bool)
        return training_nodes(counts, self.config, epoch)


def compose(frequencies: np.ndarray, n_slots: int, sizes: np.ndarray) -> np.ndarray:
    """Share the slots of a batch among sizes by their frequencies, at least one each.

    Slots go, one by one, to the size whose molecules would weigh most: the largest weight is as
    small as it can be (D'Hondt's method).

    Parameters
    ----------
    frequencies : ndarray, (K,)
        Molecules of each size.
    n_slots : int
        Slots of a batch.
    sizes : ndarray, (K,)
        For the error message.

    Returns
    -------
    ndarray, (K,) int64
        Sums to ``n_slots``.

    Raises
    ------
    DoesNotFitError
        If there are fewer slots than sizes.
    """
    if n_slots < len(frequencies):
        raise DoesNotFitError(
            f"batch_size={n_slots}, but molecules come in {len(frequencies)} sizes "
            f"({sizes[0]} to {sizes[-1]} nodes) and every batch needs one of each; "
            f"use batch_size={len(frequencies)} or more"
        )
    slots = np.ones(len(frequencies), np.int64)
    for _ in range(n_slots - len(frequencies)):
        slots[np.argmax(frequencies / slots)] += 1
    return slots

"""Batches made on the host: molecules of a dataset encoded, and what is drawn for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding, EncodedMolecules
from deepchem_ead.training.noising import (
    evaluation_bond_eps,
    evaluation_nodes,
    evaluation_noise,
    node_weights,
    noised,
    training_bonds,
    training_conditions,
    training_nodes,
    training_stereo,
)


@dataclass(frozen=True)
class Noising:
    """From rows of a dataset to what `EADNetwork.forward` takes, on the host.

    `ResidentPlacement` does the same where the molecules stay on the device.

    Attributes
    ----------
    config : EADConfig
    encoding : AtomEncoding
    equivariant : bool
        Of the denoiser; one that is not is trained on molecules turned at random.
    """

    config: EADConfig
    encoding: AtomEncoding
    equivariant: bool

    def training(
        self,
        X: np.ndarray,
        ids: Sequence | None,
        conditions: np.ndarray | None,
        step: int,
        rows: np.ndarray | None = None,
    ) -> dict:
        """A batch to learn from: everything random depends on the seed and the step only.

        Parameters
        ----------
        X : ndarray, (B, width, 4)
            x, y, z and the atomic number.
        ids : sequence, optional
            Of the molecules, for error messages.
        conditions : ndarray, (B, P), optional
            Properties of each molecule, NaN where unknown. Some of them are hidden.
        step : int
        rows : ndarray, (B,) int64, optional
            Rows of the molecules in the data set, by which their estimates are kept.
        """
        encoded, fixed_size = self._encode(X, ids, training_nodes, step)
        if conditions is not None:
            seen = training_conditions(len(conditions), self.config, step)
            conditions = np.where(seen, conditions, np.nan)
        batch = noised(encoded, self.config, step, self.equivariant)
        batch["items"] = None if rows is None else torch.from_numpy(rows[encoded.order])
        return batch | _told(encoded, fixed_size, conditions)

    def evaluation(
        self,
        X: np.ndarray,
        ids: Sequence | None,
        conditions: np.ndarray | None,
        rows: np.ndarray,
    ) -> dict:
        """A batch to be scored: a molecule's draws depend on the seed and its row (B,) only."""
        encoded, fixed_size = self._encode(X, ids, evaluation_nodes, rows)
        levels, eps, bonded = evaluation_noise(encoded, self.config, rows)
        bond_eps = evaluation_bond_eps(encoded, self.config, rows)
        return _told(encoded, fixed_size, conditions) | {
            "clean": encoded.clean,
            "levels": levels,
            "eps": eps,
            "earlier": None,
            "told": None,
            "turns": None,
            "items": None,
            "layout": encoded.layout,
            "node_weight": node_weights(encoded.is_dummy, self.config),
            "bonds": training_bonds(encoded, bonded, bond_eps),
            "stereo": training_stereo(encoded, bonded, self.config, None),
        }

    def _encode(self, X, ids, draw_nodes, key) -> tuple[EncodedMolecules, np.ndarray | None]:
        n_nodes = fixed_size = None
        if self.config.variable_size:
            counts = self.encoding.count_atoms(X, ids)
            n_nodes, fixed_size = draw_nodes(counts, self.config, key)
        return self.encoding.encode(X, ids, n_nodes), fixed_size


def _told(
    encoded: EncodedMolecules, fixed_size: np.ndarray | None, conditions: np.ndarray | None
) -> dict:
    """What molecules are told, in the order of the layout, and where each input row went."""
    order = encoded.order
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(rank))
    return {
        "fixed_size": None if fixed_size is None else torch.from_numpy(fixed_size[order]),
        "conditions": None if conditions is None else torch.from_numpy(conditions[order]),
        "rank": torch.from_numpy(rank),
    }

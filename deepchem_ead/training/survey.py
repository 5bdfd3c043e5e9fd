"""The look at a data set before the first step: what would spoil the run, what is measured once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepchem_ead.chem.overlap import warn_of_overlaps
from deepchem_ead.generator.encoding import AtomEncoding, warn_of_open_shells
from deepchem_ead.molnet.labels import MAX_LABEL
from deepchem_ead.properties.labels import (
    LabelStatistics,
    check_training_labels,
    check_units,
    select_labels,
)
from deepchem_ead.training.estimates import prepare_estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepchem.data import Dataset

    from deepchem_ead.generator.config import EADConfig
    from deepchem_ead.generator.network import EADNetwork
    from deepchem_ead.properties.network import PropertyNetwork


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over N training molecules finds.

    Attributes
    ----------
    compositions : ndarray, (N, n_elements) int64
        Atoms of each element of the encoding.
    n_atoms : ndarray, (N,) int64
    odd : ndarray, (N,) bool
        Molecules with an odd number of electrons if they are neutral.
    y, w : ndarray, (N, T)
        Labels and their weights, 0 where there is no label.
    ids : list
    """

    compositions: np.ndarray
    n_atoms: np.ndarray
    odd: np.ndarray
    y: np.ndarray
    w: np.ndarray
    ids: list

    @classmethod
    def of(cls, dataset: Dataset, encoding: AtomEncoding, columns: Sequence[int]) -> Survey:
        """Look at all molecules; warn of atoms on top of each other.

        Raises
        ------
        MoleculeError
            If a molecule cannot be read by the model.
        """
        found: dict[str, list] = {name: [] for name in ("n_atoms", "odd", "y", "w", "compositions")}
        ids: list = []
        overlaps: list = []
        for X, y, w, names in dataset.iterbatches(4096, deterministic=True):
            found["n_atoms"].append(encoding.count_atoms(X, names))
            overlaps.extend(
                o._replace(molecule=o.molecule + len(ids)) for o in encoding.overlaps(X)
            )
            charge = X[:, :, 4].sum(1) if encoding.has_charges else 0
            found["odd"].append((X[:, :, 3].sum(1) - charge) % 2 == 1)
            found["compositions"].append((X[:, :, 3, None] == encoding.elements).sum(1))
            labels, weights = np.zeros((len(X), 0)), np.zeros((len(X), 0), np.float32)
            if columns:
                labels, weights = select_labels(y, w, columns)
            found["y"].append(labels)
            found["w"].append(weights)
            ids.extend(names)
        warn_of_overlaps(overlaps, len(ids), ids)
        return cls(**{name: np.concatenate(parts) for name, parts in found.items()}, ids=ids)


def prepare_generator(
    network: EADNetwork,
    config: EADConfig,
    encoding: AtomEncoding,
    dataset: Dataset,
    columns: Sequence[int],
) -> None:
    """Check a generator's training data, and count sizes and labels if that is not done.

    Raises
    ------
    MoleculeError, ValueError
        If a molecule cannot be read, or labels cannot be learned from.
    """
    rows = dataset.iterbatches(4096, deterministic=True)
    prepare_estimates(network, encoding, ((X, ids) for X, _, _, ids in rows))
    counted = network.size_counts.any() and network.statistics is None
    if counted and not config.closed_shell:
        return
    survey = Survey.of(dataset, encoding, columns)
    if config.closed_shell:
        warn_of_open_shells(survey.odd, survey.ids)
    if not network.size_counts.any():
        counts = np.bincount(survey.n_atoms, minlength=len(network.size_counts))
        network.size_counts.copy_(torch.from_numpy(counts))
    if network.statistics is None:
        return
    known = np.where(survey.w > 0, survey.y, np.nan)
    check_units(dataset, known, config.condition_names)
    measured = network.statistics.measured
    # Later data may be constant (single batches), but not infinite.
    suspect = np.flatnonzero((np.abs(known) > MAX_LABEL).any(0) | (not measured))
    names = [config.condition_names[k] for k in suspect]
    check_training_labels(known[:, suspect], ~np.isnan(known[:, suspect]), names, survey.ids)
    if not measured:
        network.statistics.measure(known, survey.n_atoms)


def prepare_predictor(
    network: PropertyNetwork,
    tasks: Sequence[str],
    encoding: AtomEncoding,
    dataset: Dataset,
    columns: Sequence[int],
    baseline: bool,
) -> None:
    """Check a property model's training data, and fit what normalises its labels if need be.

    Raises
    ------
    MoleculeError, ValueError
        If a molecule cannot be read, or labels cannot be learned from.
    """
    survey = Survey.of(dataset, encoding, columns)
    check_training_labels(survey.y, survey.w, tasks, survey.ids)
    if not network.n_labels.any():
        network.set_statistics(
            LabelStatistics.fit(survey.y, survey.w, survey.compositions, baseline)
        )

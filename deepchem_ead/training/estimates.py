"""Room for what a network with the direct objective said of each training molecule."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from torch import nn

from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.training.world import World


def prepare_estimates(
    network: EADNetwork,
    encoding: AtomEncoding,
    batches: Iterable[tuple[np.ndarray, Sequence | None]],
) -> None:
    """Prepare a network for the molecules of a data set, if it keeps estimates of them.

    Parameters
    ----------
    network : EADNetwork
    encoding : AtomEncoding
    batches : iterable of (ndarray, sequence or None)
        X (B, width, 4) of all molecules in their order, and their names.

    Raises
    ------
    MoleculeError
        If a molecule cannot be read by the model.
    """
    if network.last_estimates is None:
        return
    counts, fingerprint = [], 0
    for X, ids in batches:
        counts.append(encoding.count_atoms(X, ids))
        fingerprint = zlib.crc32(np.ascontiguousarray(X, np.float32).tobytes(), fingerprint)
    network.last_estimates.prepare(np.concatenate(counts), fingerprint)


def refuse_several(network: nn.Module, world: World) -> None:
    """Refuse several processes where each would keep the estimates of its own share only.

    Raises
    ------
    ValueError
    """
    if world.size > 1 and getattr(network, "last_estimates", None) is not None:
        raise ValueError(
            "objective='direct' keeps an estimate of every molecule in one process, and "
            f"{world.size} train together; train in one, or with objective='noise'"
        )

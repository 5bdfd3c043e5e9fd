"""How many nodes a molecule is generated from, and whether all of them are atoms."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deepchem_ead.models.ead import EADModel

logger = logging.getLogger(__name__)

#: Words for ``n_atoms``.
DRAWN_SIZES = ("histogram", "from-conditions")


def node_counts(
    model: EADModel,
    n_atoms: int | Sequence[int] | str | None,
    values: np.ndarray,
    indices: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, bool]:
    """Nodes of each molecule (n,), and whether every node is an atom.

    Parameters
    ----------
    model : EADModel
    n_atoms : int, sequence of int, str or None
        Numbers of atoms, or from where to draw them: "histogram" of the training set, or
        "from-conditions", p(size | properties). Numbers may exceed ``max_atoms``, with a warning.
        None leaves the size to a model that knows dummy atoms: it gets ``max_atoms`` nodes or, if
        it was trained with random padding, as many as a training molecule with these properties
        would have had. For other models None is "from-conditions" where properties are asked for
        and "histogram" otherwise.
    values : ndarray, (n, P)
        Properties asked for, NaN where not.
    indices : ndarray, (n,)
        Number of each molecule in the job. Its size depends on this and the seed only.
    seed : int

    Raises
    ------
    ValueError
        For sizes below 1, an unknown word, or if sizes are to be drawn and the model has seen no
        data or is asked for no properties.
    """
    config = model.config
    if isinstance(n_atoms, str):
        if n_atoms not in DRAWN_SIZES:
            raise ValueError(
                f"n_atoms={n_atoms!r}: give numbers of atoms, or one of {', '.join(DRAWN_SIZES)}"
            )
        if n_atoms == "from-conditions" and not np.isfinite(values).any():
            raise ValueError("n_atoms='from-conditions' needs conditions to draw sizes from")
    elif n_atoms is not None:
        return _given(n_atoms, indices, config.max_atoms), True
    elif config.variable_size and config.dummy_padding == "full":
        return np.full(len(indices), config.max_atoms), False

    counts = model.model.size_counts.cpu().numpy()
    if not counts.any():
        raise ValueError(
            "the model has seen no data to draw molecule sizes from; fit it first or pass n_atoms"
        )
    probabilities = (counts / counts.sum())[None]
    if n_atoms != "histogram" and np.isfinite(values).any():
        probabilities = model.model.statistics.size_probabilities(values, counts)
    thresholds = probabilities.cumsum(1)
    thresholds /= thresholds[:, -1:]
    # The third word keeps these draws apart from the molecule's noise.
    draws = [np.random.default_rng([seed, int(i), 1]).random(2) for i in indices]
    draws = np.array(draws).reshape(-1, 2)
    sizes = (thresholds <= draws[:, :1]).sum(1)
    if n_atoms is not None or not config.variable_size:
        return sizes, True
    # Dummy atoms as in training: given the nodes, the model then finds sizes as they are in data.
    return sizes + (draws[:, 1] * (config.max_atoms + 1 - sizes)).astype(np.int64), False


def _given(n_atoms: int | Sequence[int], indices: np.ndarray, max_atoms: int) -> np.ndarray:
    sizes = np.asarray(n_atoms, dtype=np.int64)
    if sizes.ndim > 0 and sizes.shape != indices.shape:
        raise ValueError(f"n_atoms has {sizes.size} entries for {len(indices)} molecules")
    sizes = np.broadcast_to(sizes, indices.shape)
    if (sizes < 1).any():
        raise ValueError(f"n_atoms must be at least 1, not {sizes[sizes < 1][0]}")
    largest = int(sizes.max(initial=0))
    if largest > max_atoms:
        # A given size takes no table and no padding, only a network, which knows no largest size.
        logger.warning(
            "n_atoms=%d: the model was trained on molecules of up to %d atoms", largest, max_atoms
        )
    return sizes

"""How many nodes a molecule is generated from, and whether all of them are atoms."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import numpy as np
import torch

from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.trained import Generator

logger = logging.getLogger(__name__)

#: Words for ``n_atoms``.
SIZE_WORDS = ("free", "histogram", "from-conditions")


def finds_size(config: EADConfig, n_atoms: int | Sequence[int] | str | None) -> bool:
    """Whether the model is to find the number of atoms, with dummy atoms."""
    if n_atoms is None:
        return config.meets_dummies and config.sizes == "free"
    return isinstance(n_atoms, str) and n_atoms == "free"


def node_counts(
    model: Generator,
    n_atoms: int | Sequence[int] | str | None,
    values: np.ndarray,
    indices: np.ndarray,
    seed: int,
    least: np.ndarray | None = None,
) -> tuple[np.ndarray, bool]:
    """Nodes of each molecule (n,), and whether every node is an atom.

    Parameters
    ----------
    model : Generator
    n_atoms : int, sequence of int, str or None
        Numbers of atoms, which may exceed ``max_atoms``, with a warning; from where to draw them:
        "histogram" of the training set, or "from-conditions", p(size | properties); or "free": a
        model that knows dummy atoms gets ``max_atoms`` nodes or, if it was trained with random
        padding, as many as a training molecule with these properties would have had, and finds
        the size. None is what the configuration says, and sizes are drawn "from-conditions" where
        properties are asked for, from the "histogram" otherwise.
    values : ndarray, (n, P)
        Properties asked for, NaN where not.
    indices : ndarray, (n,)
        Number of each molecule in the job. Its size depends on this and the seed only.
    seed : int
    least : ndarray, (n,), optional
        Sizes that are drawn are at least these, as they are distributed there.

    Raises
    ------
    ValueError
        For sizes below 1, an unknown word, or if sizes are to be drawn or found and the model has
        seen no data, is asked for no properties or knows no dummy atoms.
    """
    config = model.config
    conditional = bool(np.isfinite(values).any())
    if isinstance(n_atoms, str):
        if n_atoms not in SIZE_WORDS:
            raise ValueError(
                f"n_atoms={n_atoms!r}: give a number of atoms (18, not '18'), a list of them, or "
                f"one of {', '.join(SIZE_WORDS)}"
            )
        if n_atoms == "from-conditions" and not conditional:
            raise ValueError("n_atoms='from-conditions' needs conditions to draw sizes from")
        if n_atoms == "free" and not config.meets_dummies:
            raise ValueError(
                "n_atoms='free' needs a model that knows dummy atoms (trained with "
                "variable_size=True and p_fixed_size below 1)"
            )
    elif n_atoms is not None:
        return _given(n_atoms, indices, config.max_atoms), True
    free = finds_size(config, n_atoms)
    if free and config.dummy_padding == "full":
        return np.full(len(indices), config.max_atoms), False

    counts = model.model.size_counts.cpu().numpy()
    if not counts.any():
        raise ValueError(
            "the model has seen no data to draw molecule sizes from; fit it first or pass n_atoms"
        )
    probabilities = (counts / counts.sum())[None]
    if n_atoms != "histogram" and conditional:
        probabilities = model.model.statistics.size_probabilities(values, counts)
    if least is not None:
        probabilities = _at_least(probabilities, least, free)
    thresholds = probabilities.cumsum(1)
    thresholds /= thresholds[:, -1:]
    # The third word keeps these draws apart from the molecule's noise.
    draws = [np.random.default_rng([seed, int(i), 1]).random(2) for i in indices]
    draws = np.array(draws).reshape(-1, 2)
    sizes = (thresholds <= draws[:, :1]).sum(1)
    if not free:
        return sizes, True
    # Dummy atoms as in training: given the nodes, the model then finds sizes as they are in data.
    room = config.most_nodes(sizes) - sizes
    return sizes + (draws[:, 1] * (room + 1)).astype(np.int64), False


def _at_least(probabilities: np.ndarray, least: np.ndarray, free: bool) -> np.ndarray:
    """Probabilities (n, S) of sizes (1, S) or (n, S) without those below ``least`` (n,).

    Where nothing is left a model that finds the size gets the smallest one and dummy atoms.
    """
    sizes = np.arange(probabilities.shape[1])
    kept = np.where(sizes >= least[:, None], probabilities, 0)
    none = kept.sum(1) == 0
    if free:
        kept = np.where(none[:, None], sizes == least[:, None], kept)
        none = kept.sum(1) == 0
    if none.any():
        i = int(none.argmax())
        raise ValueError(
            f"molecule {i} is to have at least {least[i]} atoms, and the model has seen none of so "
            "many; pass n_atoms"
        )
    return kept


def check_memory(model: Generator, nodes: np.ndarray, batch_size: int | None) -> None:
    """Refuse molecules (n,) of so many nodes that computing them would not fit into memory.

    Raises
    ------
    ValueError
        With the largest size that would.
    """
    together = np.sort(nodes.astype(np.int64) ** 2)[::-1][: batch_size or 1]
    denoiser = model.model.denoiser
    kernel, plain = denoiser.bytes_per_pair
    bytes_per_pair = plain if denoiser.active_backend.startswith("torch") else kernel
    memory = total_memory(model.device)
    needed = int(together.sum()) * bytes_per_pair
    if memory is None or needed <= memory:
        return
    largest = int((memory / bytes_per_pair / len(together)) ** 0.5)
    raise ValueError(
        f"{len(together)} molecule(s) of up to {nodes.max()} atoms at once take about "
        f"{needed / 2**30:,.0f} GiB, and there are {memory / 2**30:,.0f}; ask for at most "
        f"{largest:,} atoms" + (", or a smaller batch_size" if len(together) > 1 else "")
    )


def total_memory(device: torch.device) -> int | None:
    """Bytes of memory of a device, None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _given(n_atoms: int | Sequence[int], indices: np.ndarray, max_atoms: int) -> np.ndarray:
    sizes = whole_numbers(n_atoms)
    if sizes.ndim > 0 and sizes.shape != indices.shape:
        raise ValueError(f"n_atoms has {sizes.size} entries for {len(indices)} molecules")
    sizes = np.broadcast_to(sizes, indices.shape)
    if (sizes < 1).any():
        raise ValueError(f"n_atoms must be at least 1, not {sizes[sizes < 1][0]}")
    largest = int(sizes.max(initial=0))
    if largest > max_atoms:
        # A given size takes no table and no padding, only a network, which knows no largest size.
        logger.warning(
            "a molecule of %d atoms: the model was trained on molecules of up to %d",
            largest,
            max_atoms,
        )
    return sizes


def whole_numbers(n_atoms) -> np.ndarray:
    """Numbers of atoms as int64.

    Raises
    ------
    ValueError
        If one of them is not a whole number.
    """
    try:
        given = np.asarray(n_atoms)
    except ValueError:  # rows of different lengths
        given = np.asarray(n_atoms, dtype=object)
    if given.size == 0:
        return given.astype(np.int64)
    # A bool is an integer to Python, and a fraction would be cut off.
    good = given.dtype.kind in "iuf" and np.isfinite(given).all() and (given % 1 == 0).all()
    if not good:
        wrong = next((v for v in np.ravel(given).tolist() if not _is_whole(v)), n_atoms)
        raise ValueError(f"n_atoms takes whole numbers of atoms, 18 or [18, 9, 12], not {wrong!r}")
    return given.astype(np.int64)


def _is_whole(value) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value % 1 == 0

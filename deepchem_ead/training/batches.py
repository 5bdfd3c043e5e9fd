"""Batches of training molecules in an order that can be continued after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from deepchem.data import Dataset, DiskDataset

from deepchem_ead.training.resident_data import DoesNotFitError

#: Datasets up to this many bytes of X are shuffled in memory, larger ones shard by shard.
IN_MEMORY_BYTES = 2 << 30


class RawBatch(NamedTuple):
    """Rows of a dataset, and which they are."""

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    ids: np.ndarray
    rows: np.ndarray


class ShuffledBatches:
    """Batches of a dataset, in an order that depends on the seed and the epoch only.

    A DiskDataset that fits into memory is shuffled as a whole (its own iterator shuffles within
    shards only, and QM9 is ordered by size). A larger one is read shard by shard, shards and rows
    within a shard shuffled, in the memory of one shard.

    Parameters
    ----------
    dataset : dc.data.Dataset
    batch_size : int
    seed : int
    shuffle : bool
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, shuffle: bool = True) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        large = _n_bytes(dataset) > IN_MEMORY_BYTES
        if large and isinstance(dataset, DiskDataset):
            lengths = _shard_lengths(dataset)
            starts = np.cumsum([0, *lengths]).tolist()
            self._parts = [_ShardRows(dataset, i, starts[i], n) for i, n in enumerate(lengths)]
        else:
            X = dataset.X
            rows = RawBatch(X, dataset.y, dataset.w, dataset.ids, np.arange(len(X)))
            self._parts = [_MemoryRows(rows)]

    def __len__(self) -> int:
        """Batches of one epoch."""
        return sum(-(-len(part) // self.batch_size) for part in self._parts)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[RawBatch]:
        """The batches of one epoch, without the first ``skip``."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self._parts)) if self.shuffle else range(len(self._parts))
        for k in order:
            part = self._parts[k]
            rows = rng.permutation(len(part)) if self.shuffle else np.arange(len(part))
            n_batches = -(-len(part) // self.batch_size)
            if skip >= n_batches:
                skip -= n_batches
                continue
            data = part.load()
            for batch in range(skip, n_batches):
                chosen = rows[batch * self.batch_size : (batch + 1) * self.batch_size]
                yield RawBatch(*(column[chosen] for column in data))
            skip = 0


class _MemoryRows:
    def __init__(self, rows: RawBatch) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows.X)

    def load(self) -> RawBatch:
        return self._rows


class _ShardRows:
    def __init__(self, dataset: DiskDataset, index: int, first: int, length: int) -> None:
        self._dataset, self._index = dataset, index
        self._first, self._length = first, length

    def __len__(self) -> int:
        return self._length

    def load(self) -> RawBatch:
        rows = self._first + np.arange(self._length)
        return RawBatch(*self._dataset.get_shard(self._index), rows)


def _shard_lengths(dataset: DiskDataset) -> list[int]:
    return [len(dataset.get_shard_ids(i)) for i in range(dataset.get_number_shards())]


def check_fits(dataset: Dataset, deterministic: bool, labelled: bool) -> None:
    """Refuse what molecules that stay on the device cannot do.

    Parameters
    ----------
    dataset : dc.data.Dataset
    deterministic : bool
        The rows are wanted in their order.
    labelled : bool
        The weight 0 says that no label is known, and the molecule counts.

    Raises
    ------
    DoesNotFitError
        Saying why, and what helps.
    """
    if deterministic:
        raise DoesNotFitError("batches in the order of the rows need placement='host'")
    if _n_bytes(dataset) > IN_MEMORY_BYTES:
        raise DoesNotFitError(
            f"molecules of {_n_bytes(dataset) / 2**30:.1f} GiB are too many to stay on the device; "
            "use placement='host'"
        )
    weights = row_weights(dataset.w)
    if labelled:
        weights = np.where(weights > 0, weights, np.float32(1))
    if (weights != weights[0]).any():
        raise DoesNotFitError("molecules with weights of their own need placement='host'")


def _n_bytes(dataset: Dataset) -> int:
    shape, *_ = dataset.get_shape()
    return 4 * int(np.prod(shape))


def row_weights(w: np.ndarray) -> np.ndarray:
    """Weight of each molecule (B,) from a dataset's weights (B, n_tasks).

    A molecule counts with the largest of its task weights: a missing label does not make its
    geometry useless. Weights that are all zero mean an unlabelled dataset (DeepChem gives it
    w = 0) and count as one.
    """
    weights = np.asarray(w, dtype=np.float32).reshape(len(w), -1)
    weights = weights.max(1) if weights.shape[1] else np.zeros(len(w), np.float32)
    return weights if weights.any() else np.ones_like(weights)

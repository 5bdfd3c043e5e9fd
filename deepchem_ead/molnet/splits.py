"""EDM's split of QM9, and its two halves of the training part for conditional generation.

Both are those of "Equivariant Diffusion for Molecule Generation in 3D" (EDM), Hoogeboom et al.,
arXiv:2203.17003: a seeded permutation of the 130,831 molecules in gdb9 order.
"""

from __future__ import annotations

import deepchem as dc
import numpy as np
from deepchem.splits import Splitter

from deepchem_ead.molnet.qm9pack import N_MOLECULES

# DeepChem keeps shards in memory up to 20 MB by default and would read QM9 anew in every epoch.
MEMORY_CACHE_BYTES = 512 * 2**20

N_TRAIN, N_VALID, N_TEST = 100_000, 17_748, 13_083


def edm_parts() -> np.ndarray:
    """EDM's part of each QM9 molecule in gdb9 order: 0 train, 1 valid, 2 test.

    Returns
    -------
    ndarray (130831,) int8
        100,000 zeros, 17,748 ones and 13,083 twos.
    """
    order = np.random.RandomState(0).permutation(N_MOLECULES)
    parts = np.empty(N_MOLECULES, dtype=np.int8)
    parts[order] = np.repeat([0, 1, 2], [N_TRAIN, N_VALID, N_TEST])
    return parts


def edm_halves(n_train: int = N_TRAIN) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the two halves of EDM's training part, as its conditional protocol draws them.

    The property classifier is trained on the first half, the generator on the second.

    Parameters
    ----------
    n_train : int
        Molecules in the training part: 100,000 for the full QM9, where the halves are EDM's.

    Returns
    -------
    first, second : ndarray int64
        Row numbers for ``train.select(rows)``, in EDM's order.

    Examples
    --------
    >>> first, second = edm_halves()
    >>> len(first), len(second), int(first[0])
    (50000, 50000, 75721)
    """
    order = np.random.RandomState(42).permutation(n_train)
    return order[: n_train // 2], order[n_train // 2 :]


def one_shard(
    dataset: dc.data.Dataset, rows: np.ndarray, tasks: list[str], data_dir: str | None = None
) -> dc.data.DiskDataset:
    """DiskDataset of some rows in a single shard, because DeepChem shuffles only within shards.

    ``DiskDataset.select`` does the same in a time quadratic in the number of rows.
    """
    shard = (dataset.X[rows], dataset.y[rows], dataset.w[rows], dataset.ids[rows])
    return dc.data.DiskDataset.create_dataset([shard], data_dir=data_dir, tasks=tasks)


class EDMSplitter(Splitter):
    """Splits a QM9 dataset as EDM does; each part keeps the dataset's order (gdb9 index).

    Parameters
    ----------
    parts : ndarray (N,) int, optional
        Part of each row (0 train, 1 valid, 2 test); default those of the full QM9 in gdb9 order.
    """

    def __init__(self, parts: np.ndarray | None = None):
        self.parts = parts

    def __str__(self) -> str:
        # DeepChem names the cache folder after this; the default would spell out `parts`.
        return "EDMSplitter"

    def __repr__(self) -> str:
        return "EDMSplitter[]"

    def split(
        self,
        dataset,
        frac_train: float | None = None,
        frac_valid: float | None = None,
        frac_test: float | None = None,
        seed: int | None = None,
        log_every_n: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row numbers of the three parts. Fractions and seed are ignored: the split is fixed.

        Raises
        ------
        ValueError
            If the dataset does not have one row for each entry of `parts`.
        """
        parts = edm_parts() if self.parts is None else self.parts
        if len(dataset) != len(parts):
            raise ValueError(
                f"EDM's split is defined for {len(parts)} molecules in gdb9 order, the dataset "
                f"has {len(dataset)}; use another splitter, e.g. 'random'"
            )
        train, valid, test = (np.flatnonzero(parts == part) for part in (0, 1, 2))
        return train, valid, test

    def train_valid_test_split(
        self,
        dataset: dc.data.Dataset,
        train_dir: str | None = None,
        valid_dir: str | None = None,
        test_dir: str | None = None,
        **kwargs,
    ) -> tuple[dc.data.DiskDataset, dc.data.DiskDataset, dc.data.DiskDataset]:
        """The three parts as datasets of one shard each; see `split` for errors."""
        tasks = list(dataset.get_task_names())
        train, valid, test = (
            one_shard(dataset, rows, tasks, folder)
            for rows, folder in zip(
                self.split(dataset), (train_dir, valid_dir, test_dir), strict=True
            )
        )
        return train, valid, test

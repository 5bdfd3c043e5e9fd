"""EDM's split of QM9 and its halves of the training part, and others' splits that lose no molecule.

EDM's are those of "Equivariant Diffusion for Molecule Generation in 3D" (EDM), Hoogeboom et al.,
arXiv:2203.17003: a seeded permutation of the 130,831 molecules in gdb9 order.
"""

from __future__ import annotations

import deepchem as dc
import numpy as np
from deepchem.splits import Splitter
from rdkit import Chem, rdBase

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


class _SingleShards(Splitter):
    """A splitter whose three parts are datasets of one shard each."""

    def train_valid_test_split(
        self,
        dataset: dc.data.Dataset,
        train_dir: str | None = None,
        valid_dir: str | None = None,
        test_dir: str | None = None,
        **kwargs,
    ) -> tuple[dc.data.DiskDataset, dc.data.DiskDataset, dc.data.DiskDataset]:
        """The three parts as datasets; see `split` for arguments and errors."""
        tasks = list(dataset.get_task_names())
        train, valid, test = (
            one_shard(dataset, rows, tasks, folder)
            for rows, folder in zip(
                self.split(dataset, **kwargs), (train_dir, valid_dir, test_dir), strict=True
            )
        )
        return train, valid, test


class CompleteSplitter(_SingleShards):
    """A splitter, with an error where its parts do not hold each row exactly once.

    DeepChem's scaffold splitter drops rows whose id is no SMILES; other splitters that read the ids
    fail on them.

    Parameters
    ----------
    splitter : dc.splits.Splitter
    """

    def __init__(self, splitter: Splitter):
        self.splitter = splitter

    def __str__(self) -> str:
        # DeepChem names the cache folder after this.
        return str(self.splitter)

    def __repr__(self) -> str:
        return repr(self.splitter)

    def split(
        self,
        dataset,
        frac_train: float = 0.8,
        frac_valid: float = 0.1,
        frac_test: float = 0.1,
        seed: int | None = None,
        log_every_n: int | None = 1000,
    ) -> list[np.ndarray]:
        """Row numbers (N,) int64 of each part.

        Raises
        ------
        ValueError
            If a row would be in no part or in two, or the ids cannot be split by; the message names
            such rows.
        """
        name = type(self.splitter).__name__
        try:
            with rdBase.BlockLogs():
                parts = self.splitter.split(
                    dataset,
                    frac_train=frac_train,
                    frac_valid=frac_valid,
                    frac_test=frac_test,
                    seed=seed,
                    log_every_n=log_every_n,
                )
        except NotImplementedError:
            raise ValueError(f"{name} does not split by molecules; use another splitter") from None
        except Exception as error:
            unread = _no_smiles(dataset.ids)
            if not len(unread):
                raise
            raise ValueError(
                f"{name} splits by SMILES, and the ids of {_rows(unread, dataset.ids)} are none; "
                f"{_REMEDY}"
            ) from error
        parts = [np.asarray(rows, dtype=np.int64).reshape(-1) for rows in parts]
        times = np.bincount(np.concatenate(parts), minlength=len(dataset))
        for wrong, what in ((times == 0, "no part"), (times > 1, "more than one part")):
            if wrong.any():
                raise ValueError(
                    f"{name} puts {_rows(np.flatnonzero(wrong), dataset.ids)} of {len(dataset)} in "
                    f"{what}; {_REMEDY}"
                )
        return parts


_REMEDY = (
    "use splitter='random', or leave these molecules out (splitters that read the ids need SMILES)"
)
_LISTED_ROWS = 10


def _no_smiles(ids: np.ndarray) -> np.ndarray:
    """Rows whose id is not a SMILES."""
    with rdBase.BlockLogs():
        return np.flatnonzero([Chem.MolFromSmiles(str(name)) is None for name in ids])


def _rows(rows: np.ndarray, ids: np.ndarray) -> str:
    shown = ", ".join(f"{row} ({ids[row]})" for row in rows[:_LISTED_ROWS])
    more = f" and {len(rows) - _LISTED_ROWS} more" if len(rows) > _LISTED_ROWS else ""
    return f"{'row' if len(rows) == 1 else f'{len(rows)} rows:'} {shown}{more}"


class GivenSplitter(_SingleShards):
    """A splitter whose parts are known; each part keeps the dataset's order.

    Parameters
    ----------
    parts : ndarray (N,) int, optional
        Part of each row (0 train, 1 valid, 2 test); a loader sets it that knows its rows.
    """

    #: Whose rows `parts` are of, for messages.
    rows = "the rows that the loader has found"

    def __init__(self, parts: np.ndarray | None = None):
        self.parts = parts

    def __str__(self) -> str:
        # DeepChem names the cache folder after this; the default would spell out `parts`.
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}[]"

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
        parts = self._parts()
        if len(dataset) != len(parts):
            raise ValueError(
                f"{type(self).__name__} is defined for {len(parts)} molecules in {self.rows}, the "
                f"dataset has {len(dataset)}; use another splitter, e.g. 'random'"
            )
        train, valid, test = (np.flatnonzero(parts == part) for part in (0, 1, 2))
        return train, valid, test

    def _parts(self) -> np.ndarray:
        return np.zeros(0, dtype=np.int8) if self.parts is None else self.parts


class EDMSplitter(GivenSplitter):
    """Splits a QM9 dataset as EDM does; each part keeps the dataset's order (gdb9 index).

    Parameters
    ----------
    parts : ndarray (N,) int, optional
        Part of each row (0 train, 1 valid, 2 test); default those of the full QM9 in gdb9 order.
    """

    rows = "gdb9 order"

    def _parts(self) -> np.ndarray:
        return edm_parts() if self.parts is None else self.parts


class MurckoSplitter(GivenSplitter):
    """Splits drug-like molecules by the hash of their Murcko scaffold: 90, 5 and 5 % of scaffolds.

    A molecule without rings is a scaffold of its own. Unlike DeepChem's scaffold splitter, which
    puts the largest groups into training, it does not depend on the other molecules.
    """

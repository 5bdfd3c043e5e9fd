"""Data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deepchem.data import Dataset

from deepchem_ead.molnet.drugs3d import DRUGS3D_UNITS, load_drugs3d
from deepchem_ead.molnet.drugs3d_table import ARRAYS, ELEMENTS
from deepchem_ead.molnet.qm9 import QM9_UNITS, load_qm9_3d
from deepchem_ead.registry import Registry

#: ``load(tasks)``: training, validation and test molecules, X as `MoleculeBatch.to_padded` gives
#: it, with these properties as columns of y; those of the data set's choice if ``tasks`` is empty.
Loader = Callable[[Sequence[str]], tuple[Dataset, Dataset, Dataset]]


@dataclass(frozen=True)
class DatasetInfo:
    """A data set that can be asked for by name: ``deepchem-ead train NAME``.

    Attributes
    ----------
    name : str
    load : callable
        See `Loader`.
    elements : str
        Those that occur, comma separated.
    units : mapping of str to str
        Its properties and their units.
    splits : tuple of int
        Molecules for training, validation and test.
    load_with_bonds : callable, optional
        As ``load``, X with formal charges and bonds; None: there are none.

    Examples
    --------
    >>> DATASETS["qm9"].splits, DATASETS["qm9"].units["mu"]
    ((100000, 17748, 13083), 'Debye')
    """

    name: str
    load: Loader
    elements: str
    units: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[int, int, int] | None = None
    load_with_bonds: Loader | None = None

    def parts(
        self, tasks: Sequence[str] = (), bonds: bool = False
    ) -> tuple[Dataset, Dataset, Dataset]:
        """Its training, validation and test molecules, with formal charges and bonds if asked.

        Raises
        ------
        ValueError
            If it has no such property; lists those it has. If it has no bonds.
        """
        for task in tasks:
            if task not in self.units:
                raise ValueError(
                    f"{self.name} has no property {task!r}; it has {', '.join(self.units)}"
                )
        if not bonds:
            return self.load(tasks)
        if self.load_with_bonds is None:
            raise ValueError(
                f"{self.name} comes without bonds, which the model is to learn; give molecules in "
                "an SDF file, or a model without bonds (bonds=false)"
            )
        return self.load_with_bonds(tasks)


def _loaded(
    tasks: Sequence[str], load: Callable[..., Any], source: str | os.PathLike, bonds: bool
) -> tuple[Dataset, Dataset, Dataset]:
    wanted: dict[str, Any] = {"tasks": tuple(tasks)} if tasks else {}
    _, (train, valid, test), _ = load(source=source, bonds=bonds, **wanted)
    return train, valid, test


def _info(
    name: str,
    load: Callable[..., Any],
    source: str | os.PathLike,
    elements: str,
    units: Mapping[str, str],
    splits: tuple[int, int, int] | None = None,
) -> DatasetInfo:
    plain, bonded = (partial(_loaded, load=load, source=source, bonds=b) for b in (False, True))
    return DatasetInfo(name, plain, elements, units, splits, bonded)


def _drug_like(name: str, source: str | os.PathLike) -> DatasetInfo:
    return _info(name, load_drugs3d, source, ELEMENTS, DRUGS3D_UNITS)


def find_dataset(name: str | os.PathLike) -> DatasetInfo | None:
    """A data set by its name, or by the folder ``deepchem-ead data build drugs3d`` has written.

    Returns None where ``name`` is neither, a file for example.

    Raises
    ------
    FileNotFoundError
        If it is a folder without a data set, or with one whose build has not come to its end.

    Examples
    --------
    >>> find_dataset("drugs3d-sample").units["ani2xt"]
    'Hartree'
    """
    if name in DATASETS:
        return DATASETS[str(name)]
    folder = Path(name)
    if (folder / ARRAYS).is_dir():
        return _drug_like(folder.name, folder)
    if folder.is_dir():
        raise FileNotFoundError(
            f"there is no data set in the folder {str(name)!r}. If 'deepchem-ead data build' was "
            "stopped there, give the command again: it goes on, and a smaller --n ends sooner"
        )
    return None


#: Data sets by name. Molecules in a file need none.
DATASETS: Registry[DatasetInfo] = Registry("data set")
for _name, _source, _splits in (
    ("qm9", "qm9pack", (100_000, 17_748, 13_083)),
    ("qm9-sample", "sample", None),
):
    DATASETS.register(_name, _info(_name, load_qm9_3d, _source, "H,C,N,O,F", QM9_UNITS, _splits))
DATASETS.register("drugs3d-sample", _drug_like("drugs3d-sample", "sample"))

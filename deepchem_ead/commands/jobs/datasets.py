"""Data by the names and files that commands are given."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from deepchem.data import NumpyDataset

from deepchem_ead.chem.files import file_format
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.choices import TRAINING_FILES
from deepchem_ead.molnet import DATASETS, find_dataset, load_file_3d
from deepchem_ead.molnet.files import NAMES_AS_IDS, known_properties
from deepchem_ead.molnet.splits import edm_halves, one_shard

if TYPE_CHECKING:
    from deepchem.data import Dataset

logger = logging.getLogger(__name__)


def training_data(
    name: str,
    properties: Sequence[str] = (),
    smiles_column: str | None = None,
    bonds: bool = False,
) -> Dataset:
    """Training molecules of a data set ("qm9", a folder, ...) or all of a file's.

    Parameters
    ----------
    name : str
        As `find_dataset` takes it, or a file.
    properties : sequence of str
        Columns of y: the data set's properties, or tags (keys) of the file, where some may be
        missing. None: whatever the dataset has by default.
    smiles_column : str, optional
        Column with the SMILES in a table.
    bonds : bool
        X with formal charges and bonds, for a model that learns them.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset or file.
    ValueError
        If the data has no such property, or no bonds.
    """
    data = find_dataset(name)
    if data is not None:
        return data.parts(properties, bonds)[0]
    if not Path(name).exists():
        names = ", ".join(map(repr, DATASETS))
        raise FileNotFoundError(
            f"there is no file {name!r}; data is {names}, the folder of a data set that was built, "
            f"or an {TRAINING_FILES}"
        )
    wanted: dict[str, Any] = {"tasks": list(properties)} if properties else {}
    with warnings.catch_warnings():
        # Of ids that are no SMILES, which matters to those who split the dataset.
        warnings.filterwarnings("ignore", message=f".*{NAMES_AS_IDS}")
        _, (dataset,), _ = load_file_3d(
            name, splitter=None, allow_missing=True, smiles_column=smiles_column, bonds=bonds,
            **wanted,
        )  # fmt: skip
    return dataset


def known_molecules(name: str) -> Dataset | MoleculeBatch | list[str]:
    """Molecules that novelty is measured against: a data set, or those of a file.

    An SDF or XYZ file gives molecules with their charges, a SMILES file the first word of a line.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset or file.
    """
    path = Path(name)
    if not path.is_file():
        return training_data(name)
    if file_format(path) == "smi":
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.split()[0] for line in lines if line.strip()]
    return MoleculeBatch.read(path, on_error="skip")


def conditions_in(
    name: str, wanted: Sequence[str], source: str, smiles_column: str | None = None
) -> list[str]:
    """The conditions of a trained model if a file has all of them; none, and a line, otherwise.

    Parameters
    ----------
    name : str
        Dataset or file.
    wanted : sequence of str
        Conditions of the model that training starts from.
    source : str
        That model.
    """
    if not wanted or not Path(name).exists() or find_dataset(name) is not None:
        return list(wanted)
    missing = set(wanted) - known_properties(name, smiles_column)
    if not missing:
        return list(wanted)
    logger.warning(
        "%s says nothing of %s, which %s knows: the model gets no conditions (--conditions names "
        "those to learn)",
        name, ", ".join(sorted(missing)), source,
    )  # fmt: skip
    return []


#: Share of a user's molecules that a predictor is tested on instead of being trained on.
HELD_OUT = 0.1


def labelled_data(
    name: str, properties: Sequence[str], smiles_column: str | None = None
) -> tuple[Dataset, Dataset | None]:
    """Molecules to train a predictor on, and others to test it on.

    A data set's training and validation part; a tenth of a file's molecules, drawn at random, is
    held out (None if there are fewer than ten).
    """
    data = find_dataset(name)
    if data is not None:
        train, valid, _ = data.parts(properties)
        return train, valid
    dataset = training_data(name, properties, smiles_column)
    n_out = int(HELD_OUT * len(dataset))
    if not n_out:
        return dataset, None
    order = np.random.default_rng(0).permutation(len(dataset))
    return _rows(dataset, np.sort(order[n_out:])), _rows(dataset, np.sort(order[:n_out]))


def _rows(dataset: Dataset, rows: np.ndarray) -> Dataset:
    return NumpyDataset(dataset.X[rows], dataset.y[rows], dataset.w[rows], dataset.ids[rows])


def conditional_data(name: str, tasks: Sequence[str]) -> tuple[Dataset, Dataset | None]:
    """Molecules to draw requests from, and those to fit baselines on, as EDM's protocol has them.

    Second and first half of the training part of a data set, or all of a file's.

    Raises
    ------
    ValueError
        If the data has no such property.
    """
    data = find_dataset(name)
    if data is None:
        _, (dataset,), _ = load_file_3d(name, tasks=list(tasks), splitter=None, allow_missing=True)
        return dataset, None
    train, _, _ = data.parts(tasks)
    first, second = (one_shard(train, rows, list(tasks)) for rows in edm_halves(len(train)))
    return second, first

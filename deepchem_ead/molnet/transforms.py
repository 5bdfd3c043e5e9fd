"""DeepChem transformers of labels that are fitted to the labels there are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from deepchem.data import Dataset, NumpyDataset
from deepchem.molnet.load_function.molnet_loader import TransformerGenerator
from deepchem.trans import (
    CDFTransformer,
    MinMaxTransformer,
    NormalizationTransformer,
    Transformer,
)

#: What a transformer knows of each task's labels.
_STATISTICS = {
    NormalizationTransformer: ("y_means", "y_stds"),
    MinMaxTransformer: ("y_min", "y_max"),
}


def mark_labels(datasets: Iterable[Dataset], transformers: Iterable[Transformer]) -> None:
    """Note with datasets which transformers have changed their labels; see `changed_by`."""
    names = tuple(type(t).__name__ for t in transformers if getattr(t, "transform_y", False))
    for dataset in datasets:
        dataset.labels_changed_by = names


def changed_by(dataset: Dataset) -> tuple[str, ...]:
    """Transformers known to have changed the labels of a dataset.

    The loaders of this package say so. A part or a copy of what they return does not.
    """
    return getattr(dataset, "labels_changed_by", ())


def fit_transformer(generator: TransformerGenerator, dataset: Dataset) -> Transformer:
    """A transformer of a training set whose missing labels (weight 0) do not count.

    DeepChem's own take the zeros in their place for labels.

    Parameters
    ----------
    generator : TransformerGenerator
    dataset : dc.data.Dataset
        Training molecules.

    Returns
    -------
    Transformer
        Each task's part is fitted to the rows that have its label.

    Raises
    ------
    ValueError
        If a task has no label in the dataset, or the transformer cannot leave out rows.
    """
    known = np.broadcast_to(dataset.w.reshape(len(dataset), -1) > 0, dataset.y.shape)
    transformer = generator.create_transformer(dataset)
    if known.all() or not getattr(transformer, "transform_y", False):
        return transformer
    if isinstance(transformer, CDFTransformer):
        raise ValueError(
            f"{type(transformer).__name__} cannot leave out missing labels; complete them, or use "
            "another transformer"
        )
    for task, rows in zip(dataset.get_task_names(), known.T, strict=True):
        if not rows.any():
            raise ValueError(
                f"none of {len(dataset)} training molecules has a label {str(task)!r} to fit a "
                "transformer to; remove the task, or split in another way"
            )
    by_task = [
        generator.create_transformer(NumpyDataset(np.zeros((rows.sum(), 1)), y[rows, None]))
        for y, rows in zip(dataset.y.T, known.T, strict=True)
    ]
    for name in _STATISTICS.get(type(transformer), ()):
        setattr(transformer, name, np.concatenate([getattr(one, name) for one in by_task]))
    return transformer

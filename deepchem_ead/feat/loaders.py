"""DeepChem's loaders with a featurizer that skips molecules.

DeepChem 2.8's ``InMemoryLoader`` fails on the first skipped molecule, and its other loaders on a
shard of which every molecule is skipped. With a `Molecule3DFeaturizer`, and with nothing else, such
rows are left out, together with their label, weight and id.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer

#: Loaders that look a shard up in a table, and the one that gets it as a list.
TABLE_LOADERS = ("CSVLoader", "JsonLoader", "SDFLoader")
LIST_LOADER = "InMemoryLoader"


def of_table(original: Callable) -> Callable:
    """A loader's ``_featurize_shard`` whose shard may be left empty."""

    @wraps(original)
    def _featurize_shard(self, shard):
        X, valid = original(self, shard)
        if isinstance(self.featurizer, Molecule3DFeaturizer) and not np.any(valid):
            X = self.featurizer.empty(0)
        return X, valid

    return _featurize_shard


def of_list(original: Callable) -> Callable:
    """``InMemoryLoader._featurize_shard`` that leaves skipped molecules out."""

    @wraps(original)
    def _featurize_shard(self, shard, global_index):
        if not isinstance(self.featurizer, Molecule3DFeaturizer):
            return original(self, shard, global_index)
        rows = [_completed(e, len(self.tasks), global_index + i) for i, e in enumerate(shard)]
        found = self.featurizer([row[0] for row in rows])
        kept = [i for i, features in enumerate(found) if features.size]
        X = np.stack([found[i] for i in kept]) if kept else self.featurizer.empty(0)
        y, w, ids = (np.array([row[column] for row in rows])[kept] for column in (1, 2, 3))
        return X, y, w, ids

    return _featurize_shard


def _completed(entry: Any, n_tasks: int, number: int) -> tuple:
    """Molecule, label, weight and id, with DeepChem's values for those that are not given."""
    entry = entry if isinstance(entry, tuple) else (entry,)
    if not 1 <= len(entry) <= 4:
        raise ValueError(
            f"entry {number} has {len(entry)} items; give the molecule and, if you like, its "
            "label, weight and id"
        )
    known = np.ones if len(entry) > 1 else np.zeros
    defaults = (None, np.zeros(n_tasks, np.float32), known(n_tasks, np.float32), number)
    return (*entry, *defaults[len(entry) :])

"""Features of a set of molecules, from which its numbers are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from deepchem_ead.metrics.view import MoleculeView
from deepchem_ead.registry import Registry

T = TypeVar("T")

#: Features by name: functions of a `MoleculeView` that give plain values (numbers, text, lists of
#: them), None where the molecule has none.
FEATURES: Registry[Callable[[MoleculeView], Any]] = Registry("feature")


class Sample:
    """Features of N molecules; subsets share what has been derived of the whole.

    Parameters
    ----------
    features : mapping of str to sequence
        N values a feature; None where a molecule has none.
    """

    def __init__(self, features: Mapping[str, Sequence[Any]], size: int) -> None:
        self._features = {name: list(values) for name, values in features.items()}
        self._size = size
        self._parent: Sample | None = None
        self._rows: list[int] = []
        self._derived: dict[Callable, Any] = {}
        self._wholes: dict[Callable, Any] = {}

    @classmethod
    def of(cls, views: Sequence[MoleculeView], names: Sequence[str]) -> Sample:
        """Compute features of molecules here and now."""
        return cls({name: [FEATURES[name](v) for v in views] for name in names}, len(views))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, feature: str) -> list[Any]:
        """The values of a feature."""
        if self._parent is not None and feature not in self._features:
            whole = self._parent[feature]
            self._features[feature] = [whole[i] for i in self._rows]
        return self._features[feature]

    def __contains__(self, feature: object) -> bool:
        return feature in self._features or (self._parent is not None and feature in self._parent)

    def known(self, feature: str) -> list[Any]:
        """The values of a feature without those that are None."""
        return [value for value in self[feature] if value is not None]

    def take(self, rows: np.ndarray) -> Sample:
        """The molecules of these rows."""
        part = Sample({}, len(rows))
        part._parent, part._rows = self, np.asarray(rows).tolist()
        return part

    def derive(self, function: Callable[[Sample], Any]) -> Any:
        """``function(sample)``, an array or list with a row a molecule, computed once.

        Of a subset it is the rows of the whole, so that ``function`` must judge molecules one by
        one (fingerprints, activations of a network).
        """
        if function not in self._derived:
            if self._parent is None:
                self._derived[function] = function(self)
            else:
                whole, rows = self._parent.derive(function), self._rows
                self._derived[function] = (
                    whole[rows] if isinstance(whole, np.ndarray) else [whole[i] for i in rows]
                )
        return self._derived[function]

    def whole(self, function: Callable[[Sample], T]) -> T:
        """``function(sample)``, anything that follows from all of it, computed once."""
        if function not in self._wholes:
            self._wholes[function] = function(self)
        return self._wholes[function]

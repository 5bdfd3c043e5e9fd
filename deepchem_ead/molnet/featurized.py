"""Features of a data set's molecules: what fits a featurizer, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import deepchem as dc
import numpy as np
from rdkit import Chem

from deepchem_ead.caller import warn_caller
from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer


def features_of(
    mols: Sequence[Chem.Mol | None], featurizer: dc.feat.Featurizer
) -> tuple[np.ndarray, np.ndarray]:
    """Features of molecules; those that have none are left out, with a warning.

    Parameters
    ----------
    mols : sequence of rdkit.Chem.Mol or None
        None for molecules without a closed-shell structure.
    featurizer : dc.feat.Featurizer

    Returns
    -------
    X : ndarray (M, ...)
    kept : ndarray (M,) int64
        Molecules that X belongs to.

    Raises
    ------
    ValueError
        If none is left.
    """
    rows = np.array([i for i, mol in enumerate(mols) if mol is not None], dtype=np.int64)
    features = list(featurizer([mols[i] for i in rows]))
    usable = [np.asarray(feature).size > 0 for feature in features]
    kept = rows[usable]
    if not len(kept):
        raise ValueError(f"{featurizer!r} could not featurize any of {len(mols)} molecules")
    if len(kept) < len(mols):
        warn_caller(
            f"left out {len(mols) - len(kept)} of {len(mols)} molecules: "
            f"{len(mols) - len(rows)} without a closed-shell structure, "
            f"{len(rows) - len(kept)} that {type(featurizer).__name__} could not featurize"
        )
    return np.asarray([f for f, ok in zip(features, usable, strict=True) if ok]), kept


def check_bonds(featurizer: dc.feat.Featurizer | None, bonds: bool) -> None:
    """Refuse to promise bonds that a given featurizer does not give.

    Raises
    ------
    ValueError
        If `bonds` is True and the featurizer is not a ``Molecule3DFeaturizer`` with bonds.
    """
    if bonds and featurizer is not None and not getattr(featurizer, "bonds", False):
        raise ValueError(
            f"bonds=True, but featurizer={featurizer!r} gives none; leave featurizer out, or pass "
            "Molecule3DFeaturizer(bonds=True)"
        )


def check_fit(
    numbers: np.ndarray,
    offsets: np.ndarray,
    name: Callable[[int], str],
    featurizer: Molecule3DFeaturizer,
) -> None:
    """Refuse molecules that do not fit a featurizer's `max_atoms` and `elements`.

    Parameters
    ----------
    numbers : ndarray (A,) int
        Atomic numbers, molecule after molecule.
    offsets : ndarray (N+1,) int64
        Molecule i has the atoms ``offsets[i]:offsets[i+1]``.
    name : callable
        How messages call molecule i.
    featurizer : Molecule3DFeaturizer

    Raises
    ------
    ValueError
        Naming the first such molecule, the limit and the element.
    """
    unknown = np.add.reduceat(
        ~featurizer.vocabulary.contains(numbers), offsets[:-1], dtype=np.int64
    )
    for i in np.flatnonzero((np.diff(offsets) > featurizer.max_atoms) | (unknown > 0))[:1]:
        featurizer.check_atoms(numbers[offsets[i] : offsets[i + 1]], name(int(i)))

"""Arrays of molecules of different sizes: checking, joining, selecting, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from deepchem_ead.chem.elements import MAX_ATOMIC_NUMBER
from deepchem_ead.chem.limits import refuse_wasteful_padding
from deepchem_ead.errors import MoleculeError

#: What to do about numbers that are no atomic numbers.
UNTOUCHED = (
    "Atomic numbers must be whole, and X must come as it was featurized: transform the labels only "
    "(transform_y=True, not transform_X=True)"
)


# Angstrom; float32 resolves 3e-5 at _FAR, and from there on may round by more than _COARSE.
_FAR = 256.0
_COARSE = 1e-4


def near_origin(positions: np.ndarray) -> np.ndarray:
    """Positions in single precision; where that would round them coarsely, centred before."""
    with np.errstate(over="ignore"):
        single = positions.astype(np.float32)
    if not positions.size or np.abs(positions).max() <= _FAR or not np.isfinite(positions).all():
        return single
    if np.abs(positions - single).max() <= _COARSE:
        return single
    return (positions - positions.mean(axis=0)).astype(np.float32)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of the array that cannot be written to."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def flatten(
    numbers: Sequence[Any], positions: Sequence[Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check and join per-molecule arrays.

    Returns
    -------
    numbers : numpy.ndarray
        int16, shape (A,).
    coordinates : numpy.ndarray
        Angstrom, float32, shape (A, 3).
    offsets : numpy.ndarray
        int64, shape (N+1,).

    Raises
    ------
    MoleculeError
        If shapes do not fit or an atomic number does not exist; names the molecule.
    """
    if len(numbers) != len(positions):
        raise MoleculeError(
            f"{len(numbers)} arrays of atomic numbers but {len(positions)} of positions; give one "
            "of each for every molecule"
        )
    checked = [_check_shapes(i, numbers[i], positions[i]) for i in range(len(numbers))]
    counts = [len(z) for z, _ in checked]
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    # The empty arrays fix the result's type when there is no molecule at all.
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *(z for z, _ in checked)])
    with np.errstate(over="ignore"):
        parts = [np.asarray(p, dtype=np.float32) for _, p in checked]
    coordinates = np.concatenate([np.zeros((0, 3), dtype=np.float32), *parts])
    return _check_numbers(flat, offsets), coordinates, offsets


def _check_shapes(i: int, numbers: Any, positions: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        numbers, positions = np.asarray(numbers), np.asarray(positions)
    except ValueError:
        raise MoleculeError(f"molecule {i}: ragged rows; positions must be (n, 3)") from None
    if positions.size == 0 and numbers.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.float32)
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3):
        raise MoleculeError(
            f"molecule {i}: numbers have shape {numbers.shape} and positions {positions.shape}; "
            "expected (n,) and (n, 3) for each molecule in the list"
        )
    if numbers.dtype.kind not in "iuf" or positions.dtype.kind not in "iuf":
        raise MoleculeError(
            f"molecule {i}: numbers of type {numbers.dtype}, positions of type {positions.dtype}; "
            "expected atomic numbers (not symbols) and coordinates in Angstrom"
        )
    return numbers, positions


def _check_numbers(numbers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Atomic numbers as int16, after refusing those that do not exist."""
    with np.errstate(invalid="ignore"):
        bad = ~((numbers >= 1) & (numbers <= MAX_ATOMIC_NUMBER) & (numbers == np.floor(numbers)))
    if bad.any():
        atom = int(np.flatnonzero(bad)[0])
        molecule = int(np.searchsorted(offsets, atom, side="right")) - 1
        raise MoleculeError(
            f"molecule {molecule}, atom {atom - int(offsets[molecule])}: {numbers[atom]} is not an "
            f"atomic number (1 to {MAX_ATOMIC_NUMBER}). {UNTOUCHED}"
        )
    return numbers.astype(np.int16)


def as_charges(charges: Any, n: int) -> np.ndarray:
    """Total charges as int64 (n,); zeros for None."""
    if charges is None:
        return np.zeros(n, dtype=np.int64)
    values = np.asarray(charges) if n else np.zeros(np.shape(charges))
    if values.shape != (n,):
        raise ValueError(f"charges have shape {values.shape}, expected ({n},)")
    if values.dtype.kind not in "iuf" or not (values == np.floor(values)).all():
        raise ValueError("charges must be whole numbers, one total charge for each molecule")
    return values.astype(np.int64)


def as_properties(properties: dict[str, Any], n: int) -> dict[str, np.ndarray]:
    """Property arrays of shape (n,), numbers or text."""
    checked = {}
    for name, values in properties.items():
        values = np.array(values)
        if values.shape != (n,):
            raise ValueError(
                f"property {name!r} has shape {values.shape}, expected one value for each of the "
                f"{n} molecules"
            )
        checked[str(name)] = values.astype(str) if values.dtype.kind == "O" else values
    return checked


def as_ids(ids: Sequence[str] | None, n: int) -> list[str] | None:
    """Ids as a list of n strings, or None."""
    if ids is None:
        return None
    ids = [str(name) for name in ids]
    if len(ids) != n:
        raise ValueError(f"{len(ids)} ids for {n} molecules; give one each")
    return ids


def as_index(i: int, n: int) -> int:
    """Index of one of n molecules in [0, n); -1 is the last one."""
    if not -n <= i < n:
        known = f"there are {n}, 0 to {n - 1}" if n else "the batch is empty"
        raise IndexError(f"molecule {i} is out of range: {known}")
    return int(i) % n


def as_selection(key: Any, n: int) -> slice | np.ndarray:
    """A slice of step 1, or an int64 index array with values in [0, n)."""
    if isinstance(key, slice):
        start, stop, step = key.indices(n)
        if step == 1:
            return slice(start, max(start, stop))
        return np.arange(start, stop, step)
    index = np.asarray(key)
    if index.size == 0 and index.dtype.kind != "b":
        return np.zeros(0, dtype=np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise TypeError(
            f"molecules are chosen by an int, a slice, a list of ints or a bool mask, not {key!r}"
        )
    if index.dtype.kind == "b":
        if len(index) != n:
            raise IndexError(f"a mask of {len(index)} values for {n} molecules")
        return np.flatnonzero(index)
    index = index.astype(np.int64)
    outside = (index < -n) | (index >= n)
    if outside.any():
        raise IndexError(f"molecule {index[outside][0]} is out of range: there are {n} molecules")
    return np.where(index < 0, index + n, index)


def select(
    offsets: np.ndarray, chosen: slice | np.ndarray
) -> tuple[slice | np.ndarray, np.ndarray]:
    """Atoms of the chosen molecules (a slice where possible) and their new offsets."""
    if isinstance(chosen, slice):
        first = offsets[chosen.start]
        return slice(first, offsets[chosen.stop]), offsets[chosen.start : chosen.stop + 1] - first
    counts = (offsets[1:] - offsets[:-1])[chosen]
    new = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.repeat(offsets[:-1][chosen] - new[:-1], counts) + np.arange(new[-1]), new


def molecule_index(offsets: np.ndarray) -> np.ndarray:
    """Molecule of every atom, int64, shape (A,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def non_finite(coordinates: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Indices of molecules with a coordinate that is NaN or infinite."""
    return np.unique(molecule_index(offsets)[~np.isfinite(coordinates).all(axis=1)])


def to_padded(
    numbers: np.ndarray, coordinates: np.ndarray, offsets: np.ndarray, max_atoms: int | None
) -> np.ndarray:
    """Dense float32 (N, max_atoms, 4), centred on the mean of the real atoms; see MoleculeBatch."""
    counts = np.diff(offsets)
    largest = int(counts.max(initial=0))
    if max_atoms is None:
        max_atoms = largest
    if largest > max_atoms:
        raise MoleculeError(
            f"molecule {int(counts.argmax())} has {largest} atoms, but max_atoms is {max_atoms}; "
            "raise max_atoms or leave such molecules out"
        )
    refuse_wasteful_padding(counts, max_atoms)
    molecule = molecule_index(offsets)
    row = np.arange(len(numbers)) - offsets[:-1][molecule]
    X = np.zeros((len(counts), max_atoms, 4), dtype=np.float32)
    X[molecule, row, 3] = numbers
    for axis in range(3):
        values = coordinates[:, axis].astype(np.float64)
        sums = np.bincount(molecule, weights=values, minlength=len(counts))
        with np.errstate(invalid="ignore"):
            X[molecule, row, axis] = values - (sums / np.maximum(counts, 1))[molecule]
    return X


#: Columns that X may have: x, y, z, atomic number; formal charge; six for bonds.
WIDTHS = (4, 5, 11)


class Unpadded(NamedTuple):
    """Atoms of the dense layout, molecule after molecule.

    Attributes
    ----------
    numbers : numpy.ndarray
        int16, shape (A,).
    coordinates : numpy.ndarray
        Angstrom, float32, shape (A, 3).
    offsets : numpy.ndarray
        int64, shape (N+1,).
    formal_charges : numpy.ndarray or None
        int8, shape (A,), from a fifth column.
    bond_columns : numpy.ndarray or None
        Shape (A, 6), from six more.
    """

    numbers: np.ndarray
    coordinates: np.ndarray
    offsets: np.ndarray
    formal_charges: np.ndarray | None
    bond_columns: np.ndarray | None


def from_padded(X: np.ndarray) -> Unpadded:
    """The inverse of :func:`to_padded`, up to the centring."""
    X = np.asarray(X)
    if X.ndim != 3 or X.shape[2] not in WIDTHS or X.dtype.kind not in "iuf":
        raise MoleculeError(
            f"X has shape {X.shape} and type {X.dtype}; expected numbers of shape "
            "(molecules, max_atoms, 4): x, y, z, atomic number; 5 with the formal charge, or 11 "
            "with bonds"
        )
    real = X[:, :, 3] != 0
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.int64)
    atoms = X[real]
    numbers = _check_numbers(atoms[:, 3], offsets)
    charges = None if X.shape[2] == 4 else _check_formal_charges(atoms[:, 4], offsets)
    columns = atoms[:, 5:] if X.shape[2] == 11 else None
    return Unpadded(numbers, atoms[:, :3].astype(np.float32), offsets, charges, columns)


def _check_formal_charges(charges: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        bad = ~((np.abs(charges) <= 127) & (charges == np.floor(charges)))
    if bad.any():
        atom = int(np.flatnonzero(bad)[0])
        molecule = int(np.searchsorted(offsets, atom, side="right")) - 1
        raise MoleculeError(
            f"molecule {molecule}, atom {atom - int(offsets[molecule])}: {charges[atom]} in the "
            "fifth column of X is no formal charge (a whole number)"
        )
    return charges.astype(np.int8)

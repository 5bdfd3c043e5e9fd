"""Atoms on top of each other: geometries that no chemistry, and no drawing program, means."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.elements import MAX_ATOMIC_NUMBER, symbol_of

#: Atoms closer than this share of the sum of their covalent radii lie on top of each other.
CLOSEST = 0.5
#: Atoms up to which all pairs of a molecule are cheaper than a tree.
_SMALL = 128
#: Small molecules whose arrays fit into the processor's caches.
_AT_A_TIME = 1024
#: Closest atoms that the tree gives for each atom.
_NEIGHBOURS = 8

_LISTED = 10


@cache
def covalent_radii() -> np.ndarray:
    """Covalent radius of each element in Angstrom, (119,); 0 for what is no element."""
    from rdkit import Chem  # training on a machine without it looks at no geometry

    table = Chem.GetPeriodicTable()
    return np.array([0.0, *(table.GetRcovalent(z) for z in range(1, MAX_ATOMIC_NUMBER + 1))])


class Overlap(NamedTuple):
    """Two atoms of one molecule that lie on top of each other.

    Attributes
    ----------
    molecule : int
    atoms : tuple of int
        Their indices within the molecule.
    symbols : tuple of str
    distance : float
        Angstrom.
    closest : float
        The smallest distance that is accepted, Angstrom.
    """

    molecule: int
    atoms: tuple[int, int]
    symbols: tuple[str, str]
    distance: float
    closest: float

    @property
    def reason(self) -> str:
        """What is wrong, without the molecule's name."""
        (i, j), (a, b) = self.atoms, self.symbols
        return (
            f"has atoms on top of each other: {i} ({a}) and {j} ({b}) are {self.distance:.2f} "
            f"Angstrom apart, less than {self.closest:.2f} (half the sum of their covalent radii)"
        )


def find_overlaps(
    numbers: np.ndarray, coordinates: np.ndarray, offsets: np.ndarray | None = None
) -> list[Overlap]:
    """The closest overlapping pair of each molecule that has one.

    Parameters
    ----------
    numbers : ndarray, (A,) int
        Atomic numbers; what is no element overlaps nothing.
    coordinates : ndarray, (A, 3)
        Angstrom. Atoms without finite coordinates overlap nothing.
    offsets : ndarray, (N+1,) int, optional
        First atom of each molecule and, last, the number of atoms; one molecule by default.

    Returns
    -------
    list of Overlap
        In the order of the molecules. Memory grows with the atoms, not with their pairs.

    Examples
    --------
    >>> water = np.array([[0, 0, 0], [0.96, 0, 0], [0.01, 0, 0]])
    >>> find_overlaps(np.array([8, 1, 1]), water)[0].atoms
    (0, 2)
    """
    numbers = np.asarray(numbers)
    x = np.asarray(coordinates, dtype=np.float64)
    offsets = np.array([0, len(numbers)]) if offsets is None else np.asarray(offsets, np.int64)
    known = np.isfinite(x).all(axis=1) & (numbers >= 1) & (numbers <= MAX_ATOMIC_NUMBER)
    # Comparisons with NaN are False.
    x = np.where(known[:, None], x, np.nan)
    radii = np.where(known, covalent_radii()[np.where(known, numbers, 0).astype(np.int64)], np.nan)
    counts = np.diff(offsets)
    small = np.flatnonzero(counts <= _SMALL)
    pairs = [_all_pairs(x, radii, offsets, small[:0])]
    for first in range(0, len(small), _AT_A_TIME):
        pairs.append(_all_pairs(x, radii, offsets, small[first : first + _AT_A_TIME]))
    for molecule in np.flatnonzero(counts > _SMALL):
        rows = np.arange(offsets[molecule], offsets[molecule + 1])
        pairs.append(_from_tree(x, radii, rows[known[rows]]))
    i, j = np.concatenate(pairs, axis=1)
    if not len(i):
        return []
    distances = np.linalg.norm(x[i] - x[j], axis=1)
    molecules = np.searchsorted(offsets, i, side="right") - 1
    order = np.lexsort((j, i, distances, molecules))
    _, firsts = np.unique(molecules[order], return_index=True)
    return [
        Overlap(
            int(molecules[k]),
            (int(i[k] - offsets[molecules[k]]), int(j[k] - offsets[molecules[k]])),
            (symbol_of(int(numbers[i[k]])), symbol_of(int(numbers[j[k]]))),
            float(distances[k]),
            float(CLOSEST * (radii[i[k]] + radii[j[k]])),
        )
        for k in order[firsts]
    ]


def warn_of_overlaps(overlaps: Sequence[Overlap], total: int, names: Sequence | None) -> None:
    """Name the molecules with overlapping atoms in one warning, if there are any.

    Parameters
    ----------
    overlaps : sequence of Overlap
    total : int
        Number of all molecules.
    names : sequence of str, optional
        Name of each molecule, besides its number.
    """
    if not overlaps:
        return
    shown = [
        f"molecule {o.molecule}" + (f" ({names[o.molecule]})" if names is not None else "")
        for o in overlaps[:_LISTED]
    ]
    more = f" and {len(overlaps) - _LISTED} more" if len(overlaps) > _LISTED else ""
    warn_caller(
        f"{len(overlaps)} of {total} molecules have atoms on top of each other: "
        f"{', '.join(shown)}{more}; {shown[0]} {overlaps[0].reason}"
    )


def _all_pairs(
    x: np.ndarray, radii: np.ndarray, offsets: np.ndarray, molecules: np.ndarray
) -> np.ndarray:
    """Overlapping pairs of atoms (2, P), i < j, of small molecules."""
    counts = np.diff(offsets)[molecules]
    largest_first = np.argsort(-counts, kind="stable")
    molecules, counts = molecules[largest_first], counts[largest_first]
    starts = np.cumsum(counts) - counts
    place = np.arange(counts.sum()) - np.repeat(starts, counts)
    rows = np.repeat(offsets[molecules], counts) + place
    x, radii, rest = x[rows].T.copy(), radii[rows], np.repeat(counts, counts) - place
    found = [np.zeros((2, 0), dtype=np.int64)]
    for shift in range(1, int(counts.max(initial=0))):
        # Molecules with more atoms than the shift come first.
        n = int(counts[: np.searchsorted(-counts, -shift)].sum()) - shift
        d2 = np.square(x[:, shift : shift + n] - x[:, :n]).sum(axis=0)
        closest = CLOSEST * (radii[shift : shift + n] + radii[:n])
        near = np.flatnonzero((d2 < np.square(closest)) & (rest[:n] > shift))
        found.append(np.stack([rows[near], rows[near + shift]]))
    return np.concatenate(found, axis=1)


def _from_tree(x: np.ndarray, radii: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Overlapping pairs of atoms (2, P), i < j, of a large molecule without n x n distances."""
    # Many atoms at one point would make the search quadratic: one of them answers for all.
    points, kept, inverse = np.unique(x[rows], axis=0, return_index=True, return_inverse=True)
    first_there = kept[inverse.reshape(-1)]
    twins = np.flatnonzero(first_there != np.arange(len(rows)))
    reach = 2 * CLOSEST * radii[rows].max(initial=0)
    _, neighbours = cKDTree(points).query(
        points, k=range(2, _NEIGHBOURS + 2), distance_upper_bound=reach
    )
    a, column = np.nonzero(neighbours < len(points))  # what is out of reach has this number
    i = rows[np.concatenate([kept[a], first_there[twins]])]
    j = rows[np.concatenate([kept[neighbours[a, column]], twins])]
    near = np.linalg.norm(x[i] - x[j], axis=1) < CLOSEST * (radii[i] + radii[j])
    return np.sort(np.stack([i[near], j[near]]), axis=0)

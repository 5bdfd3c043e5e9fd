"""Bond orders from interatomic distances, by EDM's protocol."""

from __future__ import annotations

from functools import cache

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bond_tables import BOND_LENGTHS, EDM_VALENCES, MARGINS, VOCABULARIES
from deepchem_ead.chem.limits import too_many_pairs
from deepchem_ead.errors import MoleculeError

_TABLE_SIZE = 119  # one row per atomic number, 0 (padding) included
_BOND_TYPES = {
    1: Chem.BondType.SINGLE,
    2: Chem.BondType.DOUBLE,
    3: Chem.BondType.TRIPLE,
}


def _atomic_number(symbol: str) -> int:
    return Chem.GetPeriodicTable().GetAtomicNumber(symbol)


@cache
def _thresholds() -> np.ndarray:
    """Upper limit in pm, exclusive, of each order: (3, Z, Z) float32, -1 where there is none."""
    table = np.full((3, _TABLE_SIZE, _TABLE_SIZE), -1.0, dtype=np.float32)
    for order, rows in BOND_LENGTHS.items():
        for light, entries in rows.items():
            for entry in entries.split(", "):
                heavy, length = entry.split()
                a, b = _atomic_number(light), _atomic_number(heavy)
                table[order - 1, a, b] = table[order - 1, b, a] = int(length) + MARGINS[order - 1]
    return table


def single_bond_length(first: int, second: int) -> float:
    """Typical length in Angstrom of a single bond between two elements, by atomic numbers.

    EDM's, or where it has none the sum of the covalent radii.

    Examples
    --------
    >>> single_bond_length(6, 1), round(single_bond_length(5, 9), 2)
    (1.09, 1.41)
    """
    limit = float(_thresholds()[0, first, second])
    if limit > 0:
        return (limit - MARGINS[0]) / 100
    radius = Chem.GetPeriodicTable().GetRcovalent
    return radius(int(first)) + radius(int(second))


@cache
def _known_elements(vocabulary: str) -> np.ndarray:
    if vocabulary not in VOCABULARIES:
        raise ValueError(f"unknown vocabulary {vocabulary!r}; choose {' or '.join(VOCABULARIES)}")
    known = np.zeros(_TABLE_SIZE, dtype=bool)
    known[[_atomic_number(symbol) for symbol in VOCABULARIES[vocabulary]]] = True
    return known


@cache
def _valence_table() -> np.ndarray:
    table = np.zeros((_TABLE_SIZE, 64), dtype=bool)
    for symbol, valences in EDM_VALENCES.items():
        table[_atomic_number(symbol), list(valences)] = True
    return table


def check_elements(numbers: np.ndarray, vocabulary: str) -> None:
    """Refuse elements that a vocabulary does not know.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    vocabulary : {"qm9", "geom"}

    Raises
    ------
    MoleculeError
        Names the elements, the vocabulary's elements and the remedy.
    ValueError
        Unknown vocabulary.
    """
    known = _known_elements(vocabulary)
    numbers = np.asarray(numbers)
    inside = (numbers > 0) & (numbers < _TABLE_SIZE)
    if inside.all() and known[numbers].all():
        return
    bad = sorted({int(z) for z in numbers if not (0 < z < _TABLE_SIZE and known[z])})
    symbol = Chem.GetPeriodicTable().GetElementSymbol
    names = [symbol(z) if 0 < z < _TABLE_SIZE else f"Z={z}" for z in bad]
    remedy = "leave such molecules out"
    if vocabulary == "qm9" and all(0 < z < _TABLE_SIZE and _known_elements("geom")[z] for z in bad):
        remedy = 'use vocabulary="geom"'
    raise MoleculeError(
        f"element {', '.join(names)} is not in the {vocabulary!r} vocabulary "
        f"({', '.join(VOCABULARIES[vocabulary])}); {remedy}"
    )


def distances(positions: np.ndarray) -> np.ndarray:
    """All interatomic distances in float32.

    Coordinate differences are taken in the precision of the input and only then rounded, so the
    result does not depend on where the molecule lies, and for float32 input it is bit for bit that
    of EDM's stability check. (``torch.cdist``, which EDM uses for validity, loses digits above 25
    atoms and far from the origin.)

    Parameters
    ----------
    positions : array of float, shape (n, 3)
        Angstrom.

    Returns
    -------
    array of float32, shape (n, n)
        Angstrom; NaN or inf where a coordinate is not finite.

    Raises
    ------
    MoleculeError
        If there are so many atoms that they would take gigabytes; says how many, and the remedy.
    """
    reason = too_many_pairs(len(positions))
    if reason is not None:
        raise MoleculeError(reason)
    positions = np.asarray(positions)
    if positions.dtype != np.float64:
        positions = positions.astype(np.float32, copy=False)
    columns = positions.T
    with np.errstate(invalid="ignore", over="ignore"):
        dx, dy, dz = (columns[:, :, None] - columns[:, None, :]).astype(np.float32, copy=False)
        return np.sqrt(dx * dx + dy * dy + dz * dz)


def bond_orders(
    numbers: np.ndarray,
    positions: np.ndarray,
    vocabulary: str | None = "qm9",
    single_only: bool = False,
) -> np.ndarray:
    """Bond orders of one molecule from its interatomic distances.

    A pair is bonded if it is closer than its typical single-bond length plus 10 pm; double if also
    closer than the double-bond length plus 5 pm; triple if also closer than the triple-bond length
    plus 3 pm. All comparisons are strict and in float32. Both vocabularies share one table of
    lengths; they differ in the elements they accept. In "geom", pairs without a typical length are
    not bonded.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    positions : array of float, shape (n, 3)
        Angstrom. Atoms with a non-finite coordinate get no bonds.
    vocabulary : {"qm9", "geom"} or None
        Elements accepted: H C N O F, or the sixteen of GEOM-Drugs. None accepts all; those without
        tabulated lengths get no bonds.
    single_only : bool
        Report every bond with order 1, as EDM does for validity on GEOM-Drugs.

    Returns
    -------
    array of int8, shape (n, n)
        Symmetric, zero diagonal.

    Raises
    ------
    MoleculeError
        Element outside the vocabulary, or shapes that do not fit.

    References
    ----------
    EDM, Hoogeboom et al., arXiv:2203.17003, appendix C; ``qm9/bond_analyze.py``.

    Examples
    --------
    >>> bond_orders([7, 7], [[0, 0, 0], [0, 0, 1.098]])
    array([[0, 3],
           [3, 0]], dtype=int8)
    """
    numbers = np.asarray(numbers)
    if numbers.size == 0:
        numbers = numbers.astype(np.int16)
    n = len(numbers)
    positions = np.asarray(positions)
    if positions.size == 0:
        positions = positions.reshape(-1, 3)
    if numbers.ndim != 1 or positions.shape != (n, 3):
        raise MoleculeError(
            f"numbers {numbers.shape} and positions {positions.shape} do not fit; "
            "give (n,) and (n, 3)"
        )
    if vocabulary is not None:
        check_elements(numbers, vocabulary)
    orders = orders_of_lengths(numbers, distances(positions))
    return np.minimum(orders, 1) if single_only else orders


def orders_of_lengths(numbers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What :func:`bond_orders` makes of distances in Angstrom, float32, shape (n, n)."""
    picometres = 100 * lengths
    row = numbers.astype(np.intp)
    pairs = _TABLE_SIZE * row[:, None] + row
    limits = _thresholds().reshape(3, -1).take(pairs, axis=1)
    bonded = picometres < limits[0]
    np.fill_diagonal(bonded, False)
    orders = bonded.astype(np.int8)
    double = bonded & (picometres < limits[1])
    orders += double
    orders += double & (picometres < limits[2])
    return orders


def stable_atoms(numbers: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Which atoms have a bond-order sum that EDM allows for their element.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    orders : array of int, shape (n, n)
        Symmetric bond orders.

    Returns
    -------
    array of bool, shape (n,)

    References
    ----------
    EDM, Hoogeboom et al., arXiv:2203.17003, section 5.1.
    """
    sums = np.asarray(orders).sum(axis=1, dtype=np.int64)
    table = _valence_table()
    return table[np.asarray(numbers), np.minimum(sums, table.shape[1] - 1)]


@cache
def _template_atom(number: int) -> Chem.Atom:
    return Chem.Atom(number)


def molecule_from_orders(
    numbers: np.ndarray, orders: np.ndarray, positions: np.ndarray | None = None
) -> Chem.RWMol:
    """Build an RDKit molecule, not sanitised, without charges, from a bond-order matrix.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    orders : array of int, shape (n, n)
        Symmetric bond orders 0 to 3; the lower triangle is read.
    positions : array of float, shape (n, 3), optional
        Angstrom; becomes the only conformer.

    Returns
    -------
    rdkit.Chem.RWMol
    """
    molecule = Chem.RWMol()
    for number in np.asarray(numbers).tolist():
        molecule.AddAtom(_template_atom(number))
    rows, columns = np.nonzero(orders)
    lower = rows > columns
    rows, columns = rows[lower], columns[lower]
    types = orders[rows, columns].tolist()
    for i, j, order in zip(rows.tolist(), columns.tolist(), types, strict=True):
        molecule.AddBond(i, j, _BOND_TYPES[order])
    if positions is not None:
        conformer = Chem.Conformer(len(numbers))
        conformer.SetPositions(np.ascontiguousarray(positions, dtype=np.float64))
        molecule.AddConformer(conformer, assignId=True)
    return molecule

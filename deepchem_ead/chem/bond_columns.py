"""Bonds in the dense dataset layout: the sixth to eleventh columns of X.

Each atom lists its bonds, sorted by the other atom, as the numbers ``8 * partner + kind``: the
partner is counted from 0 in the molecule, the kind is 1 single, 2 double, 3 triple or 4 aromatic,
and 0 says that there are no more bonds. Both ends list a bond. Where the bonds of a molecule are
not known, -1 stands in the first of the columns of each of its atoms: an atom of six zeros is one
that has no bonds.
"""

from __future__ import annotations

import numpy as np

from deepchem_ead.bonding import BOND_KINDS, BOND_STRIDE
from deepchem_ead.chem import ragged
from deepchem_ead.chem.batch import Molecules
from deepchem_ead.chem.bond_kinds import BondTable, bond_kinds, kekulised, odd_order
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.errors import MoleculeError

#: Columns: bonds that an atom may have.
MAX_BONDS = 6
#: Columns of X before them: x, y, z, atomic number, formal charge.
FIRST_COLUMN = 5
#: In the first column of all atoms of a molecule whose bonds are not known.
UNKNOWN = -1


def bond_columns(
    batch: Molecules, max_atoms: int | None = None, kinds: np.ndarray | None = None
) -> np.ndarray:
    """Columns of the given bonds of a batch, float32, shape (N, max_atoms, 6).

    Parameters
    ----------
    batch : MoleculeBatch
        Its given bonds (:attr:`MoleculeBatch.graphs`) only; nothing is perceived.
    max_atoms : int, optional
        Rows for each molecule; by default the size of the largest one.
    kinds : ndarray, (B,), optional
        Kind of each bond, in the order of its graphs; by default as `bond_kinds` finds them.

    Raises
    ------
    MoleculeError
        If an atom has more than six bonds, or a bond is neither single, double nor triple; names
        the molecule and the remedy.
    """
    refused = without_columns(batch)
    for i, reason in refused.items():
        raise MoleculeError(f"molecule {i} {reason}")
    counts = batch.counts
    width = int(counts.max(initial=0)) if max_atoms is None else max_atoms
    columns = np.zeros((len(batch), width, MAX_BONDS), np.float32)
    columns[np.arange(width) < counts[:, None]] = _flat_columns(batch, kinds)
    return columns


def without_columns(batch: Molecules) -> dict[int, str]:
    """Molecules whose given bonds the columns cannot hold, and why."""
    if batch.graphs is None:
        return {}
    atoms, _, molecule, kinds = _ends(batch, batch.graphs, batch.graphs.bonds[:, 2])
    refused: dict[int, str] = {}
    for k in np.flatnonzero((kinds < 1) | (kinds > 3)).tolist():
        refused.setdefault(int(molecule[k]), odd_order(int(kinds[k])))
    degrees = np.bincount(atoms, minlength=len(batch.atomic_numbers))
    for atom in np.flatnonzero(degrees > MAX_BONDS).tolist():
        i = int(np.searchsorted(batch.offsets, atom, side="right")) - 1
        symbol = symbol_of(int(batch.atomic_numbers[atom]))
        refused.setdefault(
            i,
            f"has an atom {atom - int(batch.offsets[i])} ({symbol}) with {degrees[atom]} bonds, "
            f"and X holds at most {MAX_BONDS}; leave the molecule out, or its bonds (bonds=False)",
        )
    return dict(sorted(refused.items()))


def from_bond_columns(
    columns: np.ndarray, numbers: np.ndarray, offsets: np.ndarray, formal_charges: np.ndarray
) -> tuple[MolecularGraphs, dict[int, str]]:
    """The inverse of :func:`bond_columns`, padding aside.

    Parameters
    ----------
    columns : numpy.ndarray
        Shape (A, 6).
    numbers, formal_charges : numpy.ndarray
        Shape (A,).
    offsets : numpy.ndarray
        Molecule i has the atoms ``offsets[i]:offsets[i+1]``.

    Returns
    -------
    graphs : MolecularGraphs
        Kekulised.
    failures : dict of int to str
        Molecules whose aromatic bonds have no Kekule structure, and why; their bonds are not given
        in `graphs`.

    Raises
    ------
    MoleculeError
        If a number is no bond, or only one end of a bond lists it; names the molecule.
    """
    return kekulised(numbers, offsets, formal_charges, bond_table(columns, offsets))


def bond_table(columns: np.ndarray, offsets: np.ndarray) -> BondTable:
    """Bonds that columns (A, 6) list, with their kinds; errors as :func:`from_bond_columns`."""
    molecule = ragged.molecule_index(offsets)
    counts, starts = np.diff(offsets), offsets[:-1]

    def refuse(bad: np.ndarray, reason: str) -> None:
        """Name the first of the atoms (A,) that are bad."""
        if bad.any():
            atom = int(bad.argmax())
            i = int(molecule[atom])
            raise MoleculeError(
                f"molecule {i}, atom {atom - int(offsets[i])}: {columns[atom].tolist()} in the "
                f"columns of X for bonds {reason}. X must come as it was featurized: transform the "
                "labels only"
            )

    with np.errstate(invalid="ignore"):
        refuse((columns != np.floor(columns)).any(1), "are no whole numbers")
    values = columns.astype(np.int64)
    unknown = values[:, 0] == UNKNOWN
    if len(values):
        n_unknown = np.bincount(molecule, unknown, len(counts))
        mixed = (n_unknown > 0) & (n_unknown < counts)
        refuse(mixed[molecule], "say of some atoms of the molecule only that bonds are not known")
    refuse(unknown & values[:, 1:].any(1), "are bonds beside a -1 that says that none is known")
    refuse((values < 0).any(1) & ~unknown, "are below 0")
    atom, slot = np.nonzero(values > 0)
    partner, kind = np.divmod(values[atom, slot], BOND_STRIDE)

    def refuse_bonds(bad: np.ndarray, reason: str) -> None:
        refuse(np.bincount(atom, bad, len(values)) > 0, reason)

    refuse_bonds((kind < 1) | (kind >= len(BOND_KINDS)), "name a kind of bond that does not exist")
    refuse_bonds(partner >= counts[molecule[atom]], "name an atom that does not exist")
    other = starts[molecule[atom]] + partner
    refuse_bonds(other == atom, "join an atom to itself")
    order = np.lexsort((other, atom))
    atom, other, kind = atom[order], other[order], kind[order]
    twice = np.zeros(len(atom), bool)
    twice[1:] = (atom[1:] == atom[:-1]) & (other[1:] == other[:-1])
    refuse_bonds(twice, "name an atom twice")
    # Sorted by its other end, the list of all ends is the same list.
    back = np.lexsort((atom, other))
    unequal = (atom[back] != other) | (other[back] != atom) | (kind[back] != kind)
    refuse_bonds(unequal, "are not what the atoms at the other ends say")
    once = atom < other
    first, second, kind = atom[once], other[once], kind[once]
    owner = molecule[first]
    bonds = np.stack([first - starts[owner], second - starts[owner], kind], axis=1)
    n_bonds = np.bincount(owner, minlength=len(counts))
    given = np.ones(len(counts), bool)
    given[molecule[unknown]] = False
    return BondTable(
        bonds.astype(np.int32), np.concatenate([[0], np.cumsum(n_bonds)]).astype(np.int64), given
    )


def _flat_columns(batch: Molecules, kinds: np.ndarray | None) -> np.ndarray:
    """The columns of all atoms, (A, 6), of bonds that they can hold."""
    columns = np.zeros((len(batch.atomic_numbers), MAX_BONDS), np.float32)
    graphs = batch.graphs
    if graphs is None:
        columns[:, 0] = UNKNOWN
        return columns
    if kinds is None:
        kinds = bond_kinds(batch.atomic_numbers, batch.offsets, graphs)
    atoms, partners, molecule, kinds = _ends(batch, graphs, kinds)
    order = np.lexsort((partners, atoms))
    atoms, partners, molecule, kinds = (a[order] for a in (atoms, partners, molecule, kinds))
    slot = np.arange(len(atoms)) - np.searchsorted(atoms, atoms)
    columns[atoms, slot] = BOND_STRIDE * (partners - batch.offsets[molecule]) + kinds
    columns[np.repeat(~graphs.bonds_given, batch.counts), 0] = UNKNOWN
    return columns


def _ends(
    batch: Molecules, graphs: MolecularGraphs, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both ends of each bond: atom, its partner (of all atoms), molecule and kind, (2B,)."""
    molecule = ragged.molecule_index(graphs.bond_offsets)
    first, second = graphs.bonds[:, :2].T + batch.offsets[molecule]
    return (
        np.concatenate([first, second]),
        np.concatenate([second, first]),
        np.concatenate([molecule, molecule]),
        np.concatenate([kinds, kinds]).astype(np.int64),
    )

"""Given chemistry of molecules: bonds, formal charges, isotopes and radicals as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from deepchem_ead.chem import ragged
from deepchem_ead.errors import MoleculeError

#: Per-atom arrays and their types.
_ATOM_TYPES = {"formal_charges": np.int8, "isotopes": np.int16, "radicals": np.int8}
#: Orders a bond may have: RDKit's numbers of single, double, triple, quadruple, hydrogen, dative
#: and zero-order bonds. Aromatic bonds have no place: rings are kekulised.
BOND_ORDERS = (1, 2, 3, 4, 14, 17, 21)


class MolecularGraph(NamedTuple):
    """What is given about one molecule beyond elements and coordinates.

    Attributes
    ----------
    formal_charges : numpy.ndarray
        int8, shape (n,).
    bonds : numpy.ndarray or None
        int32, shape (b, 3): two atoms, counted from 0, and the order (kekulised: 1, 2, 3; for rarer
        bonds the number of RDKit's bond type). None: the bonds are not given.
    isotopes : numpy.ndarray or None
        Mass numbers, int16, shape (n,); 0 is the natural mixture. None: zeros.
    radicals : numpy.ndarray or None
        Unpaired electrons, int8, shape (n,). None: zeros.
    unspecified : numpy.ndarray or None
        Bonds whose stereo is declared unknown whatever the coordinates say (crossed double bonds,
        wavy single bonds from their first atom), bool, shape (b,). None: none of them.
    """

    formal_charges: np.ndarray
    bonds: np.ndarray | None = None
    isotopes: np.ndarray | None = None
    radicals: np.ndarray | None = None
    unspecified: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class MolecularGraphs:
    """Given chemistry of N molecules with A atoms and B bonds, one after another, read-only.

    Attributes
    ----------
    formal_charges : numpy.ndarray
        int8, shape (A,); 0 where none is given.
    isotopes : numpy.ndarray
        Mass numbers, int16, shape (A,); 0 is the natural mixture.
    radicals : numpy.ndarray
        Unpaired electrons, int8, shape (A,).
    bonds : numpy.ndarray
        int32, shape (B, 3): two atoms, counted from 0 in their molecule, and the order, as in
        :class:`MolecularGraph`.
    unspecified : numpy.ndarray
        bool, shape (B,): bonds whose stereo is declared unknown.
    bond_offsets : numpy.ndarray
        int64, shape (N+1,): molecule i has the bonds ``bond_offsets[i]:bond_offsets[i+1]``.
    bonds_given : numpy.ndarray
        bool, shape (N,): whether the bonds of a molecule are known. A given molecule may have none
        (two ions).
    """

    formal_charges: np.ndarray
    isotopes: np.ndarray
    radicals: np.ndarray
    bonds: np.ndarray
    unspecified: np.ndarray
    bond_offsets: np.ndarray
    bonds_given: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, ragged.read_only(getattr(self, field.name)))

    @classmethod
    def join(
        cls, graphs: Sequence[MolecularGraph | None], counts: Sequence[int]
    ) -> MolecularGraphs | None:
        """Graphs of molecules with ``counts`` atoms; None if nothing is given about any of them."""
        if all(graph is None for graph in graphs):
            return None
        starts = _offsets(counts)
        atoms = {name: np.zeros(starts[-1], kind) for name, kind in _ATOM_TYPES.items()}
        bonds = [NO_BONDS if g is None or g.bonds is None else g.bonds for g in graphs]
        bond_offsets = _offsets([len(each) for each in bonds])
        unspecified = np.zeros(bond_offsets[-1], bool)
        for i, graph in enumerate(graphs):
            if graph is None:
                continue
            own = slice(*starts[i : i + 2])
            for name, values in atoms.items():
                given = getattr(graph, name)
                if given is not None:
                    values[own] = given
            if graph.bonds is not None and graph.unspecified is not None:
                unspecified[slice(*bond_offsets[i : i + 2])] = graph.unspecified
        return cls(
            **atoms,
            bonds=np.concatenate([NO_BONDS, *bonds], dtype=np.int32),
            unspecified=unspecified,
            bond_offsets=bond_offsets,
            bonds_given=np.array([g is not None and g.bonds is not None for g in graphs], bool),
        )

    @classmethod
    def concatenate(
        cls, parts: Sequence[MolecularGraphs | None], sizes: Sequence[tuple[int, int]]
    ) -> MolecularGraphs | None:
        """Join the graphs of batches with ``sizes`` (molecules, atoms); None if none has any."""
        if all(part is None for part in parts):
            return None
        parts = [
            _nothing_given(*size) if part is None else part
            for part, size in zip(parts, sizes, strict=True)
        ]
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "bond_offsets"
        }
        counts = np.concatenate([np.diff(part.bond_offsets) for part in parts])
        return cls(**joined, bond_offsets=_offsets(counts))

    def select(self, chosen: slice | np.ndarray, atoms: slice | np.ndarray) -> MolecularGraphs:
        """Graphs of the chosen molecules, whose atoms are ``atoms``."""
        bonds, offsets = ragged.select(self.bond_offsets, chosen)
        return MolecularGraphs(
            **{name: getattr(self, name)[atoms] for name in _ATOM_TYPES},
            bonds=self.bonds[bonds],
            unspecified=self.unspecified[bonds],
            bond_offsets=offsets,
            bonds_given=self.bonds_given[chosen],
        )

    def graph(self, i: int, atoms: slice) -> MolecularGraph:
        """Graph of molecule i, whose atoms are ``atoms``."""
        a, b = self.bond_offsets[i : i + 2].tolist()
        return MolecularGraph(
            self.formal_charges[atoms],
            self.bonds[a:b] if self.bonds_given[i] else None,
            self.isotopes[atoms],
            self.radicals[atoms],
            self.unspecified[a:b],
        )


#: The bonds of a molecule without any.
NO_BONDS = np.zeros((0, 3), np.int32)


def _nothing_given(n_molecules: int, n_atoms: int) -> MolecularGraphs:
    return MolecularGraphs(
        **{name: np.zeros(n_atoms, kind) for name, kind in _ATOM_TYPES.items()},
        bonds=NO_BONDS,
        unspecified=np.zeros(0, bool),
        bond_offsets=np.zeros(n_molecules + 1, np.int64),
        bonds_given=np.zeros(n_molecules, bool),
    )


def _offsets(counts: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def given_graphs(
    bonds: Sequence[Any] | None, formal_charges: Sequence[Any] | None, counts: np.ndarray
) -> list[MolecularGraph | None]:
    """Checked graphs of molecules with ``counts`` atoms, from what a user gives.

    Parameters
    ----------
    bonds : sequence of (b, 3) int arrays or None, optional
        As in :class:`MolecularGraph`; a molecule's None means not given.
    formal_charges : sequence of (n,) int arrays or None, optional

    Raises
    ------
    MoleculeError
        If a number of molecules or a shape does not fit, an atom or an order does not exist, or a
        pair is bonded twice; names the molecule.
    """
    n = len(counts)
    for name, values in (("bonds", bonds), ("formal_charges", formal_charges)):
        if values is not None and len(values) != n:
            raise MoleculeError(f"{name} has {len(values)} items for {n} molecules; give one each")
    graphs: list[MolecularGraph | None] = []
    for i, count in enumerate(counts.tolist()):
        own_bonds = None if bonds is None else bonds[i]
        own_charges = None if formal_charges is None else formal_charges[i]
        if own_bonds is None and own_charges is None:
            graphs.append(None)
            continue
        try:
            charges = _whole("formal_charges", [0] * count if own_charges is None else own_charges)
            if charges.shape != (count,) or (np.abs(charges) > 127).any():
                raise MoleculeError(
                    f"formal_charges have shape {charges.shape}; expected one charge for each of "
                    f"the {count} atoms"
                )
            table = None if own_bonds is None else _checked_bonds(own_bonds, count)
        except MoleculeError as error:
            raise MoleculeError(f"molecule {i}: {error}") from None
        graphs.append(MolecularGraph(charges.astype(np.int8), table))
    return graphs


def total_charges(graphs: Sequence[MolecularGraph | None], charges: Any) -> np.ndarray:
    """Total charges (N,): those given, or the sums of the formal charges, which must agree.

    Raises
    ------
    MoleculeError
        If they do not; names the molecule.
    """
    sums = np.array([0 if g is None else g.formal_charges.sum(dtype=np.int64) for g in graphs])
    if charges is None:
        return sums
    charges = ragged.as_charges(charges, len(graphs))
    for i in np.flatnonzero(charges != sums).tolist():
        graph = graphs[i]
        if graph is not None and (graph.bonds is not None or graph.formal_charges.any()):
            raise MoleculeError(
                f"molecule {i}: its formal charges add up to {sums[i]}, but its total charge is "
                f"{charges[i]}; give formal_charges that fit"
            )
    return charges


def _whole(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise MoleculeError(f"{name} has ragged rows") from None
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iuf" or not (array == np.floor(array)).all():
        raise MoleculeError(f"{name} must be whole numbers")
    return array.astype(np.int64)


def _checked_bonds(bonds: Any, n_atoms: int) -> np.ndarray:
    table = _whole("bonds", bonds)
    if table.size == 0:
        return NO_BONDS
    if table.ndim != 2 or table.shape[1] != 3:
        raise MoleculeError(f"bonds have shape {table.shape}; expected (b, 3): atom, atom, order")
    atoms = table[:, :2]
    wrong = (atoms < 0) | (atoms >= n_atoms)
    if wrong.any():
        raise MoleculeError(
            f"bond {table[wrong.any(1)][0].tolist()} names an atom that is not among the {n_atoms}"
        )
    if (atoms[:, 0] == atoms[:, 1]).any():
        raise MoleculeError("a bond joins an atom to itself")
    odd = ~np.isin(table[:, 2], BOND_ORDERS)
    if odd.any():
        raise MoleculeError(
            f"bond order {table[odd][0, 2]}: give kekulised orders 1, 2 or 3 (aromatic molecules "
            "come with from_rdkit)"
        )
    if len(np.unique(np.sort(atoms, axis=1), axis=0)) < len(table):
        raise MoleculeError("two bonds join the same atoms")
    return table.astype(np.int32)

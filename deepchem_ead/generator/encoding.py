"""Molecules as the numbers a diffusion model sees, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.centres import possible_centres
from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.chem.kinds import Kind, format_kind, parse_kinds
from deepchem_ead.chem.overlap import Overlap, find_overlaps
from deepchem_ead.chem.ragged import UNTOUCHED, WIDTHS
from deepchem_ead.diffusion import AtomLayout, channel, joined
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generator.config import EADConfig

if TYPE_CHECKING:
    from deepchem_ead.chem.graphs import MolecularGraphs
    from deepchem_ead.chem.molecules import MoleculeBatch


@dataclass(frozen=True, eq=False)
class EncodedMolecules:
    """Molecules as clean diffusion states, sorted by size.

    Attributes
    ----------
    clean : Tensor, (A, 3 + F) float32
        Centred positions (Angstrom) and scaled features.
    layout : AtomLayout
    is_dummy : Tensor, (A,) bool, or None
        None when the model has no dummy atoms.
    order : ndarray, (B,) int64
        ``order[k]`` is the input row of the layout's molecule k.
    bonds : Tensor, (A, S) int64, or None
        Bonds of each atom as `diffusion.bonds_of_pairs` reads them; None in a model without bonds.
    centres : Tensor, (A,) bool, or None
        Atoms that may be stereocentres; None in a model that is not told.
    """

    clean: Tensor
    layout: AtomLayout
    is_dummy: Tensor | None
    order: np.ndarray
    bonds: Tensor | None = None
    centres: Tensor | None = None


#: Formal charges are at most this, of either sign.
_LARGEST_CHARGE = 8


class AtomEncoding:
    """One-hot atom types over 4, atomic number over 10, and an explicit class for dummy atoms.

    Types are the elements and, behind them, the charged kinds of atoms that the model knows.

    Parameters
    ----------
    config : EADConfig
        Its elements, charged kinds, scales, ``max_atoms`` and ``variable_size``.

    Attributes
    ----------
    elements : ndarray, (E,) int64
    kinds : tuple of (int, int)
        Atomic number and formal charge of each type of atom, elements first.

    References
    ----------
    EDM, arXiv:2203.17003, sec. 3 and released QM9 configuration (scales 1, 4, 10).
    """

    def __init__(self, config: EADConfig) -> None:
        self.elements = np.array(parse_elements(config.elements))
        self.max_atoms = config.max_atoms
        self.has_dummies = config.variable_size
        self.symbols = config.elements
        charged = parse_kinds(config.charged_kinds) if config.charged_kinds else ()
        self.kinds: tuple[Kind, ...] = (*((int(z), 0) for z in self.elements), *charged)
        self.has_charges, self.has_bonds = bool(charged), config.bonds
        self.has_stereo = config.stereo
        self._numbers, self._charges = np.array(self.kinds).T
        n_types = len(self.kinds) + self.has_dummies
        self.n_features = n_types + config.include_charge
        # Row k holds the features of type k; the dummy type, if any, comes last with charge 0.
        table = np.zeros((n_types, self.n_features), np.float32)
        table[:, :n_types] = np.eye(n_types, dtype=np.float32) / config.type_scale
        if config.include_charge:
            table[: len(self.kinds), -1] = self._numbers / config.charge_scale
        #: Features of each type, (K, F).
        self.table = torch.from_numpy(table)
        #: Types with an odd number of electrons, (K,).
        electrons = np.append(self._numbers - self._charges, [0] * self.has_dummies)
        self.odd = torch.from_numpy(electrons % 2 == 1)
        self.n_types = n_types
        self._type_of = np.full(120, -1)
        self._type_of[self.elements] = np.arange(len(self.elements))
        self._type_of_kind = np.full((120, 2 * _LARGEST_CHARGE + 1), -1)
        self._type_of_kind[self._numbers, self._charges + _LARGEST_CHARGE] = np.arange(
            len(self.kinds)
        )

    @property
    def n_kinds(self) -> int:
        """Types of atoms, dummy atoms left out."""
        return len(self.kinds)

    def encode(
        self, X: np.ndarray, ids: Sequence | None = None, n_nodes: np.ndarray | None = None
    ) -> EncodedMolecules:
        """Encode padded molecules.

        Parameters
        ----------
        X : ndarray, (B, width, 4), (B, width, 5) or (B, width, 11)
            x, y, z in Angstrom and the atomic number (0 for padding), then formal charges, which a
            model of charged kinds needs and another does not use, and six columns of bonds
            (`deepchem_ead.chem.bond_columns`), which a model of bonds needs.
        ids : sequence of str, optional
            Names for error messages; rows are numbered otherwise.
        n_nodes : ndarray, (B,), optional
            Atoms and dummy atoms of each molecule, in a model that has dummy atoms: ``max_atoms``
            for all of them by default.

        Raises
        ------
        MoleculeError
            For an empty molecule, coordinates that are not finite, an atomic number that is not
            whole, an element the model does not know or a molecule that is too large.
        """
        X, kinds, numbers, counts = self._checked(X, ids)
        present = numbers > 0
        nodes = counts
        if self.has_dummies:
            nodes = np.full_like(counts, self.max_atoms) if n_nodes is None else n_nodes
        order = np.argsort(nodes, kind="stable")

        width = max(int(nodes.max(initial=1)), X.shape[1])
        types = np.full((len(X), width), self.n_kinds)
        types[:, : X.shape[1]] = np.where(present, kinds, types[:, : X.shape[1]])
        # Real atoms first: padding rows may in principle stand between atoms.
        rank = np.argsort(~np.pad(present, ((0, 0), (0, width - X.shape[1]))), 1, kind="stable")
        positions = np.where(present[:, :, None], X[:, :, :3], 0)
        mean = positions.sum(1) / counts[:, None]
        centered = np.zeros((len(X), width, 3), np.float32)
        centered[:, : X.shape[1]] = (positions - mean[:, None]) * present[:, :, None]
        types = np.take_along_axis(types, rank, 1)[order]
        centered = np.take_along_axis(centered, rank[:, :, None], 1)[order]
        used = np.arange(width) < nodes[order, None]
        flat_types = torch.from_numpy(types[used])
        clean = joined(torch.from_numpy(centered[used]), self.table[flat_types])
        is_dummy = flat_types == self.n_kinds if self.has_dummies else None
        bonds = centres = None
        if self.has_bonds:
            columns = np.zeros((len(X), width, X.shape[2] - 5), np.int64)
            columns[:, : X.shape[1]] = X[:, :, 5:] * present[:, :, None]
            columns = np.take_along_axis(columns, rank[:, :, None], 1)[order]
            bonds = torch.from_numpy(columns[used])
            if self.has_stereo:
                possible = possible_centres(np.append(self._numbers, 0)[types], columns)
                centres = torch.from_numpy(possible[used])
        layout = AtomLayout.from_counts(nodes[order])
        return EncodedMolecules(clean, layout, is_dummy, order, bonds, centres)

    def first_rows(
        self, kinds: Sequence[np.ndarray], positions: Sequence[np.ndarray], nodes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """States of molecules whose first nodes are these atoms, where they are.

        Parameters
        ----------
        kinds, positions : sequence of ndarray, (n, 2) and (n, 3)
            Atomic number and formal charge, of kinds that the model knows, and Angstrom.
        nodes : sequence of int
            Of each molecule.

        Returns
        -------
        clean : Tensor, (A, 3 + F) float32
            Zero beyond the atoms.
        given : Tensor, (A,) bool
            The atoms.
        """
        rows, given = [], []
        for kind, x, n in zip(kinds, positions, nodes, strict=True):
            features = self.table[self.types_of(*kind.T)]
            atoms = joined(torch.from_numpy(np.array(x, np.float32)), features)
            rows.append(nn.functional.pad(atoms, (0, 0, 0, n - len(kind))))
            given.append(torch.arange(n) < len(kind))
        return torch.cat(rows), torch.cat(given)

    def types_of(self, numbers: np.ndarray, charges: np.ndarray) -> np.ndarray:
        """Types of atoms (...,), -1 where the model does not know them.

        A model that knows no formal charges does not look at them.
        """
        numbers = np.clip(numbers, 0, len(self._type_of) - 1)
        if not self.has_charges:
            return self._type_of[numbers]
        column = np.clip(charges, -_LARGEST_CHARGE, _LARGEST_CHARGE).astype(np.int64)
        return self._type_of_kind[numbers, column + _LARGEST_CHARGE]

    def count_atoms(self, X: np.ndarray, ids: Sequence | None = None) -> np.ndarray:
        """Atoms of each molecule, (B,), after the checks of `encode`."""
        return self._checked(X, ids)[3]

    def readable(self, molecules: MoleculeBatch) -> np.ndarray:
        """Indices of the molecules that `encode` can read."""
        counts = molecules.counts
        charges = molecules.formal_charges() if self.has_charges else np.zeros(1)
        good = self.types_of(molecules.atomic_numbers, charges) >= 0
        good &= np.isfinite(molecules.coordinates).all(1)
        molecule = np.repeat(np.arange(len(counts)), counts)
        n_good = np.bincount(molecule, weights=good, minlength=len(counts))
        return np.flatnonzero((counts > 0) & (counts <= self.max_atoms) & (n_good == counts))

    def overlaps(self, X: np.ndarray) -> list[Overlap]:
        """Overlapping atoms of molecules that `count_atoms` has checked."""
        present = X[:, :, 3] > 0
        offsets = np.concatenate([[0], np.cumsum(present.sum(1))])
        return find_overlaps(X[:, :, 3][present], X[:, :, :3][present], offsets)

    def _checked(self, X, ids) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """X in single precision, types and atomic numbers (B, width), numbers of atoms (B,)."""
        X = np.asarray(X, dtype=np.float32)
        if X.ndim != 3 or X.shape[2] not in WIDTHS:
            raise MoleculeError(
                f"X must have the shape (molecules, atoms, 4), or 5 with formal charges, or 11 "
                f"with bonds, not {X.shape}; featurize with Molecule3DFeaturizer"
            )
        if X.shape[2] < WIDTHS[1 + self.has_bonds] and (self.has_charges or self.has_bonds):
            raise MoleculeError(
                f"this model knows bonds and formal charges, which X of the shape {X.shape} does "
                "not have; featurize with Molecule3DFeaturizer(bonds=True), or load with bonds=True"
            )
        numbers = X[:, :, 3].astype(np.int64)
        counts = (numbers > 0).sum(1)
        self._check(X[:, :, :4], numbers, numbers > 0, counts, ids)
        charges = X[:, :, 4] if self.has_charges else np.zeros(numbers.shape)
        types = self.types_of(numbers, charges)
        self._check_kinds(numbers, charges, types, ids)
        return X, types, numbers, counts

    def _check_kinds(self, numbers, charges, types, ids) -> None:
        known = ",".join(map(format_kind, self.kinds))
        for row, atom in np.argwhere((numbers > 0) & (types < 0))[:1]:
            kind = format_kind((numbers[row, atom], round(float(charges[row, atom]))))
            raise MoleculeError(
                f"{_named(row, ids)} holds an atom of the kind {kind}, but the model knows only "
                f"{known}; pass charged_kinds= with all charged kinds of your data"
            )

    def _check(self, X, numbers, present, counts, ids) -> None:
        def refuse(bad: np.ndarray, reason) -> None:
            if bad.any():
                row = int(np.argmax(bad))
                raise MoleculeError(f"{_named(row, ids)} {reason(row)}")

        broken = np.isfinite(X[:, :, 3]) & ((X[:, :, 3] != numbers) | (numbers < 0))
        refuse(
            broken.any(1),
            lambda i: (
                f"has {X[i, broken[i].argmax(), 3]:g} for the atomic number of atom "
                f"{broken[i].argmax()}. {UNTOUCHED}"
            ),
        )
        refuse(counts == 0, lambda i: "has no atoms; remove it from the dataset")
        refuse(
            counts > self.max_atoms,
            lambda i: (
                f"has {counts[i]} atoms, but the model holds at most {self.max_atoms}; "
                "use a preset with a larger max_atoms"
            ),
        )
        finite = np.isfinite(X).all(2) | ~present
        refuse(
            ~finite.all(1) | ~np.isfinite(X[:, :, 3]).all(1),
            lambda i: "has coordinates that are not finite numbers; remove or repair it",
        )
        outside = (numbers < 0) | (numbers >= len(self._type_of))
        unknown = present & (self._type_of[np.where(outside, 0, numbers)] < 0) | outside
        refuse(
            unknown.any(1),
            lambda i: (
                f"holds the atomic number {numbers[i][unknown[i]][0]}, but the model knows "
                f"only {self.symbols}; pass elements= with all elements of your data"
            ),
        )

    def decode(
        self,
        states: Tensor,
        layout: AtomLayout,
        sizes_fixed: bool,
        placed: Tensor | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Atomic numbers and positions of sampled states; dummy atoms are left out.

        Parameters
        ----------
        states : Tensor, (A, 3 + F)
        layout : AtomLayout
        sizes_fixed : bool
            Every node is an atom: the dummy class is not a candidate.
        placed : Tensor, (B,) bool, optional
            Molecules that stay where they are.

        Returns
        -------
        numbers : list of ndarray, (n,) int64
        positions : list of ndarray, (n, 3) float32
            Centred on the mean of the atoms unless they are placed, Angstrom.
        """
        types = self._types(states, sizes_fixed).numpy()
        positions = channel(states, "positions").numpy()
        stays = [False] * layout.n_molecules if placed is None else placed.tolist()
        bounds = zip(layout.starts.tolist(), layout.counts.tolist(), stays, strict=True)
        out_numbers, out_positions = [], []
        for start, count, stay in bounds:
            kind, x = types[start : start + count], positions[start : start + count]
            real = kind < self.n_kinds
            x = x[real]
            out_numbers.append(self._numbers[kind[real]])
            centred = len(x) and not stay
            out_positions.append((x - x.mean(0)).astype(np.float32) if centred else x)
        return out_numbers, out_positions

    def decode_graphs(
        self,
        states: Tensor,
        bonds: Tensor | None,
        layout: AtomLayout,
        sizes_fixed: bool,
        orders: Tensor | None = None,
        totals: Sequence[int | None] | None = None,
    ) -> MolecularGraphs | None:
        """Formal charges and bonds of what `decode` returns; None if the model knows neither.

        Parameters
        ----------
        states, layout, sizes_fixed
            As of `decode`.
        bonds : Tensor, (E, K), optional
            Probabilities of the kinds of bonds, in a model that knows bonds.
        orders : Tensor, (E,) int64, optional
            Orders of bonds that were given, kekulised; -1 for others.
        totals : sequence of int or None, optional
            Total charges, None where not known, if formal charges are found with the bonds.
        """
        if not (self.has_charges or self.has_bonds):
            return None
        types = self._types(states, sizes_fixed)
        real = types < self.n_kinds
        atoms = types[real].numpy()
        from deepchem_ead.generator.graphs import decoded_graphs  # needs RDKit; training does not

        return decoded_graphs(
            self._numbers[atoms], self._charges[atoms], real, layout, bonds, orders, totals
        )

    def _types(self, states: Tensor, sizes_fixed: bool) -> Tensor:
        """The likeliest type of each node, (A,)."""
        candidates = self.n_kinds if sizes_fixed else self.n_types
        return channel(states, "kinds")[:, :candidates].argmax(1)


def _named(row: int, ids: Sequence | None) -> str:
    return f"molecule {row}" if ids is None else f"molecule {row} ({ids[row]})"


def warn_of_open_shells(odd: np.ndarray, ids: Sequence) -> None:
    """Warn about training molecules (N,) bool of a kind that a model is told not to generate."""
    rows = np.flatnonzero(odd)
    if len(rows):
        warn_caller(
            f"{len(rows)} of {len(odd)} training molecules have an odd number of electrons if they "
            f"are neutral, {ids[rows[0]]!s} for example, and with closed_shell=True no such "
            "molecules are generated; pass closed_shell=False if you want them"
        )

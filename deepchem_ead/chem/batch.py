"""Molecules as ragged arrays: selecting, joining, and the chemistry that they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from rdkit import Chem

from deepchem_ead.chem import ragged
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.chem.rdkit_io import smiles_of
from deepchem_ead.chem.validity import judge


@dataclass(frozen=True, eq=False, repr=False)
class Molecules:
    """The reading half of :class:`deepchem_ead.chem.molecules.MoleculeBatch`.

    What files, datasets and pictures need to know of molecules. Where molecules come from, what
    they become, and what the attributes are, is said there.
    """

    atomic_numbers: np.ndarray
    coordinates: np.ndarray
    offsets: np.ndarray
    charges: np.ndarray
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    ids: list[str] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    graphs: MolecularGraphs | None = None
    _smiles: list[str | None] | None = None
    _reasons: list[str | None] | None = None

    def __post_init__(self) -> None:
        for name in ("atomic_numbers", "coordinates", "offsets", "charges"):
            object.__setattr__(self, name, ragged.read_only(getattr(self, name)))
        locked = {name: ragged.read_only(values) for name, values in self.properties.items()}
        object.__setattr__(self, "properties", locked)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} molecules, {len(self.atomic_numbers)} atoms)"

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Molecules by index, slice, index array or bool mask: always a batch."""
        if isinstance(key, (int, np.integer)):
            i = ragged.as_index(key, len(self))
            key = slice(i, i + 1)
        chosen = ragged.as_selection(key, len(self))
        atoms, offsets = ragged.select(self.offsets, chosen)
        index = chosen if isinstance(chosen, slice) else chosen.tolist()
        return type(self)(
            self.atomic_numbers[atoms],
            self.coordinates[atoms],
            offsets,
            self.charges[chosen],
            {name: values[chosen] for name, values in self.properties.items()},
            _pick(self.ids, index),
            self.info,
            None if self.graphs is None else self.graphs.select(chosen, atoms),
            _pick(self._smiles, index),
            _pick(self._reasons, index),
        )

    @property
    def counts(self) -> np.ndarray:
        """Number of atoms of each molecule, int64, shape (N,)."""
        return np.diff(self.offsets)

    @property
    def numbers(self) -> list[np.ndarray]:
        """Atomic numbers of each molecule: int16 arrays of shape (n,)."""
        return [self.atomic_numbers[a:b] for a, b in self._bounds()]

    @property
    def positions(self) -> list[np.ndarray]:
        """Coordinates of each molecule in Angstrom: float32 arrays of shape (n, 3)."""
        return [self.coordinates[a:b] for a, b in self._bounds()]

    @property
    def bonds(self) -> list[np.ndarray | None]:
        """Given bonds of each molecule: int32 arrays of shape (b, 3), two atoms of the molecule and
        the order (aromatic rings kekulised); None where none are given (:meth:`with_bonds`)."""
        graphs = [self.graph(i) for i in range(len(self))]
        return [None if graph is None else graph.bonds for graph in graphs]

    def atoms(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Atomic numbers (n,) and coordinates (n, 3) in Angstrom of molecule i."""
        i = ragged.as_index(i, len(self))
        a, b = int(self.offsets[i]), int(self.offsets[i + 1])
        return self.atomic_numbers[a:b], self.coordinates[a:b]

    def graph(self, i: int) -> MolecularGraph | None:
        """Given bonds, formal charges, isotopes and radicals of molecule i; None if there are none.

        The bonds of a graph are None where only charges or isotopes were given.
        """
        i = ragged.as_index(i, len(self))
        if self.graphs is None:
            return None
        graph = self.graphs.graph(i, slice(int(self.offsets[i]), int(self.offsets[i + 1])))
        return None if graph.bonds is None and not any(map(np.any, graph)) else graph

    def _bounds(self) -> Iterator[tuple[int, int]]:
        offsets = self.offsets.tolist()
        return zip(offsets[:-1], offsets[1:], strict=True)

    @classmethod
    def concatenate(cls, batches: Iterable[Self]) -> Self:
        """Join batches; entries of :attr:`info` on which they do not all agree are dropped.

        Raises
        ------
        ValueError
            If some batches have ids or a property and others do not (empty batches aside).
        """
        batches = [batch for batch in batches if len(batch)]
        if not batches:
            return cls(*_nothing())
        first = batches[0]
        for i, batch in enumerate(batches):
            if batch.properties.keys() != first.properties.keys():
                raise ValueError(
                    f"batch {i} has the properties {sorted(batch.properties)}, the first one "
                    f"{sorted(first.properties)}; give all of them the same ones"
                )
            if (batch.ids is None) != (first.ids is None):
                raise ValueError(f"only one of batches 0 and {i} has ids; give ids to all or none")
        starts = np.cumsum([0] + [len(batch.atomic_numbers) for batch in batches[:-1]])
        offsets = [b.offsets[1:] + s for b, s in zip(batches, starts, strict=True)]
        return cls(
            np.concatenate([b.atomic_numbers for b in batches]),
            np.concatenate([b.coordinates for b in batches]),
            np.concatenate([np.zeros(1, dtype=np.int64), *offsets]),
            np.concatenate([b.charges for b in batches]),
            {k: np.concatenate([b.properties[k] for b in batches]) for k in first.properties},
            _joined([b.ids for b in batches]),
            {k: v for k, v in first.info.items() if all(_same(b.info, k, v) for b in batches)},
            MolecularGraphs.concatenate(
                [b.graphs for b in batches], [(len(b), len(b.atomic_numbers)) for b in batches]
            ),
            *(_joined([getattr(b, name) for b in batches]) for name in ("_smiles", "_reasons")),
        )

    def to_rdkit(self) -> list[Chem.Mol | None]:
        """Sanitised RDKit molecules with conformer, bonds, formal charges and stereo labels.

        Given bonds (:attr:`graphs`) are kept. Otherwise bonds and formal charges are those of the
        best closed-shell structure of the total charge
        (:mod:`deepchem_ead.chem.perception`). Stereo follows from the coordinates.

        Returns
        -------
        list of rdkit.Chem.Mol or None
            None where the molecule is invalid: no atoms, coordinates that are not finite, given
            bonds with an impossible valence, coordinates without a closed-shell structure, such as
            those of a radical, or debris. :attr:`reasons` says which.
        """
        mols = [self._judge(i)[0] for i in range(len(self))]
        if self.ids is not None:
            for mol, name in zip(mols, self.ids, strict=True):
                if mol is not None:
                    mol.SetProp("_Name", name)
        return mols

    def _judge(self, i: int) -> tuple[Chem.Mol | None, str | None]:
        sampled = bool(self.info.get("sampled", False))
        return judge(*self.atoms(i), int(self.charges[i]), self.graph(i), sampled)

    @property
    def smiles(self) -> list[str | None]:
        """Canonical SMILES of each whole molecule without explicit hydrogens; None where invalid.

        Bonds, charges and stereo are those of :meth:`to_rdkit`. Fragments whose bonds are given, or
        that are near each other like those of a complex or a salt, are kept, separated by dots; of
        generated molecules (``info["sampled"]``) several fragments are debris, hence None. Computed
        once and kept.
        """
        return list(self._judged()[0])

    @property
    def reasons(self) -> list[str | None]:
        """Why each molecule is invalid, in a few words; None where it has a SMILES."""
        return list(self._judged()[1])

    def _judged(self) -> tuple[list[str | None], list[str | None]]:
        """SMILES and reasons of all molecules, found once."""
        if self._smiles is not None and self._reasons is not None:
            return self._smiles, self._reasons
        judged = [self._judge(i) for i in range(len(self))]
        smiles = [smiles_of(mol) for mol, _ in judged]
        reasons = [
            None if text is not None else reason or "RDKit cannot write its SMILES"
            for text, (_, reason) in zip(smiles, judged, strict=True)
        ]
        object.__setattr__(self, "_smiles", smiles)
        object.__setattr__(self, "_reasons", reasons)
        return smiles, reasons

    def formal_charges(self) -> np.ndarray:
        """Formal charge of each atom, int8, shape (A,), adding up to :attr:`charges`.

        They are the given ones (:attr:`graphs`) or else those of :meth:`to_rdkit`. Where there is
        no structure of the total charge, it stands on the molecule's first atom that is not
        hydrogen.
        """
        own = [self._formal_charges(i) for i in range(len(self))]
        return np.concatenate([np.zeros(0, np.int8), *own])

    def _formal_charges(self, i: int) -> np.ndarray:
        graph, total = self.graph(i), int(self.charges[i])
        if graph is not None and (graph.bonds is not None or graph.formal_charges.any()):
            if graph.formal_charges.sum() == total:
                return graph.formal_charges
        mol, _ = self._judge(i)
        if mol is not None:
            charges = np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()], np.int8)
            if charges.sum() == total:
                return charges
        numbers, _ = self.atoms(i)
        charges = np.zeros(len(numbers), np.int8)
        if len(numbers):
            charges[int(np.argmax(numbers > 1))] = total
        return charges


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of no molecules."""
    return (
        np.zeros(0, np.int16),
        np.zeros((0, 3), np.float32),
        np.zeros(1, np.int64),
        np.zeros(0, np.int64),
    )


def _pick(values: list | None, index: slice | list[int]) -> list | None:
    if values is None:
        return None
    return values[index] if isinstance(index, slice) else [values[i] for i in index]


def _joined(parts: Sequence[list | None]) -> list | None:
    given = [part for part in parts if part is not None]
    return [item for part in given for item in part] if len(given) == len(parts) else None


def _same(info: dict[str, Any], key: str, value: Any) -> bool:
    return key in info and bool(np.array_equal(info[key], value))

"""A set of molecules with properties as flat arrays, and its cache file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.limits import refuse_wasteful_padding


@dataclass(frozen=True)
class MoleculeTable:
    """N molecules with A atoms altogether, without padding.

    Attributes
    ----------
    atomic_numbers : ndarray (A,) int8
        Atomic numbers, molecule after molecule.
    coordinates : ndarray (A, 3) float32
        Positions in Angstrom.
    n_atoms : ndarray (N,) int16
        Atoms of each molecule.
    index : ndarray (N,) int32
        Number of each molecule in its source (QM9: the 1-based gdb9 index).
    smiles : ndarray (N,) str
        Canonical SMILES without explicit hydrogens.
    properties : dict of str to ndarray (N,) float64
        One value a molecule in the source's units.
    """

    atomic_numbers: np.ndarray
    coordinates: np.ndarray
    n_atoms: np.ndarray
    index: np.ndarray
    smiles: np.ndarray
    properties: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.n_atoms)

    @cached_property
    def offsets(self) -> np.ndarray:
        """First atom of each molecule and, last, the number of atoms: (N+1,) int64."""
        return np.concatenate([[0], np.cumsum(self.n_atoms, dtype=np.int64)])

    def numbers_and_positions(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Atomic numbers (n,) and positions (n, 3) in Angstrom of molecule i."""
        atoms = slice(self.offsets[i], self.offsets[i + 1])
        return self.atomic_numbers[atoms], self.coordinates[atoms]

    def select(self, molecules: np.ndarray) -> MoleculeTable:
        """The table of the chosen molecules (M,) int, in the given order."""
        molecules = np.asarray(molecules, dtype=np.int64)
        counts = self.n_atoms[molecules].astype(np.int64)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        atoms = np.repeat(self.offsets[molecules], counts) + within
        return MoleculeTable(
            self.atomic_numbers[atoms],
            self.coordinates[atoms],
            self.n_atoms[molecules],
            self.index[molecules],
            self.smiles[molecules],
            {name: values[molecules] for name, values in self.properties.items()},
        )

    def to_padded(self, max_atoms: int | None = None) -> np.ndarray:
        """X of the DeepChem dataset: (N, max_atoms, 4) float32 = x, y, z, atomic number.

        Positions are centred on the mean of each molecule's atoms; padding rows are 0.

        Parameters
        ----------
        max_atoms : int, optional
            Rows per molecule; default the largest molecule.

        Raises
        ------
        ValueError
            If a molecule has more than `max_atoms` atoms.
        """
        counts = self.n_atoms.astype(np.int64)
        largest = int(counts.max(initial=0))
        max_atoms = largest if max_atoms is None else max_atoms
        if largest > max_atoms:
            i = int(counts.argmax())
            raise ValueError(
                f"molecule {self.index[i]} ({self.smiles[i]}) has {largest} atoms, more than "
                f"max_atoms={max_atoms}; raise max_atoms"
            )
        refuse_wasteful_padding(counts, max_atoms)
        molecule = np.repeat(np.arange(len(self)), counts)
        row = np.arange(len(molecule)) - np.repeat(self.offsets[:-1], counts)
        mean = np.add.reduceat(self.coordinates, self.offsets[:-1], axis=0, dtype=np.float64)
        mean /= counts[:, None]
        X = np.zeros((len(self), max_atoms, 4), dtype=np.float32)
        X[molecule, row, :3] = self.coordinates - mean[molecule]
        X[molecule, row, 3] = self.atomic_numbers
        return X

    def save(self, path: str | Path, compressed: bool = False) -> None:
        """Write an npz file; an interrupted write leaves an older file at `path` untouched."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            "atomic_numbers": self.atomic_numbers,
            "coordinates": self.coordinates,
            "n_atoms": self.n_atoms,
            "index": self.index,
            "smiles": np.char.encode(self.smiles, "ascii"),
        }
        arrays |= {f"property_{name}": values for name, values in self.properties.items()}
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            (np.savez_compressed if compressed else np.savez)(stream, **arrays)

    @classmethod
    def load(cls, path: str | Path | BinaryIO) -> MoleculeTable:
        """Read a file written by `save`.

        Raises
        ------
        ValueError
            If the arrays do not fit together.
        OSError, KeyError, zipfile.BadZipFile
            If the file is missing or damaged.
        """
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        properties = {
            name.removeprefix("property_"): arrays.pop(name)
            for name in list(arrays)
            if name.startswith("property_")
        }
        n_molecules, n_atoms = len(arrays["n_atoms"]), int(arrays["n_atoms"].sum())
        if not (
            arrays["atomic_numbers"].shape == (n_atoms,)
            and arrays["coordinates"].shape == (n_atoms, 3)
            and {len(arrays["index"]), len(arrays["smiles"])} == {n_molecules}
            and all(len(values) == n_molecules for values in properties.values())
        ):
            raise ValueError(f"{path}: arrays of different lengths")
        arrays["smiles"] = np.char.decode(arrays["smiles"], "ascii")
        return cls(**arrays, properties=properties)

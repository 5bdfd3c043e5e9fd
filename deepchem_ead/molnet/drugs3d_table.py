"""Drug-like molecules in 3D as plain arrays: what ``deepchem-ead data build drugs3d`` writes.

N molecules with A atoms, B bonds and L letters of SMILES altogether, one after another:

==================  ==============  ==============================================================
``numbers``         (A,) uint8      atomic numbers
``formal_charges``  (A,) int8
``positions``       (A, 3) int16    thousandths of an Angstrom, centred on the mean of the atoms
``chirality``       (A,) int8       of stereocentres the sign of the volume that their first three
                                    neighbours span (by number), else 0
``bonds``           (B, 3) uint8    two atoms, counted from 0 in their molecule, and the order of
                                    the kekulised bond
``aromatic``        (B,) bool       whether RDKit calls the bond aromatic
``cis_trans``       (B,) int8       of double bonds with stereo 1 (cis) or -1 (trans), for the first
                                    other neighbours (by number) of either end, else 0
``smiles``          (L,) uint8      canonical, with stereo, ASCII
``n_atoms``, ``n_bonds``, ``n_letters``   (N,) int32
``ani2xt``          (N,) float64    energy at the minimum of ANI-2xt, Hartree; NaN where unknown
``mmff94s``         (N,) float64    energy at the minimum of MMFF94s, kcal/mol
``gfn2``            (N,) float64    energy at the minimum of GFN2-xTB, Hartree; if made
``level``           (N,) uint8      of the geometry: number in `LEVELS`
``source``          (N,) uint8      number in `SOURCES`; and the row there: ``source_row``, int32
``form``            (N,) uint8      number in `FORMS`
``index``           (N,) int32      number among all that were tried
``scaffold``        (N,) int32      hash of the Murcko scaffold
``part``            (N,) uint8      0 training, 1 validation, 2 test, by scaffold
==================  ==============  ==============================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from deepchem_ead import cache
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch

#: Levels of theory of a geometry.
LEVELS = ("mmff94s", "ani2xt", "gfn2")
#: Where SMILES come from.
SOURCES = (
    "moses-train",
    "moses-test",
    "moses-test-scaffolds",
    "chembl-drugs",
    "chembl-samples",
    "solubility",
    "freesolv",
    "nci",
)
#: Which form of a molecule it is.
FORMS = ("neutral", "physiological", "given")
#: What its molecules are made of; SMILES with other elements are left out.
ELEMENTS = "H,C,N,O,F,Si,P,S,Cl,Br,I"
STEPS_PER_ANGSTROM = 1000

#: Arrays with a row for each atom, bond or letter, and the array with their numbers a molecule.
RAGGED = {
    "numbers": "n_atoms",
    "formal_charges": "n_atoms",
    "positions": "n_atoms",
    "chirality": "n_atoms",
    "bonds": "n_bonds",
    "aromatic": "n_bonds",
    "cis_trans": "n_bonds",
    "smiles": "n_letters",
}
#: Folder of the arrays in a folder of `deepchem-ead data build`.
ARRAYS = "arrays"
SAMPLE_VERSION = "2"
_SAMPLE = "data/drugs3d_sample.npz"


class Drugs3DTable:
    """The arrays by name, each as an attribute; see the module for what they hold.

    Parameters
    ----------
    arrays : mapping of str to ndarray

    Raises
    ------
    ValueError
        If lengths do not fit.

    Examples
    --------
    >>> table = Drugs3DTable.sample()
    >>> table.smiles_of(0), int(table.n_atoms[0])                    # doctest: +SKIP
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self.arrays = dict(arrays)
        n = len(self.arrays["n_atoms"])
        for name, values in self.arrays.items():
            wanted = int(self.arrays[RAGGED[name]].sum()) if name in RAGGED else n
            if len(values) != wanted:
                raise ValueError(f"{name} has {len(values)} rows, not {wanted}")
        self._offsets = {
            name: np.concatenate([[0], np.cumsum(self.arrays[name], dtype=np.int64)])
            for name in set(RAGGED.values())
        }

    def __len__(self) -> int:
        return len(self.arrays["n_atoms"])

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(name) from None

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Drugs3DTable:
        """Arrays built in a folder, mapped into memory after their checksums were compared.

        Raises
        ------
        FileNotFoundError
            If nothing is built there; says how to.
        deepchem_ead.cache.DamagedCache
            If a file is not what was written; names it.
        """
        arrays = Path(folder) / ARRAYS
        if not arrays.is_dir():
            raise FileNotFoundError(
                f"{arrays} is missing; make it with: deepchem-ead data build drugs3d --n 500000 "
                f"--out {folder}"
            )
        cache.check(arrays)
        return cls({file.stem: np.load(file, mmap_mode="r") for file in arrays.glob("*.npy")})

    @classmethod
    def sample(cls) -> Drugs3DTable:
        """The molecules that are shipped with this package."""
        with resources.files("deepchem_ead.molnet").joinpath(_SAMPLE).open("rb") as file:
            with np.load(file, allow_pickle=False) as data:
                return cls({name: data[name] for name in data.files})

    def rows_of(self, name: str, molecule: int) -> np.ndarray:
        """What a ragged array holds of one molecule."""
        offsets = self._offsets[RAGGED[name]]
        return self.arrays[name][offsets[molecule] : offsets[molecule + 1]]

    def smiles_of(self, molecule: int) -> str:
        """Canonical SMILES, with stereo, of one molecule."""
        return self.rows_of("smiles", molecule).tobytes().decode("ascii")

    def all_smiles(self) -> list[str]:
        """Canonical SMILES of all molecules."""
        text = np.asarray(self.smiles).tobytes().decode("ascii")
        ends = self._offsets["n_letters"].tolist()
        return [text[a:b] for a, b in zip(ends, ends[1:], strict=False)]

    def select(self, molecules: np.ndarray) -> Drugs3DTable:
        """The table of the chosen molecules (M,) int, in the given order."""
        molecules = np.asarray(molecules, dtype=np.int64)
        rows = {}
        for name, offsets in self._offsets.items():
            counts = np.asarray(self.arrays[name])[molecules].astype(np.int64)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            rows[name] = np.repeat(offsets[molecules], counts) + within
        return Drugs3DTable(
            {
                name: values[rows[RAGGED[name]] if name in RAGGED else molecules]
                for name, values in self.arrays.items()
            }
        )

    def to_batch(self) -> MoleculeBatch:
        """The molecules with bonds, charges and energies; ids are their SMILES."""
        charges = np.add.reduceat(
            self.formal_charges, self._offsets["n_atoms"][:-1], dtype=np.int64
        )
        n_atoms = len(self.numbers)
        return MoleculeBatch(
            self.numbers.astype(np.int16),
            self.positions.astype(np.float32) / STEPS_PER_ANGSTROM,
            self._offsets["n_atoms"],
            charges,
            {name: np.asarray(self.arrays[name]) for name in LEVELS if name in self.arrays},
            self.all_smiles(),
            {},
            MolecularGraphs(
                formal_charges=np.asarray(self.formal_charges),
                isotopes=np.zeros(n_atoms, np.int16),
                radicals=np.zeros(n_atoms, np.int8),
                bonds=self.bonds.astype(np.int32),
                unspecified=np.zeros(len(self.bonds), bool),
                bond_offsets=self._offsets["n_bonds"],
                bonds_given=np.ones(len(self), bool),
            ),
        )

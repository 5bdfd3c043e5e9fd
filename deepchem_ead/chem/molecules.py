"""MoleculeBatch: many molecules as ragged arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from deepchem_ead.chem import files, ragged
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.batch import Molecules
from deepchem_ead.chem.bond_columns import bond_columns
from deepchem_ead.chem.formal_charges import add_formal_charges
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs, given_graphs, total_charges
from deepchem_ead.chem.known_graphs import graphs_of_columns, perceived_where_missing
from deepchem_ead.chem.overlap import find_overlaps, warn_of_overlaps
from deepchem_ead.chem.rdkit_io import arrays_from_mol, listed, name_of
from deepchem_ead.chem.records import JOB_TAG, Record, columns
from deepchem_ead.errors import MoleculeError
from deepchem_ead.views import VIEWS

if TYPE_CHECKING:
    import deepchem
    import py3Dmol


class MoleculeBatch(Molecules):
    """N molecules: elements, coordinates and, where given, bonds, one after another, unpadded.

    The arrays are read-only and slices share them. Make batches with :meth:`from_arrays`,
    :meth:`from_rdkit`, :meth:`from_padded`, :meth:`read` or :meth:`concatenate`. Molecules without
    atoms and coordinates that are not finite are accepted, because samples of a generator may be
    broken; whatever feeds training refuses them.

    Attributes
    ----------
    atomic_numbers : numpy.ndarray
        int16, shape (A,).
    coordinates : numpy.ndarray
        Angstrom, float32, shape (A, 3).
    offsets : numpy.ndarray
        int64, shape (N+1,): molecule i has the atoms ``offsets[i]:offsets[i+1]``.
    charges : numpy.ndarray
        Total charge of each molecule, int64, shape (N,).
    properties : dict of numpy.ndarray
        One value a molecule, each of shape (N,).
    ids : list of str or None
        Name of each molecule.
    info : dict
        How the molecules were made; the same for all of them.
    graphs : MolecularGraphs or None
        Bonds, formal charges, isotopes and radicals that came with the molecules, from an SDF file
        or RDKit; None if nothing did. They are believed wherever a molecule is shown, named or
        written.

    Examples
    --------
    >>> water = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    >>> batch = MoleculeBatch.from_arrays([[8, 1, 1]], [water])
    >>> len(batch), batch.smiles
    (1, ['O'])
    """

    # ------------------------------------------------------------------ making batches

    @classmethod
    def from_arrays(
        cls,
        numbers: Sequence[Any],
        positions: Sequence[Any],
        charges: Any = None,
        properties: dict[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        info: dict[str, Any] | None = None,
        bonds: Sequence[Any] | None = None,
        formal_charges: Sequence[Any] | None = None,
    ) -> MoleculeBatch:
        """Batch from one array of atomic numbers and one of coordinates for each molecule.

        Parameters
        ----------
        numbers : sequence of (n,) int arrays
            Atomic numbers, 1 to 118.
        positions : sequence of (n, 3) float arrays
            Angstrom; NaN and infinity are kept.
        charges : (N,) ints, optional
            Total charges; by default the sums of ``formal_charges``, or 0.
        properties : dict of (N,) arrays, optional
            Numbers or text, one value a molecule.
        ids : sequence of str, optional
            One name a molecule.
        info : dict, optional
            How the molecules were made.
        bonds : sequence of (b, 3) int arrays or None, optional
            Bonds of each molecule: two atoms, counted from 0, and the order (1, 2 or 3, aromatic
            rings kekulised). None for a molecule whose bonds are to follow from its coordinates.
        formal_charges : sequence of (n,) int arrays or None, optional
            Formal charge of each atom; 0 by default.

        Raises
        ------
        MoleculeError
            If shapes do not fit, an atomic number does not exist, bonds or formal charges are
            impossible, or formal charges do not add up to ``charges``; names the molecule.
        """
        flat_numbers, flat_positions, offsets = ragged.flatten(numbers, positions)
        graphs = None
        if bonds is not None or formal_charges is not None:
            given = given_graphs(bonds, formal_charges, np.diff(offsets))
            charges = total_charges(given, charges)
            graphs = MolecularGraphs.join(given, np.diff(offsets))
        arrays = flat_numbers, flat_positions, offsets
        return cls._of(arrays, charges, properties, ids, info, graphs)

    @classmethod
    def from_rdkit(cls, mols: Iterable[Chem.Mol], conformer_id: int = -1) -> MoleculeBatch:
        """Batch from RDKit molecules with explicit hydrogens and a 3D conformer.

        Bonds, formal charges, isotopes and radicals are kept; the names become ids if any molecule
        has one. A warning names the molecules with atoms on top of each other.

        Parameters
        ----------
        mols : iterable of rdkit.Chem.Mol
            They need not be sanitised.
        conformer_id : int
            Conformer to take of each; -1 is the first one.

        Raises
        ------
        MoleculeError
            If a molecule has implicit hydrogens, no 3D conformer or a dummy atom; names it.
        ValueError
            If these are no molecules.
        """
        arrays, names = [], []
        for i, mol in enumerate(listed(mols)):
            name = name_of(mol)
            try:
                arrays.append(arrays_from_mol(mol, conformer_id))
            except MoleculeError as error:
                label = f" ({name})" if name else ""
                raise MoleculeError(f"molecule {i}{label} {error}") from None
            names.append(name)
        batch = cls.from_arrays(
            [a.numbers for a in arrays],
            [a.positions for a in arrays],
            charges=[a.charge for a in arrays],
            ids=names if any(names) else None,
        )
        overlaps = find_overlaps(batch.atomic_numbers, batch.coordinates, batch.offsets)
        warn_of_overlaps(overlaps, len(batch), batch.ids)
        return batch._with_graphs([a.graph for a in arrays])

    @classmethod
    def from_padded(
        cls,
        X: np.ndarray,
        charges: Any = None,
        properties: dict[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> MoleculeBatch:
        """Batch from the dense dataset layout.

        Parameters
        ----------
        X : numpy.ndarray
            Shape (N, max_atoms, 4): x, y, z in Angstrom and the atomic number; rows with atomic
            number 0 are padding. A fifth column holds formal charges, the sixth to eleventh bonds
            (:mod:`deepchem_ead.chem.bond_columns`).
        charges, properties, ids, info
            As in :meth:`from_arrays`.

        Raises
        ------
        MoleculeError
            If X has another shape, an atomic number, a formal charge or a bond does not exist,
            formal charges do not add up to ``charges``, or aromatic bonds have no Kekule structure;
            names the molecule.
        """
        numbers, coordinates, offsets, formal_charges, columns = ragged.from_padded(X)
        graphs = graphs_of_columns(numbers, offsets, formal_charges, columns)
        if graphs is not None:
            bounds = enumerate(zip(offsets.tolist(), offsets[1:].tolist(), strict=False))
            charges = total_charges([graphs.graph(i, slice(*ends)) for i, ends in bounds], charges)
        arrays = numbers, coordinates, offsets
        return cls._of(arrays, charges, properties, ids, info, graphs)

    @classmethod
    def _of(cls, arrays, charges, properties, ids, info, graphs) -> MoleculeBatch:
        n = len(arrays[2]) - 1
        return cls(
            *arrays,
            ragged.as_charges(charges, n),
            ragged.as_properties(properties or {}, n),
            ragged.as_ids(ids, n),
            dict(info or {}),
            graphs,
        )

    @classmethod
    def read(
        cls, path: str | os.PathLike, on_error: str = "raise", allow_empty: bool = False
    ) -> MoleculeBatch:
        """Read a molecule file.

        SDF tags and extended-XYZ keys become :attr:`properties` (a missing number is NaN, a missing
        text ""), title lines and the key ``id`` become :attr:`ids`, formal charges or the tag
        ``charge`` become :attr:`charges`. The bonds, formal charges, isotopes and radicals of an
        SDF record are kept in :attr:`graphs`; stereo follows from them and the coordinates. The tag
        ``SMILES`` is not kept: it follows from the molecule. A file that says that its molecules
        were generated (tag ``deepchem_ead_job``) gives a batch that says so, too
        (``info["sampled"]``): fragments are debris there, also after reading. A
        molecule so far from the origin that single precision would round it by more than 1e-4
        Angstrom is centred.

        Parameters
        ----------
        path : path
            ``.sdf``, ``.mol``, ``.xyz`` or ``.extxyz``, each also with ``.gz``.
        on_error : {"raise", "skip"}
            "skip" leaves bad records out and lists them in one warning.
        allow_empty : bool
            Accept records without atoms, as broken samples of a generator may be.

        Raises
        ------
        MoleculeError
            If a record is bad (file, record number from 1, reason) or the file holds no molecule.
        """
        records = files.read_records(path, on_error, allow_empty)
        return cls.from_records(records, info={"source": os.fspath(path)})

    @classmethod
    def from_records(
        cls, records: Sequence[Record], info: dict[str, Any] | None = None
    ) -> MoleculeBatch:
        """Batch from the records of a molecule file, as :meth:`read` makes it."""
        names = [record.name for record in records]
        if any(JOB_TAG in record.tags for record in records):
            info = {**(info or {}), "sampled": True}
        return cls.from_arrays(
            [record.numbers for record in records],
            [ragged.near_origin(record.positions) for record in records],
            charges=[record.charge for record in records],
            properties=columns([record.tags for record in records]),
            ids=names if any(names) else None,
            info=info,
        )._with_graphs([record.graph for record in records])

    def with_bonds(self) -> MoleculeBatch:
        """The molecules with bonds in :attr:`graphs`: those given, else those of :meth:`to_rdkit`.

        Formal charges come with perceived bonds. The bonds of a molecule stay not given where
        :meth:`to_rdkit` has None.
        """
        graphs = perceived_where_missing(self)
        return self if graphs is None else self._with_graphs(graphs)

    def _with_graphs(self, graphs: Sequence[MolecularGraph | None]) -> MoleculeBatch:
        return replace(self, graphs=MolecularGraphs.join(graphs, self.counts))

    # ------------------------------------------------------------------ writing

    def to_padded(
        self,
        max_atoms: int | None = None,
        with_formal_charges: bool = False,
        with_bonds: bool = False,
    ) -> np.ndarray:
        """Dense float32 array (N, max_atoms, 4): x, y, z (Angstrom, centred on the mean of the real
        atoms), atomic number; padding rows are 0.

        Parameters
        ----------
        max_atoms : int, optional
            Rows for each molecule; by default the size of the largest one.
        with_formal_charges : bool
            Add :meth:`formal_charges` as a fifth column.
        with_bonds : bool
            Add formal charges, and the bonds of :meth:`with_bonds` as six more columns
            (:mod:`deepchem_ead.chem.bond_columns`): (N, max_atoms, 11).

        Raises
        ------
        MoleculeError
            If a molecule has more atoms, or bonds that the columns cannot hold; names it.
        """
        X = ragged.to_padded(self.atomic_numbers, self.coordinates, self.offsets, max_atoms)
        if with_bonds:
            known = self.with_bonds()
            X = add_formal_charges(X, known)
            return np.concatenate([X, bond_columns(known, X.shape[1])], axis=2)
        return add_formal_charges(X, self) if with_formal_charges else X

    def to_dataset(
        self,
        max_atoms: int | None = None,
        tasks: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        bonds: bool = False,
    ) -> deepchem.data.NumpyDataset:
        """DeepChem dataset for training.

        Parameters
        ----------
        max_atoms : int, optional
            Rows for each molecule in X; by default the size of the largest one.
        tasks : sequence of str, optional
            Properties to use as labels.
        ids : sequence of str, optional
            Names of the rows. By default the SMILES of each molecule, "" where it is invalid.
        bonds : bool
            Add formal charges and bonds to X, as :meth:`to_padded` with ``with_bonds=True``.

        Returns
        -------
        deepchem.data.NumpyDataset
            X as :meth:`to_padded` gives it, with formal charges if a molecule has a total charge (a
            warning says so, because models without bonds know no charges) or with bonds; y float32
            (N, tasks), or zeros (N, 1) without tasks; w ones.

        Raises
        ------
        MoleculeError
            If molecules have no atoms, coordinates that are not finite, or atoms on top of each
            other; lists their indices.
        ValueError
            If the batch is empty, a task is unknown, or a label is not finite.
        """
        from deepchem_ead.chem.dataset import numpy_dataset

        return numpy_dataset(self, max_atoms, tasks, ids, bonds)

    def to_sdf(self, path: str | os.PathLike) -> None:
        """Write an SDF file with names, charges, SMILES and properties.

        Bonds, formal charges and stereo are those of :meth:`to_rdkit`. An invalid molecule gets a
        record with its atoms and the bonds it came with, if any. The file appears complete or not
        at all (temporary file, then ``os.replace``).
        """
        self._write(path, "sdf")

    def to_xyz(self, path: str | os.PathLike) -> None:
        """Write an extended XYZ file, atomically; ids, charges, SMILES and properties are keys."""
        self._write(path, "xyz")

    def to_smi(self, path: str | os.PathLike) -> None:
        """Write ``SMILES<tab>id`` for each valid molecule, atomically; without ids the index."""
        self._write(path, "smi")

    def _write(self, path: str | os.PathLike, kind: str) -> None:
        with atomic_path(path) as temporary:
            with files.open_writer(temporary, kind=kind) as writer:
                writer.write(self)

    # ------------------------------------------------------------------ looking at molecules

    def view(self, i: int = 0, width: int = 480, height: int = 360) -> py3Dmol.view:
        """Interactive 3D view of molecule i (py3Dmol); shows itself in a notebook, without network.

        Raises
        ------
        IndexError
            If there is no molecule i.
        MoleculeError
            If the molecule has no atoms or coordinates that are not finite.
        """
        return VIEWS["view"](self[i], width=width, height=height)

    def grid(self, path: str | os.PathLike, n: int = 24, columns: int | None = None) -> Path:
        """Write a picture (.png, .jpg or .svg) with 2D drawings of the first ``n`` molecules.

        Returns the path.

        Raises
        ------
        ValueError
            If the batch is empty, n < 1, or for another suffix.
        """
        return VIEWS["grid"](self, path, n=n, columns=columns)

    def write_html(self, path: str | os.PathLike, n: int = 1000, title: str | None = None) -> Path:
        """Write a page of the first ``n`` molecules: drawings, captions, and 3D views that turn.

        It is one file that opens in a browser without network. Returns the path; see
        :func:`deepchem_ead.viz.write_page`.

        Raises
        ------
        ValueError
            If the batch is empty, n < 1, or for a suffix other than .html.
        """
        return VIEWS["page"](self, path, n=n, title=title)

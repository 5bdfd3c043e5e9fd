"""MoleculeBatch: many molecules as ragged arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from deepchem_ead.chem import files, ragged
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.formal_charges import add_formal_charges, formal_charges
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs, given_graphs
from deepchem_ead.chem.overlap import find_overlaps, warn_of_overlaps
from deepchem_ead.chem.rdkit_io import arrays_from_mol, smiles_of
from deepchem_ead.chem.records import JOB_TAG, Record, columns
from deepchem_ead.chem.validity import judge
from deepchem_ead.errors import MoleculeError
from deepchem_ead.views import VIEWS

if TYPE_CHECKING:
    import deepchem
    import py3Dmol


@dataclass(frozen=True, eq=False, repr=False)
class MoleculeBatch:
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
        n = len(offsets) - 1
        graphs = None
        if bonds is not None or formal_charges is not None:
            given = given_graphs(bonds, formal_charges, np.diff(offsets))
            charges = _total_charges(given, charges)
            graphs = MolecularGraphs.join(given, np.diff(offsets))
        return cls(
            flat_numbers,
            flat_positions,
            offsets,
            ragged.as_charges(charges, n),
            ragged.as_properties(properties or {}, n),
            ragged.as_ids(ids, n),
            dict(info or {}),
            graphs,
        )

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
        """
        if isinstance(mols, Chem.Mol):
            mols = [mols]
        arrays, names = [], []
        for i, mol in enumerate(mols):
            name = mol.GetProp("_Name") if mol is not None and mol.HasProp("_Name") else ""
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
            number 0 are padding. A fifth column holds formal charges.
        charges, properties, ids, info
            As in :meth:`from_arrays`.

        Raises
        ------
        MoleculeError
            If X has another shape, an atomic number or a formal charge does not exist, or formal
            charges do not add up to ``charges``; names the molecule.
        """
        numbers, coordinates, offsets, formal_charges = ragged.from_padded(X)
        n = len(offsets) - 1
        graphs = None
        if formal_charges is not None and formal_charges.any():
            own = np.split(formal_charges, offsets[1:-1])
            charges = _total_charges(list(map(MolecularGraph, own)), charges)
            graphs = MolecularGraphs.join(list(map(MolecularGraph, own)), np.diff(offsets))
        return cls(
            numbers,
            coordinates,
            offsets,
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

    @classmethod
    def concatenate(cls, batches: Iterable[MoleculeBatch]) -> MoleculeBatch:
        """Join batches; entries of :attr:`info` on which they do not all agree are dropped.

        Raises
        ------
        ValueError
            If some batches have ids or a property and others do not (empty batches aside).
        """
        batches = [batch for batch in batches if len(batch)]
        if not batches:
            return cls.from_arrays([], [])
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
            None if first.ids is None else [name for b in batches for name in b.ids],
            {k: v for k, v in first.info.items() if all(_same(b.info, k, v) for b in batches)},
            MolecularGraphs.concatenate(
                [b.graphs for b in batches], [(len(b), len(b.atomic_numbers)) for b in batches]
            ),
            *(_joined([getattr(b, name) for b in batches]) for name in ("_smiles", "_reasons")),
        )

    # ------------------------------------------------------------------ looking inside

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"MoleculeBatch({len(self)} molecules, {len(self.atomic_numbers)} atoms)"

    def __iter__(self) -> Iterator[MoleculeBatch]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: int | slice | Sequence[int] | np.ndarray) -> MoleculeBatch:
        """Molecules by index, slice, index array or bool mask: always a MoleculeBatch."""
        if isinstance(key, (int, np.integer)):
            i = ragged.as_index(key, len(self))
            key = slice(i, i + 1)
        chosen = ragged.as_selection(key, len(self))
        atoms, offsets = ragged.select(self.offsets, chosen)
        index = chosen if isinstance(chosen, slice) else chosen.tolist()
        return MoleculeBatch(
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

    def _with_graphs(self, graphs: Sequence[MolecularGraph | None]) -> MoleculeBatch:
        return replace(self, graphs=MolecularGraphs.join(graphs, self.counts))

    def _bounds(self) -> Iterator[tuple[int, int]]:
        offsets = self.offsets.tolist()
        return zip(offsets[:-1], offsets[1:], strict=True)

    # ------------------------------------------------------------------ chemistry

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
        self._judge_all()
        return list(self._smiles)

    @property
    def reasons(self) -> list[str | None]:
        """Why each molecule is invalid, in a few words; None where it has a SMILES."""
        self._judge_all()
        return list(self._reasons)

    def _judge_all(self) -> None:
        if self._smiles is not None and self._reasons is not None:
            return
        judged = [self._judge(i) for i in range(len(self))]
        smiles = [smiles_of(mol) for mol, _ in judged]
        reasons = [
            None if text is not None else reason or "RDKit cannot write its SMILES"
            for text, (_, reason) in zip(smiles, judged, strict=True)
        ]
        object.__setattr__(self, "_smiles", smiles)
        object.__setattr__(self, "_reasons", reasons)

    def formal_charges(self) -> np.ndarray:
        """Formal charge of each atom, int8, shape (A,), adding up to :attr:`charges`.

        They are the given ones (:attr:`graphs`) or else those of :meth:`to_rdkit`. Where there is
        no structure of the total charge, it stands on the molecule's first atom that is not
        hydrogen.
        """
        return formal_charges(self)

    # ------------------------------------------------------------------ writing

    def to_padded(
        self, max_atoms: int | None = None, with_formal_charges: bool = False
    ) -> np.ndarray:
        """Dense float32 array (N, max_atoms, 4): x, y, z (Angstrom, centred on the mean of the real
        atoms), atomic number; padding rows are 0.

        Parameters
        ----------
        max_atoms : int, optional
            Rows for each molecule; by default the size of the largest one.
        with_formal_charges : bool
            Add :meth:`formal_charges` as a fifth column.

        Raises
        ------
        MoleculeError
            If a molecule has more atoms; names it.
        """
        X = ragged.to_padded(self.atomic_numbers, self.coordinates, self.offsets, max_atoms)
        return add_formal_charges(X, self) if with_formal_charges else X

    def to_dataset(
        self,
        max_atoms: int | None = None,
        tasks: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
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

        Returns
        -------
        deepchem.data.NumpyDataset
            X as :meth:`to_padded` gives it, with formal charges if a molecule has a total charge (a
            warning says so, because the models of this package know no charges); y float32
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

        return numpy_dataset(self, max_atoms, tasks, ids)

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


def _pick(values: list | None, index: slice | list[int]) -> list | None:
    if values is None or isinstance(index, slice):
        return None if values is None else values[index]
    return [values[i] for i in index]


def _total_charges(graphs: Sequence[MolecularGraph | None], charges: Any) -> np.ndarray:
    """Total charges (N,): those given, or the sums of the formal charges, which must agree."""
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


def _joined(parts: list[list | None]) -> list | None:
    return None if None in parts else [item for part in parts for item in part]


def _same(info: dict[str, Any], key: str, value: Any) -> bool:
    return key in info and bool(np.array_equal(info[key], value))

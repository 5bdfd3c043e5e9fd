"""Files of GEOM as they are distributed, read one molecule after another; nothing is unpickled.

Three forms hold GEOM [1]_ without Python's pickles:

- ``drugs_crude.msgpack`` or ``qm9_crude.msgpack``, also in its ``.tar.gz``: a row of maps of a
  thousand molecules from SMILES to ``{"conformers": [{"xyz": [[Z, x, y, z], ...], "totalenergy":
  Hartree, ...}, ...], ...}``;
- SDF files: conformers of a molecule one after another, in one file or in many;
- ``geom_drugs_30.npy`` of EDM [2]_: a row ``[conformer, Z, x, y, z]`` for each atom, the thirty
  lowest conformers of a molecule one after another.

References
----------
.. [1] Axelrod and Gomez-Bombarelli, "GEOM, energy-annotated molecular conformations for property
   prediction and molecular generation", Scientific Data 9, 185 (2022).
.. [2] Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D", arXiv:2203.17003.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from rdkit import Chem, rdBase

#: Rows of an array that are looked at together.
_BLOCK = 500_000
#: Conformers of a molecule in EDM's array.
_EDM = 30
#: Conformers without any hydrogen from which on a file is taken to have none.
_BARE = 100
_SDF = (".sdf", ".sdf.gz")
_MSGPACK = (".msgpack", ".msgpack.tar.gz")
_PICKLES = (".pickle", ".pkl", ".p", ".pt", ".joblib")
_PARTS = {"train": "train", "val": "valid", "valid": "valid", "validation": "valid", "test": "test"}
HARTREE = 627.5094740631  # kcal/mol


class GeomMolecule(NamedTuple):
    """A molecule of GEOM.

    Attributes
    ----------
    where : str
        For messages: the file and the molecule's place in it.
    smiles : str
        As the file says; "" in an array.
    numbers : numpy.ndarray
        Atomic numbers, (n,).
    positions : numpy.ndarray
        Angstrom, (conformers, n, 3), the lowest first.
    energies : numpy.ndarray or None
        kcal/mol, (conformers,), where the file has them.
    mol : rdkit.Chem.Mol or None
        Bonds, where the file has them; not sanitised, without conformers.
    part : str
        "train", "valid" or "test", as files and folders are called; "" for none.
    first : int
        Number of its first conformer in the file, from 0.
    """

    where: str
    smiles: str
    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray | None
    mol: Chem.Mol | None
    part: str
    first: int


def is_geom(path: str | os.PathLike) -> bool:
    """Whether a path looks like a file of GEOM, or a folder of these."""
    path = Path(path)
    if path.is_dir():
        return bool(_sdf_files(path)) or any(path.rglob("*.pickle"))
    return path.name.lower().endswith((*_SDF, *_MSGPACK, ".npy", *_PICKLES, ".tar.gz"))


def read_geom(path: str | os.PathLike, conformers: int | None = 30) -> Iterator[GeomMolecule]:
    """Molecules of GEOM one after another, in the memory of a few.

    Parameters
    ----------
    path : path
        A file, or a folder of SDF files; see the module.
    conformers : int, optional
        The lowest ones of each molecule (the first ones where a file has no energies); None: all.

    Yields
    ------
    GeomMolecule

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For pickles, another kind of file, or one that is not as it should be; says what to do.
    ImportError
        If msgpack is missing.
    """
    path = Path(path)
    name = path.name.lower()
    if conformers is not None and conformers < 1:
        raise ValueError(f"conformers={conformers}: give 1 or more, or None for all")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        files = _sdf_files(path)
        if not files:
            _refuse_folder(path)
        return _of_sdf(files, conformers)
    if name.endswith(_PICKLES):
        raise _pickles(path)
    if name.endswith(_SDF):
        return _of_sdf([path], conformers)
    if name.endswith(_MSGPACK):
        return _of_msgpack(path, conformers)
    if name.endswith(".npy"):
        return _of_array(path, conformers)
    if name.endswith((".tar.gz", ".tar", ".zip")):
        raise ValueError(f"{path}: unpack it first (tar -xzf {path.name}), then give the folder")
    raise ValueError(
        f"{path}: not a form of GEOM that is read; give drugs_crude.msgpack, a folder of SDF "
        "files, or EDM's geom_drugs_30.npy"
    )


def _pickles(path: Path) -> ValueError:
    return ValueError(
        f"{path} holds pickles, which run code of whoever wrote them when they are read: they are "
        "not. The same conformers are in drugs_crude.msgpack (doi:10.7910/DVN/JNGTDF); or, where "
        "you trust their source, write the molecules of each pickle to an SDF file with RDKit's "
        "SDWriter and give the folder"
    )


def _refuse_folder(path: Path) -> None:
    names = sorted(p.name for p in path.iterdir())
    if any(p.name.lower().endswith(_PICKLES) for p in path.rglob("*")):
        raise _pickles(path)
    inside = [n for n in names if n.lower().endswith((*_MSGPACK, ".npy"))]
    hint = f"give the file {inside[0]} itself" if inside else "it needs SDF files (.sdf, .sdf.gz)"
    raise ValueError(f"{path}: no molecules of GEOM in this folder; {hint}")


def _sdf_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.name.lower().endswith(_SDF))


# ---------------------------------------------------------------------------------------- msgpack


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if not path.name.lower().endswith(".tar.gz"):
        with open(path, "rb") as file:
            yield file
        return
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.isfile() and (stream := archive.extractfile(member)) is not None:
                yield stream
                return
        raise ValueError(f"{path} holds no file")


def _of_msgpack(path: Path, conformers: int | None) -> Iterator[GeomMolecule]:
    try:
        import msgpack
    except ImportError as error:
        raise ImportError(
            f"{path}: reading it needs msgpack: pip install 'deepchem_ead[geom]'"
        ) from error

    count = first = 0
    with _opened(path) as stream:
        unpacker = msgpack.Unpacker(stream, max_buffer_size=2**31 - 1)
        while True:
            try:  # a map is not read at once: its thousand molecules take gigabytes
                left = unpacker.read_map_header()
            except msgpack.OutOfData:
                break
            except ValueError as error:
                raise ValueError(f"{path}: not the msgpack of GEOM ({error})") from None
            for _ in range(left):
                count += 1
                where = f"{path.name}, molecule {count}"
                try:
                    smiles, found = unpacker.unpack(), unpacker.unpack()
                except (msgpack.OutOfData, msgpack.UnpackException, ValueError) as error:
                    raise ValueError(
                        f"{where}: the file is damaged or ends here ({type(error).__name__}); "
                        "download it again"
                    ) from None
                molecule = _unpacked(where, smiles, found, conformers, first)
                yield molecule
                first += len(molecule.positions)
    if not count:
        raise ValueError(f"{path} holds no molecules")


def _unpacked(
    where: str, smiles: Any, found: Any, conformers: int | None, first: int
) -> GeomMolecule:
    try:
        each = found["conformers"]
        energies = np.array([float(c["totalenergy"]) for c in each]) * HARTREE
        order = np.argsort(energies, kind="stable")[:conformers]
        rows = np.array([each[k]["xyz"] for k in order], dtype=np.float64)
        if not len(order) or rows.shape[2] != 4 or (rows[:, :, 0] != rows[0, :, 0]).any():
            raise ValueError("atoms of its conformers differ")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"{where} ({smiles}) is not as in GEOM's crude files: {type(error).__name__} {error}; "
            "the featurized files are not read"
        ) from None
    numbers = rows[0, :, 0].astype(np.int16)
    return GeomMolecule(
        where, str(smiles), numbers, rows[:, :, 1:], energies[order], None, "", first
    )


# -------------------------------------------------------------------------------------------- SDF


def _of_sdf(files: list[Path], conformers: int | None) -> Iterator[GeomMolecule]:
    first = 0
    for path in files:
        for number, mols in enumerate(_conformers(path), 1):
            where = f"{path.name}, molecule {number}"
            kept = mols[:conformers]
            bare = Chem.Mol(kept[0])
            bare.RemoveAllConformers()
            numbers = np.array([atom.GetAtomicNum() for atom in bare.GetAtoms()], np.int16)
            positions = np.array([m.GetConformer().GetPositions() for m in kept])
            yield GeomMolecule(
                where, _smiles_of(bare), numbers, positions, None, bare, _part(path), first
            )
            first += len(kept)
    if not first:
        raise ValueError(f"{files[0].parent}: its SDF files hold no molecules")


def _conformers(path: Path) -> Iterator[list[Chem.Mol]]:
    """Records of a file that follow each other with the same atoms and bonds."""
    found: list[Chem.Mol] = []
    latest = ""
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as stream, rdBase.BlockLogs():
        supplier = Chem.ForwardSDMolSupplier(stream, sanitize=False, removeHs=False)
        for number, mol in enumerate(supplier, 1):
            if mol is None or not mol.GetNumAtoms():
                raise ValueError(f"{path}, record {number}: not a MOL block that RDKit can read")
            graph = _graph_of(mol)
            if found and graph != latest:
                yield found
                found = []
            latest = graph
            found.append(mol)
    if found:
        yield found


def _graph_of(mol: Chem.Mol) -> str:
    """Atoms and bonds as they are numbered."""
    atoms = [(a.GetAtomicNum(), a.GetFormalCharge()) for a in mol.GetAtoms()]
    bonds = sorted(
        (*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), int(b.GetBondType()))
        for b in mol.GetBonds()
    )
    return f"{atoms}{bonds}"


def _smiles_of(mol: Chem.Mol) -> str:
    """Canonical, without hydrogens; as it is drawn where RDKit refuses the molecule."""
    with rdBase.BlockLogs():
        try:
            return Chem.MolToSmiles(Chem.RemoveHs(mol))
        except ValueError:
            return Chem.MolToSmiles(mol)


def _part(path: Path) -> str:
    for word in (path.name.split(".")[0], path.parent.name):
        for start in (word.lower(), word.lower().split("_")[0]):
            if start in _PARTS:
                return _PARTS[start]
    return ""


# ------------------------------------------------------------------------------------------ array


def _of_array(path: Path, conformers: int | None) -> Iterator[GeomMolecule]:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error).lower() or "Python objects" in str(error):
            raise _pickles(path) from None
        raise ValueError(f"{path}: not a NumPy array ({error})") from None
    if rows.ndim != 2 or rows.shape[1] != 5 or rows.dtype.kind != "f" or not len(rows):
        raise ValueError(
            f"{path}: an array {rows.shape} of {rows.dtype}, where EDM's has floats "
            "[conformer, Z, x, y, z] for each atom"
        )
    group: list[np.ndarray] = []
    number = first = seen = 0
    hydrogens = False
    for conformer in _blocks(rows):
        same = bool(group) and np.array_equal(conformer[:, 1], group[0][:, 1])
        if group and not same:
            number += 1
            yield _of_rows(path, number, group, conformers, first)
            first, group = first + len(group), []
        group.append(conformer)
        hydrogens = hydrogens or bool((conformer[:, 1] == 1).any())
        seen += 1
        if not hydrogens and seen == _BARE:
            raise ValueError(
                f"{path}: its first {_BARE} conformers have no hydrogens, without which their "
                "bonds and charges are unknown; build the array with them"
            )
    yield _of_rows(path, number + 1, group, conformers, first)


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of each conformer."""
    rest = np.zeros((0, 5))
    for start in range(0, len(rows), _BLOCK):
        block = np.concatenate([rest, np.asarray(rows[start : start + _BLOCK], np.float64)])
        parts = np.split(block, np.flatnonzero(np.diff(block[:, 0])) + 1)
        yield from parts[:-1]
        rest = parts[-1]  # which may go on in the next block
    yield rest


def _of_rows(
    path: Path, number: int, group: list[np.ndarray], conformers: int | None, first: int
) -> GeomMolecule:
    where = f"{path.name}, molecule {number}"
    # Two molecules of the same atoms side by side pass for one: none of their thirty are lost.
    kept = group if conformers is None or conformers >= _EDM else group[:conformers]
    positions = np.array([each[:, 2:] for each in kept])
    numbers = group[0][:, 1].astype(np.int16)
    return GeomMolecule(where, "", numbers, positions, None, None, "", first)

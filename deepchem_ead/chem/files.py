"""Molecule files: which format a name means, reading, streamed and atomic writing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.batch import Molecules
from deepchem_ead.chem.rdkit_io import mol_from_graph, smiles_of
from deepchem_ead.chem.records import (
    CHARGE_TAG,
    JOB_TAG,
    SMILES_TAG,
    BadRecord,
    Record,
    as_text,
    describe,
    mark_name,
)
from deepchem_ead.chem.sdf import format_sdf, read_sdf
from deepchem_ead.chem.sdf_blocks import RECORD_END
from deepchem_ead.chem.text import open_lines
from deepchem_ead.chem.values import Text, is_text
from deepchem_ead.chem.xyz import format_xyz, read_xyz
from deepchem_ead.choices import GEOMETRY_FILES, SMILES_FILES
from deepchem_ead.errors import SKIP_HINT, MoleculeError

_FORMATS = {
    ".sdf": "sdf",
    ".mol": "sdf",
    ".xyz": "xyz",
    ".extxyz": "xyz",
    ".smi": "smi",
    ".smiles": "smi",
}
_LARGEST = 1e9  # Angstrom: a decimetre
_READERS = {"sdf": read_sdf, "xyz": read_xyz}


def file_format(path: str | os.PathLike) -> str:
    """Format that a file name's suffix means, a final ``.gz`` aside: "sdf", "xyz" or "smi".

    Raises
    ------
    ValueError
        If the suffix is unknown.
    """
    name = Path(path).name.lower().removesuffix(".gz")
    try:
        return _FORMATS[Path(name).suffix]
    except KeyError:
        tables = " and ".join(suffix for suffix in SMILES_FILES if suffix not in _FORMATS)
        raise ValueError(
            f"{path}: unknown kind of molecule file; use one of {', '.join(_FORMATS)} (training "
            f"and load_file_3d also read {tables})"
        ) from None


def scan_records(
    path: str | os.PathLike, on_error: str = "raise", allow_empty: bool = False
) -> tuple[list[Record], list[int], list[BadRecord]]:
    """Usable records of a molecule file, their numbers (from 1), and what cannot be used.

    Arguments and errors are those of :func:`read_records`, which warns about bad records and
    refuses a file without any.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: use 'raise' or 'skip'")
    kind = file_format(path)
    if kind not in _READERS:
        raise ValueError(
            f"{path}: a SMILES file holds no coordinates; training and load_file_3d make "
            f"conformers of SMILES, everything else needs an {GEOMETRY_FILES}"
        )
    good: list[Record] = []
    numbers: list[int] = []
    bad: list[BadRecord] = []
    with open_lines(path) as lines:
        for number, record in enumerate(_READERS[kind](lines), start=1):
            if isinstance(record, Record) and not len(record.numbers) and not allow_empty:
                record = BadRecord(number, "it has no atoms")
            elif isinstance(record, Record) and (reason := _out_of_range(record.positions)):
                record = BadRecord(number, reason)
            if isinstance(record, Record):
                good.append(record)
                numbers.append(number)
            elif on_error == "raise":
                raise MoleculeError(f"{path}, record {record.number}: {record.reason} {SKIP_HINT}")
            else:
                bad.append(record)
        if lines.foreign is not None:
            warn_caller(
                f"{path}, line {lines.foreign}: not UTF-8; such lines were read as Windows-1252 "
                "(Latin-1). If names look wrong, convert the file, for example with iconv"
            )
    return good, numbers, bad


def _out_of_range(positions: np.ndarray) -> str:
    """Why finite coordinates are none of a molecule; "" if they can be."""
    size = np.abs(positions)
    if size.size == 0 or size.max() <= _LARGEST:
        return ""
    atoms = np.flatnonzero((np.isfinite(size) & (size > _LARGEST)).any(axis=1))
    if not atoms.size:
        return ""
    shown = ", ".join(f"{value:g}" for value in positions[atoms[0]])
    return f"atom {atoms[0]} at ({shown}): no such coordinates exist; give them in Angstrom"


def read_records(
    path: str | os.PathLike, on_error: str = "raise", allow_empty: bool = False
) -> list[Record]:
    """Read all molecules of an SDF, MOL or (extended) XYZ file, gzipped or not.

    Parameters
    ----------
    path : path
        File to read.
    on_error : {"raise", "skip"}
        What to do with a record that cannot be used. "skip" leaves it out and gives one warning
        that lists the record numbers (from 1) and the reasons.
    allow_empty : bool
        Accept records without atoms, as broken samples of a generator may be.

    Raises
    ------
    MoleculeError
        If a record is bad (file, record number, reason), or the file holds no molecule.
    FileNotFoundError
        If there is no such file.
    """
    good, _, bad = scan_records(path, on_error, allow_empty)
    if bad:
        warn_caller(
            f"{path}: left out {len(bad)} of {len(good) + len(bad)} records: {describe(bad)}"
        )
    if not good and not bad:
        raise MoleculeError(f"{path} holds no molecules")
    return good


class MoleculeWriter:
    """Appends molecules to an SDF, extended XYZ or SMILES file; made by :func:`open_writer`.

    Attributes
    ----------
    count : int
        Molecules passed so far; with ``append=True`` it starts at the number of complete records
        already in the file.
    """

    def __init__(self, stream: TextIO, kind: str, count: int = 0) -> None:
        self._stream = stream
        self._format = {"sdf": _format_sdf, "xyz": _format_xyz, "smi": _format_smi}[kind]
        self.count = count

    def write(self, batch: Molecules, job: Mapping[str, Any] | None = None) -> None:
        """Write a batch and flush it: an interruption later loses nothing of it.

        ``job`` says how the molecules were made, in plain values; the first record of an SDF or XYZ
        file keeps it. By default it is what ``batch.info`` says of molecules that were sampled.
        """
        if job is None and batch.info.get("sampled"):
            job = _plain(batch.info)
        told = {JOB_TAG: json.dumps(job)} if job and self.count == 0 else {}
        text = self._format(batch, self.count, told)
        self._stream.write(text)
        self._stream.flush()
        self.count += len(batch)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> MoleculeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_writer(
    path: str | os.PathLike, append: bool = False, kind: str | None = None
) -> MoleculeWriter:
    """Open a molecule file for a long run that writes batch after batch.

    Parameters
    ----------
    path : path
        ``.sdf``, ``.xyz``, ``.extxyz``, ``.smi``, ``.smiles``, not gzipped.
    append : bool
        Go on at the end of an existing file, after cutting off a last record that an interruption
        left incomplete. Otherwise an existing file is emptied.
    kind : {"sdf", "xyz", "smi"}, optional
        Format; by default the one that the suffix means.

    Returns
    -------
    MoleculeWriter
        A context manager with ``write(batch)`` and ``count``.

    Notes
    -----
    SDF and XYZ hold every molecule, valid or not; an invalid molecule's SDF record has atoms but
    no bonds. A SMILES file has a line ``SMILES<tab>id`` for each *valid* molecule; without ids the
    second column is the position among all molecules written, from 0. ``count`` of a reopened
    SMILES file therefore counts its lines, not the molecules that were passed.

    Examples
    --------
    >>> with open_writer("samples.sdf") as writer:          # doctest: +SKIP
    ...     for batch in batches:
    ...         writer.write(batch)
    """
    if kind is None:
        kind = file_format(path)
        if str(path).lower().endswith(".gz"):
            raise ValueError(f"{path}: gzipped files can be read but not written; drop the .gz")
    count = 0
    if append and os.path.exists(path):
        count, length = complete_records(path, kind)
        os.truncate(path, length)
    stream = open(path, "a" if append else "w", encoding="utf-8", newline="\n")
    return MoleculeWriter(stream, kind, count)


def complete_records(
    path: str | os.PathLike, kind: str, most: int | None = None
) -> tuple[int, int]:
    """Number of complete records in a file written here, and the bytes that they take.

    ``most`` is how many are looked at; default all.

    Raises
    ------
    MoleculeError
        If an XYZ file has something else where an atom count must stand.
    """
    count = length = position = 0
    pending = None
    with open(path, "rb") as stream:
        for line in stream:
            position += len(line)
            if not line.endswith(b"\n"):
                break
            if kind == "xyz":
                # Lines still missing from the frame: the comment and the atoms.
                if pending is None and not line.strip().isdigit():
                    found = line.strip()[:40].decode(errors="replace")
                    raise MoleculeError(
                        f"{path}: cannot append after {found!r}, which is no atom count"
                    )
                pending = int(line) + 1 if pending is None else pending - 1
                done = pending == 0
            else:
                done = kind == "smi" or line.rstrip() == RECORD_END.encode()
            if done:
                count, length, pending = count + 1, position, None
                if count == most:
                    break
    return count, length


def _plain(info: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in ``info``, without where and how fast they were used and long lists."""
    return {
        name: value
        for name, value in info.items()
        if isinstance(value, str | int | float | dict) and name not in ("source", "seconds")
    }


def _format_sdf(batch: Molecules, first: int, told: dict[str, str]) -> str:
    # The bonds are needed here, so the molecules are not taken from the cached SMILES.
    text = []
    marked = _marked(batch)
    for i, mol in enumerate(batch.to_rdkit()):
        numbers, positions = batch.atoms(i)
        tags = _tags(batch, i, smiles_of(mol), marked) | (told if i == 0 else {})
        graph = batch.graph(i)
        if mol is None and graph is not None:
            mol = mol_from_graph(numbers, positions, graph)
        text.append(format_sdf(numbers, positions, mol, _name(batch, i), tags))
    return "".join(text)


def _format_xyz(batch: Molecules, first: int, told: dict[str, str]) -> str:
    marked = _marked(batch)
    text = []
    for i, smiles in enumerate(batch.smiles):
        graph = batch.graph(i)
        isotopes = None if graph is None else graph.isotopes
        tags = _tags(batch, i, smiles, marked) | (told if i == 0 else {})
        text.append(format_xyz(*batch.atoms(i), _name(batch, i), tags, isotopes))
    return "".join(text)


def _format_smi(batch: Molecules, first: int, told: dict[str, str]) -> str:
    return "".join(
        f"{smiles}\t{' '.join(_name(batch, i).split()) or first + i}\n"
        for i, smiles in enumerate(batch.smiles)
        if smiles is not None
    )


def _name(batch: Molecules, i: int) -> str:
    return batch.ids[i] if batch.ids is not None else ""


def _marked(batch: Molecules) -> set[str]:
    """Properties whose text would be read back as numbers or truth values."""
    return {name for name, values in batch.properties.items() if is_text(values)}


def _tags(batch: Molecules, i: int, smiles: str | None, marked: set[str]) -> dict[str, str]:
    tags = {} if smiles is None else {SMILES_TAG: smiles}
    tags[CHARGE_TAG] = str(int(batch.charges[i]))
    for name, values in batch.properties.items():
        value = as_text(values[i])
        tags[mark_name(name)] = Text(value) if name in marked else value
    return tags

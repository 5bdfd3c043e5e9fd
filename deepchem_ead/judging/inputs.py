"""What can be judged, a row each, whether it can be read or not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.files import scan_records
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import bond_vocabulary, smiles_of
from deepchem_ead.chem.records import Record
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.view import MoleculeView


@dataclass(frozen=True)
class Entry:
    """One row of the input.

    Attributes
    ----------
    name : str
        Its own, or its number.
    molecule : MoleculeBatch or None
        Of one molecule; None where it cannot be read.
    problem : str
        Why it cannot be read.
    source : str
        The file it comes from, if one of several.
    declared : str or None
        SMILES with the stereo labels of an RDKit molecule that has some, or with those that the
        record of a file has beside its coordinates.
    """

    name: str
    molecule: MoleculeBatch | None
    problem: str = ""
    source: str = ""
    declared: str | None = None

    @property
    def file(self) -> str:
        """Name of the file that it was read from; "" where it was not."""
        path = self.source or (self.molecule and self.molecule.info.get("source")) or ""
        return Path(str(path)).name

    def view(self, vocabulary: str | None = None) -> MoleculeView:
        """The molecule; without atoms where it cannot be read."""
        batch = self.molecule
        if batch is None:
            return MoleculeView(np.zeros(0, np.int16), np.zeros((0, 3), np.float32))
        sampled = bool(batch.info.get("sampled", False))
        return MoleculeView(
            *batch.atoms(0),
            int(batch.charges[0]),
            batch.graph(0),
            sampled,
            self.name,
            vocabulary,
            self.declared,
        )

    def key(self, vocabulary: str | None) -> str:
        """A digest of all that a judgement depends on."""
        sha = hashlib.sha256(f"{vocabulary} {self.declared}".encode())
        batch = self.molecule
        if batch is not None:
            graph = batch.graph(0)
            for array in (*batch.atoms(0), batch.charges, *(graph or ())):
                sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
            sha.update(str(bool(batch.info.get("sampled", False))).encode())
        return sha.hexdigest()[:32]


def entries_of(molecules: Any) -> list[Entry]:
    """Rows of molecules, a file, or several files.

    Parameters
    ----------
    molecules : MoleculeBatch, DeepChem dataset, sequence of rdkit.Chem.Mol, path or list of paths

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        For anything else.
    ValueError
        If there are no molecules at all.
    """
    entries = _entries_of(molecules)
    if not entries:
        raise ValueError("there are no molecules to judge; give at least one")
    return entries


def _entries_of(molecules: Any) -> list[Entry]:
    if isinstance(molecules, str | os.PathLike):
        return _from_file(molecules)
    if isinstance(molecules, MoleculeBatch) or hasattr(molecules, "X"):
        return _from_batch(as_batch(molecules))
    if isinstance(molecules, Chem.Mol):
        molecules = [molecules]
    if not isinstance(molecules, Iterable):
        as_batch(molecules)  # refuses it
    items = list(molecules)
    if items and all(isinstance(item, str | os.PathLike) for item in items):
        return [replace(entry, source=str(path)) for path in items for entry in _from_file(path)]
    return [_from_rdkit(i, item) for i, item in enumerate(items)]


def _from_file(path: str | os.PathLike) -> list[Entry]:
    good, numbers, bad = scan_records(path, on_error="skip", allow_empty=True)
    batch = MoleculeBatch.from_records(good, info={"source": os.fspath(path)})
    read = {
        n: replace(entry, declared=_told(record))
        for n, record, entry in zip(numbers, good, _from_batch(batch), strict=True)
    }
    lost = {b.number: Entry(f"record {b.number}", None, b.reason) for b in bad}
    rows = {
        n: replace(e, name=e.name if batch.ids and e.name else f"record {n}")
        for n, e in read.items()
    }
    found = [entry for _, entry in sorted((rows | lost).items())]
    if not found:
        raise MoleculeError(f"{Path(path)} holds no molecules")
    return found


def _from_batch(batch: MoleculeBatch) -> list[Entry]:
    names = batch.ids or [""] * len(batch)
    return [Entry(name or str(i), batch[i]) for i, name in enumerate(names)]


def _from_rdkit(i: int, mol: Any) -> Entry:
    if mol is None:
        return Entry(str(i), None, "RDKit could not read it")
    if not isinstance(mol, Chem.Mol):
        return _from_batch(as_batch([mol]))[0]  # raises
    name = mol.GetProp("_Name") if mol.HasProp("_Name") else ""
    try:
        batch = MoleculeBatch.from_rdkit([mol])
        return Entry(name or str(i), batch, declared=_declared(mol))
    except MoleculeError as error:
        return Entry(name or str(i), None, str(error).removeprefix("molecule 0 "))


def _told(record: Record) -> str | None:
    """A SMILES with stereo labels among the tags of a record, or as its name."""
    for text in (record.smiles, record.name):
        if text and any(mark in text for mark in "@/\\"):
            with rdBase.BlockLogs():
                mol = Chem.MolFromSmiles(text)
            if mol is not None and _declared(mol):
                return text
    return None


def _declared(mol: Chem.Mol) -> str | None:
    """SMILES with the molecule's own stereo labels; None without any."""
    centres = any(a.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for a in mol.GetAtoms())
    bonds = any(b.GetStereo() > Chem.BondStereo.STEREOANY for b in mol.GetBonds())
    return smiles_of(mol) if centres or bonds else None


def vocabulary_of_entries(entries: Sequence[Entry]) -> str | None:
    """The smallest of EDM's vocabularies that has all their elements; None if none has."""
    numbers = [e.molecule.atomic_numbers for e in entries if e.molecule is not None]
    found = bond_vocabulary(np.concatenate(numbers)) if numbers else "qm9"
    return found or "geom"

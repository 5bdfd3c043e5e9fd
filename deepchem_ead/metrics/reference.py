"""The set of known SMILES that novelty is measured against."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.cache import cache_folder
from deepchem_ead.caller import warn_caller
from deepchem_ead.chem import ragged
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.bonds import molecule_from_orders
from deepchem_ead.chem.elements import Vocabulary
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.perception import sanitizes
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.protocols import PROTOCOLS, check_names, run
from deepchem_ead.metrics.shipped import VERSION, shipped_smiles

_MEMORY: OrderedDict[str, frozenset[str]] = OrderedDict()
_MEMORY_ENTRIES = 8
_SMALLEST_ON_DISK = 5000  # molecules; fewer are rebuilt in about a second


def reference_smiles(
    reference: Any,
    protocol: str = "edm",
    vocabulary: str = "qm9",
    progress: bool = True,
    unknown_elements: str = "raise",
) -> frozenset[str]:
    """SMILES of the reference molecules in the form the protocol writes.

    Coordinates: each whole molecule is rebuilt from its coordinates by the protocol (explicit [H],
    all fragments; invalid ones are left out), as EDM does with its training set. Those of QM9's
    100,000 training molecules come with the package. Others take minutes for such a number, so
    results are kept, in memory and, for large sets, in a compressed text file under DeepChem's data
    folder (``DEEPCHEM_DATA_DIR`` or the system's temporary folder) named after the content.

    SMILES: a collection in which at least half of the strings have an ``[H]`` is taken to have all
    its hydrogens; otherwise they are added, and stereo and isotope labels dropped. With EDM's
    protocol and the vocabulary "geom" all bonds become single and charges are dropped, because that
    is how it writes molecules there.

    Parameters
    ----------
    reference : MoleculeBatch, DeepChem dataset, sequence of rdkit.Chem.Mol, or iterable of str
    protocol : {"edm", "strict", "corrected"}
    vocabulary : {"qm9", "geom"}
    progress : bool
        Show a progress bar if it takes long.
    unknown_elements : {"raise", "skip"}
        What to do with molecules that have elements beyond the vocabulary.

    Returns
    -------
    frozenset of str

    Raises
    ------
    TypeError
        A single string, or items of another kind.
    MoleculeError
        Element outside the vocabulary; names the molecule.
    """
    check_names(protocol, vocabulary)
    if isinstance(reference, str | bytes | os.PathLike):
        raise TypeError(
            f"reference is the single text {reference!r}; give a collection of SMILES or molecules "
            "(files are read with MoleculeBatch.read)"
        )
    if not isinstance(reference, MoleculeBatch) and not hasattr(reference, "X"):
        if not isinstance(reference, Chem.Mol):
            reference = reference if isinstance(reference, frozenset) else list(reference)
            if all(isinstance(item, str) for item in reference):
                return _explicit(reference, protocol == "edm" and vocabulary == "geom")
            missing = [i for i, item in enumerate(reference) if item is None]
            if missing:
                raise TypeError(
                    f"reference has None at {missing[0]} ({len(missing)} of {len(reference)} are); "
                    "leave such molecules out"
                )
    batch = as_batch(reference)
    if unknown_elements == "skip":
        batch = _within(batch, vocabulary)
    return _from_coordinates(batch, protocol, vocabulary, progress)


def _within(batch: MoleculeBatch, vocabulary: str) -> MoleculeBatch:
    """The molecules without elements beyond the vocabulary."""
    foreign = ~Vocabulary.parse(vocabulary).contains(batch.atomic_numbers)
    if not foreign.any():
        return batch
    keep = np.ones(len(batch), bool)
    keep[ragged.molecule_index(batch.offsets)[foreign]] = False
    return batch[keep]


def _explicit(smiles: Collection[str], single_bonds: bool) -> frozenset[str]:
    # Not string by string: a rebuilt molecule without hydrogen may be short of some, and parsing
    # would add them.
    complete = 2 * sum("[H]" in text for text in smiles) >= len(smiles)
    if complete and not single_bonds:
        return frozenset(smiles)
    with rdBase.BlockLogs():
        return frozenset(_as_written(text, complete, single_bonds) for text in smiles)


def _as_written(smiles: str, complete: bool, single_bonds: bool) -> str:
    parameters = Chem.SmilesParserParams()
    parameters.removeHs = False
    molecule = Chem.MolFromSmiles(smiles, parameters)
    if molecule is None:
        return smiles
    if not complete:
        molecule = Chem.AddHs(molecule)
    Chem.RemoveStereochemistry(molecule)
    for atom in molecule.GetAtoms():
        atom.SetIsotope(0)
    if single_bonds:
        numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        single = molecule_from_orders(numbers, Chem.GetAdjacencyMatrix(molecule))
        return Chem.MolToSmiles(single) if sanitizes(single) else smiles
    return Chem.MolToSmiles(molecule)


def _from_coordinates(
    batch: MoleculeBatch, protocol: str, vocabulary: str, progress: bool
) -> frozenset[str]:
    digest = hashlib.sha256(f"{VERSION} {protocol} {vocabulary} {rdBase.rdkitVersion}".encode())
    for array in (batch.offsets, batch.atomic_numbers, batch.coordinates, batch.charges):
        digest.update(array.tobytes())
    if protocol == "corrected" and batch.graphs is not None:
        for array in (batch.graphs.formal_charges, batch.graphs.bonds, batch.graphs.bond_offsets):
            digest.update(array.tobytes())
        digest.update(batch.graphs.bonds_given.tobytes())
    key = digest.hexdigest()
    on_disk = len(batch) >= _SMALLEST_ON_DISK
    known = _MEMORY.get(key)
    if known is None and on_disk:
        known = shipped_smiles(batch, protocol, vocabulary)
    if known is None and on_disk:
        known = _read(_path(key))
    if known is None:
        known = compute_smiles(batch, protocol, vocabulary, progress)
        if on_disk:
            _write(_path(key), known)
    _MEMORY[key] = known
    _MEMORY.move_to_end(key)
    while len(_MEMORY) > _MEMORY_ENTRIES:
        _MEMORY.popitem(last=False)
    return known


def compute_smiles(
    batch: MoleculeBatch, protocol: str, vocabulary: str, progress: bool = True
) -> frozenset[str]:
    """SMILES of the valid molecules of a batch, rebuilt one by one."""
    whole = PROTOCOLS[protocol].whole_smiles
    found = run(whole, batch, vocabulary, "Reference SMILES", progress)
    return frozenset(smiles for smiles in found if smiles is not None)


def _path(key: str) -> Path:
    return cache_folder() / f"reference-smiles-{key[:32]}.txt.gz"


def _read(path: Path) -> frozenset[str] | None:
    """The stored set, or None if there is none or it is damaged (gzip checks its CRC)."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            return frozenset(file.read().split())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, ValueError) as error:
        warn_caller(f"ignoring the damaged reference cache {path}: {error}")
        return None


def _write(path: Path, smiles: frozenset[str]) -> None:
    """Store the set; a folder that cannot be written only costs the time next time."""
    try:
        with atomic_path(path) as temporary, gzip.open(temporary, "wt", encoding="ascii") as file:
            file.write("\n".join(sorted(smiles)))
    except OSError as error:
        warn_caller(f"could not cache reference SMILES in {path}: {error}")

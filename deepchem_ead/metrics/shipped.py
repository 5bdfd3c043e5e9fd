"""SMILES of QM9's training molecules that come with the package: computing them takes minutes.

A file ``data/PROTOCOL-VOCABULARY.txt.xz`` has one line of JSON that says which molecules and which
code it was made of, then one SMILES a line. `python -m benchmarks.pack_reference` writes it.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import rdBase

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.metrics.protocols import PROTOCOLS, run

#: Raise when a protocol changes.
VERSION = 1
_FOLDER = resources.files("deepchem_ead.metrics").joinpath("data")
_GROUPS = 100
_TOLERANCE = 1e-5
# Molecules to write once more where another version of RDKit may write them differently.
_PROBES = 200


def shipped_smiles(batch: MoleculeBatch, protocol: str, vocabulary: str) -> frozenset[str] | None:
    """The SMILES of the batch if it is one whose SMILES come with the package, else None.

    The batch is told by its elements, sizes and charges, and by moments of its coordinates, which
    rounding does not change. Made by another version of RDKit, they are used if that writes the
    same for a sample of the molecules.
    """
    path = _FOLDER.joinpath(_name(protocol, vocabulary))
    if not path.is_file():
        return None
    with path.open("rb") as packed, lzma.open(packed, "rt", encoding="ascii") as lines:
        header = json.loads(next(lines))
        if header["version"] != VERSION or header["n"] != len(batch):
            return None
        found = fingerprint(batch)
        if header["atoms"] != found["atoms"]:
            return None
        if not np.allclose(header["moments"], found["moments"], rtol=_TOLERANCE, atol=0):
            return None
        smiles = frozenset(lines.read().split())
    if header["rdkit"] != rdBase.rdkitVersion:
        rows = np.linspace(0, len(batch) - 1, _PROBES).astype(int)
        again = run(PROTOCOLS[protocol].whole_smiles, batch[rows], vocabulary, "", False)
        if not smiles.issuperset(filter(None, again)):
            return None
    return smiles


def write_shipped(
    batch: MoleculeBatch, smiles: Collection[str], protocol: str, vocabulary: str, folder: Path
) -> Path:
    """Write the file for a batch and the SMILES that were computed of it."""
    header = fingerprint(batch) | {"version": VERSION, "rdkit": rdBase.rdkitVersion}
    path = folder / _name(protocol, vocabulary)
    preset = 9 | lzma.PRESET_EXTREME
    with lzma.open(path, "wt", preset=preset, encoding="ascii", newline="\n") as lines:
        lines.write(json.dumps(header) + "\n")
        lines.writelines(f"{text}\n" for text in sorted(smiles))
    return path


def fingerprint(batch: MoleculeBatch) -> dict[str, Any]:
    """What tells a batch from others, whatever the rounding of its coordinates.

    Its number of molecules ``n``, a checksum ``atoms`` of elements, sizes and charges, and the
    ``moments``: sums of squared distances (Angstrom^2) of atoms from the mean of their molecule,
    over a hundredth of the molecules each.
    """
    digest = hashlib.sha256()
    for array, kind in (
        (batch.offsets, "<i8"), (batch.atomic_numbers, "<i2"), (batch.charges, "<i8"),
    ):  # fmt: skip
        digest.update(array.astype(kind).tobytes())
    owner = np.repeat(np.arange(len(batch)), batch.counts)
    x = batch.coordinates.astype(np.float64)
    sums = np.stack([np.bincount(owner, x[:, k], len(batch)) for k in range(3)], axis=1)
    centres = sums / np.maximum(batch.counts, 1)[:, None]
    squares = np.bincount(owner, ((x - centres[owner]) ** 2).sum(axis=1), len(batch))
    moments = [float(part.sum()) for part in np.array_split(squares, _GROUPS)]
    return {"n": len(batch), "atoms": digest.hexdigest(), "moments": moments}


def _name(protocol: str, vocabulary: str) -> str:
    return f"{protocol}-{vocabulary}.txt.xz"

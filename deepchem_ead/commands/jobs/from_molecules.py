"""Molecules made of those in a file, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deepchem_ead.chem.files import open_writer
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.commands.jobs.file_job import record_name
from deepchem_ead.models.ead import EADModel


def atoms_or_pattern(text: str | None) -> list[int] | str | None:
    """Atom numbers as in ``0,1,2`` or ``0-5,8``, or SMARTS."""
    if text is None or not text or any(c not in "0123456789-, " for c in text):
        return text
    return atom_numbers(text)


def atom_numbers(text: str | None) -> list[int] | None:
    """Atom numbers as in ``0,1,2`` or ``0-5,8``."""
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            found += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise ValueError(f"{text!r}: write atom numbers from 0, as in 0,1,5-8") from None
    return found


def range_of(name: str, text: str | None) -> int | tuple[int, int] | None:
    """A number, or two with a dash between."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    try:
        return (int(first), int(last)) if dash else int(first)
    except ValueError:
        raise ValueError(f"{name} {text}: give a number, or a range as in 4-10") from None


def molecule_or_fragments(path: Path) -> MoleculeBatch | list[MoleculeBatch]:
    """The molecule of a file, or several as fragments to be linked."""
    molecules = list(MoleculeBatch.read(path))
    return molecules[0] if len(molecules) == 1 else molecules


def only_molecule(path: Path) -> MoleculeBatch:
    """The molecule of a file.

    Raises
    ------
    ValueError
        If there are several.
    """
    molecules = MoleculeBatch.read(path)
    if len(molecules) > 1:
        raise ValueError(
            f"{path} holds {len(molecules)} molecules; give a file with the one to start from"
        )
    return molecules


def write(molecules: MoleculeBatch, path: Path, name: str) -> str:
    """Write generated molecules, named MODEL-SEED-NUMBER; returns a line for a person."""
    seed = molecules.info["seed"]
    ids = [record_name(name, seed, i) for i in range(len(molecules))]
    with open_writer(path) as writer:
        writer.write(replace(molecules, ids=ids))
    valid = molecules.reasons.count(None)
    text = f"{len(molecules):,} molecules in {path}, {valid:,} of them valid"
    kept = molecules.info.get("kept")
    return text + ("" if kept is None else f"; the first {kept} atoms of each are the kept ones")


def load(model: str) -> EADModel:
    """The model of this name or in this folder."""
    return EADModel.from_pretrained(model)

"""Molecules that conformers are asked of: a SMILES, or the records of a file, none dropped."""

from __future__ import annotations

from pathlib import Path

from rdkit import Chem, rdBase

from deepchem_ead.chem.sdf_blocks import split_records
from deepchem_ead.chem.text import open_lines
from deepchem_ead.conformers.many import Entry
from deepchem_ead.molnet.smiles_files import holds_smiles, read_smiles_rows

#: Files of graphs besides those of SMILES.
_SDF = (".sdf", ".mol")
_COORDINATES = (".xyz", ".extxyz", ".pdb")


def read_entries(given: str, column: str | None = None) -> list[Entry]:
    """Molecules of a file, or the one of a SMILES.

    Parameters
    ----------
    given : str
        SMILES, or the name of a .smi, .csv, .tsv, .sdf or .mol file, also gzipped.
    column : str, optional
        Column of a table with the SMILES.

    Raises
    ------
    FileNotFoundError
        If it looks like a file's name, and there is none.
    ValueError
        If it is a file of another kind, empty, or cannot be read.
    """
    suffix = Path(given.lower().removesuffix(".gz")).suffix
    if suffix in _COORDINATES:
        raise ValueError(
            f"{given}: conformers are of a graph, which {suffix} files do not hold; give a SMILES, "
            "or a .smi, .csv or .sdf file"
        )
    if holds_smiles(given):
        rows = read_smiles_rows(given, column)
        found = [
            Entry(k, row.name, row.smiles, row.smiles) if row.smiles.strip()
            else Entry(k, row.name, "", None, "the row has no SMILES")
            for k, row in enumerate(rows, 1)
        ]  # fmt: skip
    elif suffix in _SDF:
        found = _read_sdf(given)
    elif Path(given).is_file():
        raise ValueError(f"{given}: unknown kind of file; use .smi, .csv, .tsv, .sdf or .mol")
    else:
        return [Entry(1, "", given, given)]
    if not found:
        raise ValueError(f"{given} holds no molecules")
    return found


def _read_sdf(path: str) -> list[Entry]:
    with open_lines(path) as lines:
        blocks = [[line.rstrip("\r\n") for line in block] for block in split_records(lines)]
    return [_entry(number, block) for number, block in enumerate(blocks, 1)]


def _entry(number: int, block: list[str]) -> Entry:
    text, title = "\n".join(block) + "\n", block[0].strip() if block else ""
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(text, removeHs=False)
        if mol is not None:
            return Entry(number, title, Chem.MolToSmiles(Chem.RemoveHs(mol)), mol)
        bare = Chem.MolFromMolBlock(text, sanitize=False, removeHs=False)
    if bare is None:
        return Entry(number, title, "", None, "it is no MOL block that RDKit can read")
    try:
        Chem.SanitizeMol(bare)
        why = "RDKit cannot read it"
    except ValueError as error:
        why = f"it is no molecule for RDKit: {error}"
    return Entry(number, title, "", None, why)

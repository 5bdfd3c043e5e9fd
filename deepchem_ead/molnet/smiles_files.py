"""Files of SMILES as molecules in 3D: a seeded conformer for each."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rdkit import Chem
from tqdm import tqdm

from deepchem_ead.chem.overlap import find_overlaps
from deepchem_ead.chem.rdkit_io import arrays_from_mol
from deepchem_ead.chem.records import BadRecord, Record
from deepchem_ead.choices import SMILES_FILES
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat.embedding import TIME_LIMIT, embed, read_smiles
from deepchem_ead.molnet.tables import read_table, read_text

logger = logging.getLogger(__name__)

#: Columns with the molecules' names.
_NAMES = ("name", "id")


class SmilesRow(NamedTuple):
    """One molecule of a file of SMILES.

    Attributes
    ----------
    smiles, name : str
    tags : dict of str
        The other columns, as text.
    """

    smiles: str
    name: str
    tags: dict[str, str]


def holds_smiles(path: str | os.PathLike) -> bool:
    """Whether a file's name says that it holds SMILES, a final ``.gz`` aside."""
    return Path(str(path).lower().removesuffix(".gz")).suffix in SMILES_FILES


def read_smiles_rows(path: str | os.PathLike, column: str | None = None) -> list[SmilesRow]:
    """The rows of a SMILES, CSV or TSV file; none is dropped, whatever its SMILES is.

    Parameters
    ----------
    path : path
        ``.smi`` or ``.smiles``: a SMILES a line and, after blanks, a name; a first line that begins
        with the word SMILES is a header. ``.csv`` or ``.tsv``: see `read_table`.
    column : str, optional
        Column with the SMILES; by default the one called "smiles", in any case.

    Raises
    ------
    ValueError
        If the table cannot be read or has no such column; the message lists the columns.
    """
    if Path(str(path).lower().removesuffix(".gz")).suffix in (".smi", ".smiles"):
        words = [line.split(None, 1) for line in read_text(path).splitlines() if line.strip()]
        if words and words[0][0].lower() == "smiles":
            del words[0]
        return [SmilesRow(w[0], w[1].strip() if len(w) > 1 else "", {}) for w in words]
    table = read_table(path)
    column = _smiles_column(path, table.columns, column)
    names = [c for wanted in _NAMES for c in table.columns if c.lower() == wanted and c != column]
    return [
        SmilesRow(
            row[column],
            row[names[0]].strip() if names else "",
            {c: text for c, text in row.items() if c != column and text.strip()},
        )
        for row in table.rows
    ]


def _smiles_column(path: str | os.PathLike, columns: list[str], column: str | None) -> str:
    if column is None:
        found = [name for name in columns if name.lower() == "smiles"]
    else:
        found = [name for name in columns if name == column]
    if len(found) != 1:
        what = f"no column {column or 'smiles'!r}" if not found else f"the columns {found}"
        raise ValueError(
            f"{path} has {what}; name the one with the SMILES by smiles_column=, of: "
            f"{', '.join(columns)}"
        )
    return found[0]


def embed_smiles_file(
    path: str | os.PathLike,
    column: str | None = None,
    seed: int = 0,
    time_limit: float | None = TIME_LIMIT,
) -> tuple[list[Record], list[int], list[BadRecord]]:
    """A conformer for each molecule of a file of SMILES.

    One line of the log says so and counts the failures by reason. The conformer of a molecule
    depends on its SMILES and the seed only.

    Returns
    -------
    good : list of Record
    numbers : list of int
        Number of each of them in the file, from 1; a header does not count.
    bad : list of BadRecord
    """
    rows = read_smiles_rows(path, column)
    good, numbers, bad = [], [], []
    reasons: Counter[str] = Counter()
    bar = tqdm(rows, desc="conformers", unit=" molecules", leave=False, disable=None)
    for number, row in enumerate(bar, start=1):
        try:
            good.append(_record(row, seed, time_limit))
            numbers.append(number)
        except MoleculeError as error:
            reason = str(error)
            bad.append(BadRecord(number, f"{row.smiles!r} {reason}"))
            reasons[reason.split(" (")[0]] += 1
    failed = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    logger.warning(
        "%s holds SMILES and no coordinates: made conformers of %d of %d molecules (ETKDGv3, "
        "seed %d)%s",
        path, len(good), len(rows), seed, f"; left out: {failed}" if failed else "",
    )  # fmt: skip
    return good, numbers, bad


def _record(row: SmilesRow, seed: int, time_limit: float | None) -> Record:
    mol = Chem.AddHs(read_smiles(row.smiles))
    if any(atom.GetAtomicNum() < 1 for atom in mol.GetAtoms()):
        raise MoleculeError("has a dummy atom '*', which is no element")
    if not mol.GetNumAtoms():
        raise MoleculeError("has no atoms")
    arrays = arrays_from_mol(embed(mol, seed, time_limit))
    for overlap in find_overlaps(arrays.numbers, arrays.positions):
        raise MoleculeError(overlap.reason)
    return Record(arrays.numbers, arrays.positions, arrays.charge, row.name, row.tags, arrays.graph)

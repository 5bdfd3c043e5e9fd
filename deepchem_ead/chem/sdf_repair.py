"""MOL blocks that RDKit does not read: read where they are unambiguous, or told why not."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.elements import number_of, symbol_of
from deepchem_ead.chem.values import number
from deepchem_ead.errors import MoleculeError

_ATOM_LINES = 4  # before them: three header lines and the counts
_V30 = "M  V30 "
# What RDKit reads besides elements; the reader refuses it later, by name.
_OTHER_SYMBOLS = {"D", "T", "A", "Q", "*", "L", "LP", "R", "R#", "X", "M"}


def parse_table(table: list[str]) -> Chem.Mol | None:
    """RDKit molecule of a MOL block as it stands, not sanitised; None if RDKit cannot read it."""
    with rdBase.BlockLogs():
        return Chem.MolFromMolBlock("\n".join(table), sanitize=False, removeHs=False)


def repair(table: list[str]) -> Chem.Mol:
    """Molecule of a MOL block whose numbers or symbols only RDKit cannot read.

    NaN and infinity, exponents (``1.2E-1``), atom rows that are not in columns, and symbols in
    lower case are read.

    Parameters
    ----------
    table : list of str
        Lines up to ``M  END``.

    Raises
    ------
    MoleculeError
        What is wrong with which atom or bond.
    """
    counts = table[3] if len(table) > 3 else ""
    rewrite = _rewrite_v3000 if "V3000" in counts.upper() else _rewrite_v2000
    repaired, positions = rewrite(table)
    mol = parse_table(repaired)
    if mol is None or mol.GetNumAtoms() != len(positions):
        raise MoleculeError(
            "RDKit cannot parse the atom and bond table, although its atoms and bonds look sound; "
            "write the file again with the program that made it, or as XYZ"
        )
    conformer = mol.GetConformer()
    conformer.SetPositions(positions)
    conformer.Set3D(bool((positions[:, 2] != 0).any()) or conformer.Is3D())
    return mol


def _rewrite_v2000(table: list[str]) -> tuple[list[str], np.ndarray]:
    """The block with zeros for coordinates and proper symbols, and the coordinates (n, 3)."""
    counts = table[3] if len(table) > 3 else ""
    try:
        n_atoms, n_bonds = int(counts[:3]), int(counts[3:6])
    except ValueError:
        raise MoleculeError(f"the counts line (line 4) reads {counts.strip()[:40]!r}") from None
    if n_atoms < 0 or n_bonds < 0:
        raise MoleculeError(f"the counts line (line 4) announces {n_atoms} atoms, {n_bonds} bonds")
    bonds_from = _ATOM_LINES + n_atoms
    if len(table) - 1 < bonds_from + n_bonds:
        raise MoleculeError(
            f"the counts line (line 4) announces {n_atoms} atoms and {n_bonds} bonds, but only "
            f"{len(table) - 1 - _ATOM_LINES} lines stand before 'M  END': it is cut short"
        )
    atoms = [_v2000_atom(i, line) for i, line in enumerate(table[_ATOM_LINES:bonds_from])]
    bonds = table[bonds_from : bonds_from + n_bonds]
    _refuse_more_rows(table[bonds_from : bonds_from + n_bonds + 1], n_atoms, n_bonds)
    known: set[frozenset[int]] = set()
    for i, line in enumerate(bonds):
        _check_bond(i, line, n_atoms, known, lambda line: [int(line[k : k + 3]) for k in (0, 3)])
    rows = [f"{0:10.4f}{0:10.4f}{0:10.4f} {symbol:<3}{rest}" for _, symbol, rest in atoms]
    positions = np.array([xyz for xyz, _, _ in atoms], dtype=np.float64).reshape(-1, 3)
    return table[:_ATOM_LINES] + rows + table[bonds_from:], positions


def _refuse_more_rows(rows: list[str], n_atoms: int, n_bonds: int) -> None:
    """Refuse atoms or bonds beyond those that the counts line announces."""
    announced = f"the counts line (line 4) announces {n_atoms} atoms and {n_bonds} bonds"
    for i, line in enumerate(rows):
        if len(line) > 30 and "." in line[:30] and line[31:32].isalpha():
            raise MoleculeError(
                f"{announced}, but another atom follows ({line.strip()[:40]!r}); correct the counts"
            )
        if i == n_bonds and re.match(r"[ \d]{3}[ \d]{2}\d[ \d]{2}\d", line):
            raise MoleculeError(
                f"{announced}, but another bond follows ({line.strip()[:40]!r}); correct the counts"
            )


def _v2000_atom(i: int, line: str) -> tuple[list[float], str, str]:
    """Coordinates, symbol and the rest of an atom line, in columns or separated by blanks."""
    fields = line.split()
    by_columns = [line[k : k + 10] for k in (0, 10, 20)], line[31:34].strip(), line[34:]
    by_blanks = (
        fields[:3],
        "".join(fields[3:4]),
        "".join(f"{text:>{2 if k == 0 else 3}}" for k, text in enumerate(fields[4:])),
    )
    for texts, symbol, rest in (by_columns, by_blanks):
        try:
            xyz = [number(text) for text in texts]
        except ValueError:
            continue
        if len(xyz) == 3 and symbol:
            return xyz, _symbol(i, symbol), rest
    shown = line.strip()[:60]
    reason = ""
    for name, text in zip("xyz", fields, strict=False):
        try:
            number(text)
        except ValueError as error:
            reason = f": {name} {error}"
            break
    raise MoleculeError(f"atom {i}: {shown!r} does not hold x y z and an element{reason}")


def _rewrite_v3000(table: list[str]) -> tuple[list[str], np.ndarray]:
    """As :func:`_rewrite_v2000`."""
    keywords = {" ".join(line[len(_V30) :].split()[:2]) for line in table if line.startswith(_V30)}
    counts = next((line.split()[2:] for line in table if line.startswith(f"{_V30}COUNTS")), [])
    try:
        n_atoms, n_bonds = int(counts[1]), int(counts[2])
    except (IndexError, ValueError):
        raise MoleculeError(
            "there is no line 'M  V30 COUNTS atoms bonds': it is cut short"
        ) from None
    for section, n in (("ATOM", n_atoms), ("BOND", n_bonds)):
        for keyword in (f"BEGIN {section}", f"END {section}") if n else ():
            if keyword not in keywords:
                raise MoleculeError(
                    f"COUNTS announces {n_atoms} atoms and {n_bonds} bonds, but there is no line "
                    f"'{_V30}{keyword}': the record is cut short; write the file again"
                )
    if "END CTAB" not in keywords:
        raise MoleculeError(f"there is no line '{_V30}END CTAB': the record is cut short")
    repaired, xyz, n_found = list(table), [], {"ATOM": 0, "BOND": 0}
    section = ""
    known: set[frozenset[int]] = set()
    for row, line in enumerate(table):
        fields = line[len(_V30) :].split() if line.startswith(_V30) else []
        if fields[:1] in (["BEGIN"], ["END"]):
            section = fields[1] if fields[0] == "BEGIN" and len(fields) > 1 else ""
        elif section == "ATOM" and fields and not table[row - 1].endswith("-"):
            i = n_found["ATOM"]
            try:
                xyz.append([number(text) for text in fields[2:5]])
            except ValueError as error:
                raise MoleculeError(
                    f"atom {i}: {line[len(_V30) :].strip()[:60]!r}: {error}"
                ) from None
            if len(xyz[-1]) < 3:
                raise MoleculeError(f"atom {i}: {line.strip()[:60]!r} does not hold x y z")
            repaired[row] = (
                f"{_V30}{fields[0]} {_symbol(i, fields[1])} 0 0 0 {' '.join(fields[5:])}"
            )
            n_found["ATOM"] += 1
        elif section == "BOND" and fields and not table[row - 1].endswith("-"):
            ends = line[len(_V30) :]
            _check_bond(
                n_found["BOND"], ends, n_atoms, known, lambda t: [int(v) for v in t.split()[2:4]]
            )
            n_found["BOND"] += 1
    for name, n in (("ATOM", n_atoms), ("BOND", n_bonds)):
        if n_found[name] != n:
            raise MoleculeError(
                f"COUNTS announces {n} {name.lower()}s, but there are {n_found[name]}"
            )
    return repaired, np.array(xyz, dtype=np.float64).reshape(-1, 3)


def _symbol(i: int, text: str) -> str:
    if text.upper() in _OTHER_SYMBOLS:
        return text.upper()
    try:
        return symbol_of(number_of(text))
    except MoleculeError as error:
        raise MoleculeError(f"atom {i}: {error}") from None


def _check_bond(
    i: int, line: str, n_atoms: int, known: set[frozenset[int]], ends: Callable[[str], list[int]]
) -> None:
    """Refuse a bond that does not join two atoms, or two that are joined; adds it to ``known``."""
    try:
        found = ends(line)
    except ValueError:
        found = []
    shown = line.strip()[:40]
    if len(found) != 2 or not all(1 <= atom <= n_atoms for atom in found):
        raise MoleculeError(f"bond {i}: {shown!r} does not name two of the {n_atoms} atoms")
    if found[0] == found[1]:
        raise MoleculeError(f"bond {i}: {shown!r} joins atom {found[0]} to itself; remove it")
    if frozenset(found) in known:
        raise MoleculeError(f"bond {i}: {shown!r} joins two atoms that have a bond already")
    known.add(frozenset(found))

"""SDF records: reading with reasons for failure, writing that loses no molecule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.limits import record_too_large
from deepchem_ead.chem.rdkit_io import AtomArrays, arrays_from_mol, bare_molecule
from deepchem_ead.chem.records import BadRecord, Record, settle_tags, told_smiles
from deepchem_ead.chem.sdf_blocks import (
    RECORD_END,
    is_record_end,
    is_table_end,
    item_name,
    read_items,
    split_records,
    table_end,
)
from deepchem_ead.chem.sdf_repair import parse_table, repair
from deepchem_ead.chem.sdf_tables import ordinary_arrays
from deepchem_ead.chem.text import OVERLONG
from deepchem_ead.chem.values import is_counts_line, plain, sdf_name, sdf_value
from deepchem_ead.errors import MoleculeError

#: Files that hold MOL blocks or molecules, too, by the first word in them.
_OTHER_FORMATS = {
    "$RXN": "a reaction (RXN)",
    "$RDFILE": "an RD file",
    "$MDL": "an RG file (R-groups)",
    "@<TRIPOS>MOLECULE": "a MOL2 file",
    "HETATM": "a PDB file",
    "ATOM": "a PDB file",
    "HEADER": "a PDB file",
}
_SHORTEST = 0.72
_LONGEST = {Chem.BondType.DOUBLE: 0.96, Chem.BondType.TRIPLE: 0.9, Chem.BondType.AROMATIC: 0.96}


def read_sdf(lines: Iterable[str]) -> Iterator[Record | BadRecord]:
    """Read SDF or MOL text (V2000 and V3000), one record at a time.

    Parameters
    ----------
    lines : iterable of str
        Lines with or without line ends.

    Yields
    ------
    Record or BadRecord
        Coordinates in Angstrom. The charge is the sum of formal charges or, if that is 0, the tag
        ``charge``.
    """
    for number, block in enumerate(split_records(lines), start=1):
        try:
            yield _read_record(block)
        except MoleculeError as error:
            yield BadRecord(number, str(error))


def _read_record(block: list[str]) -> Record:
    if OVERLONG in block:
        raise MoleculeError(record_too_large())
    lines = [line.rstrip("\r\n") for line in block]
    closed = is_record_end(lines[-1])
    if closed:
        lines.pop()
    if not lines:
        raise MoleculeError("the record is empty")
    if lines[0].strip() and lines[0].split()[0] in _OTHER_FORMATS:
        raise MoleculeError(
            f"it begins with {lines[0].strip()[:40]!r} and so is no SDF but "
            f"{_OTHER_FORMATS[lines[0].split()[0]]}; convert its molecules to SDF"
        )
    if len(lines) > 4 and not is_counts_line(lines[3]):
        lines = _without_blank_lines_above(lines)
    end = table_end(lines)
    if end is None:
        raise MoleculeError("there is no 'M  END' line: the record is cut short or not SDF")
    table = lines[: end + 1]
    mol = parse_table(table)
    arrays = None if mol is None else ordinary_arrays(table, mol)
    if arrays is None:
        arrays = _arrays(repair(table) if mol is None else mol)
    numbers, positions, charge, graph = arrays
    tags = read_items(lines[end + 1 :], closed)
    smiles = told_smiles(tags)
    tagged_charge, tags = settle_tags(tags)
    name = str(plain(lines[0].strip()))
    return Record(numbers, positions, charge or tagged_charge, name, tags, graph, smiles)


def _arrays(mol: Chem.Mol) -> AtomArrays:
    """Arrays of any molecule that a MOL block may hold.

    Raises
    ------
    MoleculeError
        If it lacks hydrogens, elements or 3D coordinates.
    """
    if mol.GetNumAtoms() == 1:
        mol.GetAtomWithIdx(0).SetNoImplicit(True)  # an atom or ion, as XYZ files have them
    elif mol.GetNumAtoms() > 3 and not mol.GetConformer().Is3D():
        _accept_planar(mol)
    try:
        return arrays_from_mol(mol)
    except MoleculeError as error:
        raise MoleculeError(f"the molecule {error}") from None


def _without_blank_lines_above(lines: list[str]) -> list[str]:
    """The record from its title on, where empty lines stand between it and the last ``$$$$``."""
    counts = next((i for i, line in enumerate(lines) if is_counts_line(line)), 0)
    extra = lines[: max(counts - 3, 0)]
    return lines if any(line.strip() for line in extra) else lines[len(extra) :]


def _accept_planar(mol: Chem.Mol) -> None:
    """Mark a flat molecule as 3D if its bonds have natural lengths; a drawing is refused.

    Raises
    ------
    MoleculeError
        With what the owner of the file can do.
    """
    if not _has_natural_lengths(mol):
        raise MoleculeError(
            "the atoms lie in a plane, line 2 does not say 3D, and the bonds do not have natural "
            "lengths: it is a flat 2D drawing; make 3D coordinates (for example with RDKit's "
            "AllChem.EmbedMolecule), or write '3D' into columns 21-22 of line 2 if they are"
        )
    mol.GetConformer().Set3D(True)


def _has_natural_lengths(mol: Chem.Mol) -> bool:
    """Whether every bond is about as long as its elements' covalent radii say.

    Drawings have one length for all bonds, too long for those to hydrogen and multiple ones, and
    draw four neighbours in a plane.
    """
    radius = Chem.GetPeriodicTable().GetRcovalent
    positions = mol.GetConformer().GetPositions()
    if not mol.GetNumBonds() or max(atom.GetDegree() for atom in mol.GetAtoms()) > 3:
        return False
    lengths, kinds = [], set()
    for bond in mol.GetBonds():
        a, b = bond.GetBeginAtom(), bond.GetEndAtom()
        length = float(np.linalg.norm(positions[a.GetIdx()] - positions[b.GetIdx()]))
        natural = radius(a.GetAtomicNum()) + radius(b.GetAtomicNum())
        longest = _LONGEST.get(bond.GetBondType(), 1.15)
        if not _SHORTEST * natural < length < longest * natural:
            return False
        lengths.append(length)
        kinds.add(frozenset((a.GetAtomicNum(), b.GetAtomicNum())))
    return len(kinds) == 1 or max(lengths) > 1.01 * min(lengths)


def format_sdf(
    numbers: np.ndarray,
    positions: np.ndarray,
    mol: Chem.Mol | None,
    name: str,
    tags: dict[str, str],
) -> str:
    """One SDF record, ending with ``$$$$``.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    mol : rdkit.Chem.Mol or None
        The molecule with these coordinates, sanitised or with what was given about it. None (an
        invalid molecule) writes the atoms without bonds, so that nothing is lost.
    name : str
        Title line.
    tags : dict of str
        Data items.

    Returns
    -------
    str
        V2000; V3000 where V2000 has no room (more than 999 atoms, more than 4 digits before the
        point) or a coordinate is not finite. Text that would break the format (``$$$$``, empty
        lines, ``>``, control characters) is written as a JSON string.
    """
    if mol is None:
        mol = bare_molecule(numbers, positions)
    elif mol.NeedsUpdatePropertyCache():
        mol.UpdatePropertyCache(strict=False)
    elif mol.GetNumAtoms(onlyExplicit=False) > len(numbers):
        mol = _without_implicit_hydrogens(mol)
    # RDKit reads NaN and infinity in V3000 only.
    to_text = Chem.MolToMolBlock if np.isfinite(positions).all() else Chem.MolToV3KMolBlock
    lines = to_text(mol).split("\n")
    lines[0] = sdf_name(name)
    for tag, value in tags.items():
        lines[-1:] = [f">  <{sdf_name(tag)}>", *sdf_value(value).split("\n"), "", ""]
        if not value:
            del lines[-2]
    lines[-1] = RECORD_END
    return "\n".join(lines) + "\n"


def add_tags(lines: Iterable[str], tags: Iterable[dict[str, str]]) -> Iterator[str]:
    """SDF text whose records, otherwise unchanged, got more tags.

    Parameters
    ----------
    lines : iterable of str
        Lines of an SDF or MOL file.
    tags : iterable of dict
        For each record in order, readable or not; a tag that the record has already is replaced.

    Yields
    ------
    str
        Lines with line ends.
    """
    for block, added in zip(split_records(lines), tags, strict=True):
        yield from _tagged(block, added)


def _tagged(block: list[str], tags: dict[str, str]) -> Iterator[str]:
    newline = "\r\n" if block[0].endswith("\r\n") else "\n"
    end = RECORD_END + newline
    if is_record_end(block[-1]):
        end = block.pop()
    in_table, dropping = True, False
    for line in block:
        name = None if in_table else item_name(line)
        if name is not None:
            dropping = plain(name) in tags
        if not dropping:
            yield line if line.endswith(("\n", "\r")) else line + newline
        in_table = in_table and not is_table_end(line)
    if tags and block and block[-1].strip() and not is_table_end(block[-1]):
        yield newline  # the last data item was not closed
    for tag, value in tags.items():
        yield f">  <{sdf_name(tag)}>{newline}{value}{newline}{newline}"
    yield end if end.endswith(("\n", "\r")) else end + newline


def _without_implicit_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Fix the valence of every atom, so that a reader does not add atoms that were not there."""
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    mol.UpdatePropertyCache(strict=False)
    return mol

"""SDF records: reading with reasons for failure, writing that loses no molecule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.elements import number_of
from deepchem_ead.chem.rdkit_io import arrays_from_mol, bare_molecule
from deepchem_ead.chem.records import SMILES_TAG, BadRecord, Record, pop_charge
from deepchem_ead.errors import MoleculeError

RECORD_END = "$$$$"


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
    block: list[str] = []
    number = 0
    for line in lines:
        line = line.rstrip("\r\n")
        if line.rstrip() == RECORD_END:
            number += 1
            yield _read_record(block, number)
            block = []
        else:
            block.append(line)
    if any(line.strip() for line in block):
        yield _read_record(block, number + 1)


def _read_record(block: list[str], number: int) -> Record | BadRecord:
    try:
        end = next(i for i, line in enumerate(block) if line.startswith("M  END")) + 1
    except StopIteration:
        return BadRecord(number, "there is no 'M  END' line: the record is cut short or not SDF")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock("\n".join(block[:end]), sanitize=False, removeHs=False)
    if mol is None:
        return BadRecord(number, _why_unreadable(block))
    try:
        numbers, positions, charge, graph = arrays_from_mol(mol)
    except MoleculeError as error:
        return BadRecord(number, f"the molecule {error}")
    tags = _read_tags(block[end:])
    tags.pop(SMILES_TAG, None)
    tagged_charge = pop_charge(tags)
    return Record(numbers, positions, charge or tagged_charge, block[0].strip(), tags, graph)


def _why_unreadable(block: list[str]) -> str:
    """What is wrong with a V2000 table; RDKit tells it only to its log, amid stack traces."""
    counts = block[3] if len(block) > 3 else ""
    if "V3000" not in counts:
        try:
            n_atoms, n_bonds = int(counts[:3]), int(counts[3:6])
        except ValueError:
            return f"the counts line (line 4) reads {counts.strip()[:40]!r}"
        for i, line in enumerate(block[4 : 4 + n_atoms]):
            try:
                [float(line[k : k + 10]) for k in (0, 10, 20)]
                number_of(line[31:34].strip())
            except MoleculeError as error:
                return f"atom {i}: {error}"
            except ValueError:
                return f"atom {i}: {line.strip()[:40]!r} does not hold x y z and an element"
        for i, line in enumerate(block[4 + n_atoms : 4 + n_atoms + n_bonds]):
            try:
                inside = all(1 <= int(line[k : k + 3]) <= n_atoms for k in (0, 3))
            except ValueError:
                inside = False
            if not inside:
                return f"bond {i}: {line.strip()[:40]!r} does not name two of the {n_atoms} atoms"
    return "RDKit cannot parse the atom and bond table"


def _read_tags(lines: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    name, value = None, []
    for line in lines:
        if name is None:
            if line.startswith(">") and "<" in line:
                name = line[line.index("<") + 1 : line.rindex(">")]
        elif line.strip():
            value.append(line)
        else:
            tags[name] = "\n".join(value)
            name, value = None, []
    if name is not None:
        tags[name] = "\n".join(value)
    return tags


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
        point) or a coordinate is not finite.
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
    lines[0] = " ".join(name.split())
    for tag, value in tags.items():
        # A blank line would end the data item and "$$$$" the record.
        kept = [v for v in value.splitlines() if v.strip() and not v.startswith(RECORD_END)]
        lines[-1:] = [f">  <{_tag_name(tag)}>", *kept, "", ""]
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
    wanted = iter(tags)
    block: list[str] = []
    for line in lines:
        line = line.rstrip("\r\n")
        if line.rstrip() == RECORD_END:
            yield from _tagged(block, next(wanted))
            block = []
        else:
            block.append(line)
    if any(line.strip() for line in block):
        yield from _tagged(block, next(wanted))


def _tagged(block: list[str], tags: dict[str, str]) -> Iterator[str]:
    names = {_tag_name(tag) for tag in tags}
    in_table, dropping = True, False
    for line in block:
        if not in_table and line.startswith(">") and "<" in line:
            dropping = line[line.index("<") + 1 : line.rindex(">")] in names
        if not dropping:
            yield line + "\n"
        dropping = dropping and bool(line.strip())
        in_table = in_table and not line.startswith("M  END")
    if tags and block and block[-1].strip() and not block[-1].startswith("M  END"):
        yield "\n"  # the last data item was not closed
    for tag, value in tags.items():
        yield f">  <{_tag_name(tag)}>\n{value}\n\n"
    yield RECORD_END + "\n"


def _tag_name(tag: str) -> str:
    return " ".join(tag.replace("<", "(").replace(">", ")").split())


def _without_implicit_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Fix the valence of every atom, so that a reader does not add atoms that were not there."""
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    mol.UpdatePropertyCache(strict=False)
    return mol

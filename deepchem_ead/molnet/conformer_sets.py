"""Ensembles that ``deepchem-ead data build conformers-...`` has made, as molecules."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead import cache
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.rdkit_io import molecule_of
from deepchem_ead.errors import MoleculeError
from deepchem_ead.molnet.geom_files import is_geom, read_geom
from deepchem_ead.molnet.geom_graphs import check_corrected, with_bonds

if TYPE_CHECKING:
    import pandas as pd

#: Searches whose union an ensemble is, in the order of their bits in ``found_by``.
SEARCHES = ("etkdg", "torsions", "dynamics")
LEVELS = ("gfn2", "ani2xt")
PARTS = ("train", "test")
SHARDS = "shards"
STEPS_PER_ANGSTROM = 1000
#: Arrays with a row for each atom, bond or letter (or conformer, or atom of a conformer), and the
#: array with their numbers a molecule.
RAGGED = {
    "numbers": "n_atoms", "formal_charges": "n_atoms", "given": "n_atoms", "bonds": "n_bonds",
    "smiles": "n_letters", "energies": "n_conformers", "found_by": "n_conformers",
    "positions": "n_rows",
}  # fmt: skip
#: Arrays with a row for each molecule.
PLAIN = ("index", "part", "level", "has_given")

Arrays = dict[str, np.ndarray]


class EnsembleRow(NamedTuple):
    """What is stored of a molecule.

    Attributes
    ----------
    number : int
        Where it comes from: its number in QM9, or among the candidates.
    part, level : str
        One of `PARTS` and `LEVELS`.
    smiles : str
    graph : MolecularGraph
    numbers : numpy.ndarray
        Atomic numbers, (n,).
    positions : numpy.ndarray
        Angstrom, (conformers, n, 3).
    energies : numpy.ndarray
        kcal/mol, (conformers,).
    found_by : numpy.ndarray
        uint8, (conformers,).
    given : numpy.ndarray or None
        Another geometry (n, 3): that of the data set.
    """

    number: int
    part: str
    level: str
    smiles: str
    graph: MolecularGraph
    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    found_by: np.ndarray
    given: np.ndarray | None = None


def pack(rows: Sequence[EnsembleRow], failed: Sequence[tuple[int, str]]) -> Arrays:
    """Arrays of some molecules, and of those that failed the numbers and reasons."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*RAGGED, *PLAIN)}
    for row in rows:
        assert row.graph.bonds is not None
        n = len(row.numbers)
        given = np.zeros((n, 3)) if row.given is None else row.given - row.given.mean(axis=0)
        centred = row.positions - row.positions.mean(axis=1, keepdims=True)
        values: dict[str, Any] = {
            "numbers": row.numbers.astype(np.uint8),
            "formal_charges": row.graph.formal_charges.astype(np.int8),
            "given": _steps(given),
            "bonds": row.graph.bonds.astype(np.uint8),
            "smiles": np.frombuffer(row.smiles.encode("ascii"), np.uint8),
            "energies": row.energies.astype(np.float64),
            "found_by": row.found_by.astype(np.uint8),
            "positions": _steps(centred.reshape(-1, 3)),
            "index": np.array([row.number], np.int32),
            "part": np.array([PARTS.index(row.part)], np.uint8),
            "level": np.array([LEVELS.index(row.level)], np.uint8),
            "has_given": np.array([row.given is not None]),
        }
        for name, value in values.items():
            columns[name].append(value)
    empty = {"bonds": (0, 3), "positions": (0, 3), "given": (0, 3)}
    arrays = {
        name: np.concatenate(found) if found else np.zeros(empty.get(name, (0,)), np.uint8)
        for name, found in columns.items()
    }
    for name, count in RAGGED.items():
        arrays[count] = np.array([len(value) for value in columns[name]], np.int32)
    arrays["failed"] = np.array([index for index, _ in failed], np.int32)
    arrays["reasons"] = np.array([reason.encode() for _, reason in failed], np.bytes_)
    return arrays


def _steps(positions: np.ndarray) -> np.ndarray:
    """Positions as whole steps, where they fit: 32 Angstrom from the middle."""
    return np.clip(np.rint(positions * STEPS_PER_ANGSTROM), -32768, 32767).astype(np.int16)


@dataclass(frozen=True)
class ConformerSet:
    """Molecules with ensembles of conformers.

    Attributes
    ----------
    mols : list of rdkit.Chem.Mol
        With all hydrogens and the conformers, the lowest first; a conformer has the properties
        ``energy`` (kcal/mol), ``relative_energy`` and ``found_by``.
    given : list of rdkit.Chem.Mol or None
        The same molecules with the geometry of the data set that they come from.
    table : pandas.DataFrame
        A row each: ``index`` (in its source), ``smiles``, ``part``, ``level``, ``n_conformers``,
        and for each search the share of the conformers that it missed.
    failed : pandas.DataFrame
        ``index`` and ``reason`` of molecules without an ensemble.
    """

    mols: list[Chem.Mol]
    given: list[Chem.Mol | None]
    table: pd.DataFrame
    failed: pd.DataFrame

    def __len__(self) -> int:
        return len(self.mols)

    @property
    def missed(self) -> dict[str, float]:
        """Share of the conformers that each search missed, mean over molecules; {} of GEOM."""
        known = [name for name in SEARCHES if f"missed_{name}" in self.table]
        return {name: float(self.table[f"missed_{name}"].mean()) for name in known}


def load_conformers(
    folder: str | os.PathLike,
    part: str | None = None,
    conformers: int | None = None,
    corrected: bool = False,
    limit: int | None = None,
) -> ConformerSet:
    """Load ensembles that ``deepchem-ead data build conformers-qm9`` or ``-drugs`` has made, or
    those of GEOM.

    A build that is not finished is loaded as far as it is. All molecules are in memory together:
    of GEOM take a part, or so many.

    Parameters
    ----------
    folder : path
        What was given as ``--out``; or GEOM's msgpack or SDF files, as in
        `deepchem_ead.molnet.load_geom`.
    part : {"train", "valid", "test"}, optional
        Only these molecules; of GEOM by the names of files and folders.
    conformers, corrected, limit
        Of GEOM only: how many conformers of each molecule, the lowest ones (default: all); the
        filters of the corrected splits; how many molecules.

    Raises
    ------
    FileNotFoundError
        If there are none.
    ValueError
        If there is no such part, or GEOM comes as pickles or as an array, which has no bonds.
    deepchem_ead.cache.DamagedCache
        If a file is not what was written; names it.
    """
    import pandas as pd

    geom = not (Path(folder) / SHARDS).is_dir() and is_geom(folder)
    if part is not None and part not in (("train", "valid", "test") if geom else PARTS):
        choices = "train, valid or test" if geom else " or ".join(PARTS)
        raise ValueError(f"part={part!r}: choose {choices}")
    if geom:
        return _of_geom(Path(folder), part, conformers, corrected, limit)
    paths = sorted((Path(folder) / SHARDS).glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} has no conformers: 'deepchem-ead data build conformers-qm9 --out {folder}' "
            "makes some"
        )
    mols: list[Chem.Mol] = []
    given: list[Chem.Mol | None] = []
    rows: list[dict[str, Any]] = []
    failed: list[tuple[int, str]] = []
    for path in paths:
        arrays = read_arrays(path)
        failed += [
            (int(i), reason.decode())
            for i, reason in zip(arrays["failed"], arrays["reasons"], strict=True)
        ]
        for row in unpack(arrays):
            if part in (None, row.part):
                mol, own = _molecules(row)
                mols.append(mol)
                given.append(own)
                rows.append(_describe(row))
    return ConformerSet(
        mols, given, pd.DataFrame(rows), pd.DataFrame(failed, columns=["index", "reason"])
    )


def _of_geom(
    path: Path, part: str | None, conformers: int | None, corrected: bool, limit: int | None
) -> ConformerSet:
    import pandas as pd

    mols: list[Chem.Mol] = []
    rows: list[dict[str, Any]] = []
    failed: list[tuple[int, str]] = []
    if path.name.endswith(".npy"):
        raise ValueError(f"{path} has no bonds; ensembles need the msgpack or SDF files of GEOM")
    for number, molecule in enumerate(read_geom(path, conformers)):
        if limit is not None and len(mols) + len(failed) >= limit:
            break
        if part not in (None, molecule.part):
            continue
        try:
            mol = with_bonds(molecule)
            if corrected:
                check_corrected(mol)
        except MoleculeError as error:
            failed.append((number, str(error)))
            continue
        if molecule.energies is not None:
            for conformer, energy in zip(mol.GetConformers(), molecule.energies, strict=True):
                conformer.SetDoubleProp("energy", float(energy))
                conformer.SetDoubleProp("relative_energy", float(energy - molecule.energies[0]))
        mols.append(mol)
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
        rows.append(
            {"index": number, "smiles": smiles, "part": molecule.part, "level": "gfn2",
             "n_conformers": mol.GetNumConformers()}
        )  # fmt: skip
    if not mols:
        why = f"; the first: {failed[0][1]}" if failed else ""
        raise ValueError(f"{path}: none of its molecules can be used{why}")
    table = pd.DataFrame(rows)
    return ConformerSet(
        mols, [None] * len(mols), table, pd.DataFrame(failed, columns=["index", "reason"])
    )


def read_arrays(path: Path) -> Arrays:
    """Arrays of a shard."""
    with np.load(io.BytesIO(cache.read(path)), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def unpack(arrays: Mapping[str, np.ndarray]) -> list[EnsembleRow]:
    """The molecules that `pack` has put together."""
    split = {
        name: np.split(arrays[name], np.cumsum(arrays[count])[:-1])
        for name, count in RAGGED.items()
        if len(arrays["index"])
    }
    rows = []
    for i, index in enumerate(arrays["index"].tolist()):
        own = {name: values[i] for name, values in split.items()}
        n = len(own["numbers"])
        rows.append(
            EnsembleRow(
                index,
                PARTS[arrays["part"][i]],
                LEVELS[arrays["level"][i]],
                own["smiles"].tobytes().decode("ascii"),
                MolecularGraph(own["formal_charges"], own["bonds"].astype(np.int32)),
                own["numbers"].astype(np.int16),
                own["positions"].reshape(-1, n, 3) / STEPS_PER_ANGSTROM,
                own["energies"],
                own["found_by"],
                own["given"] / STEPS_PER_ANGSTROM if arrays["has_given"][i] else None,
            )
        )
    return rows


def _molecules(row: EnsembleRow) -> tuple[Chem.Mol, Chem.Mol | None]:
    mol = molecule_of(row.numbers, row.positions[0], graph=row.graph)
    assert mol is not None
    given = None
    if row.given is not None:
        given = Chem.Mol(mol)
        given.GetConformer().SetPositions(np.ascontiguousarray(row.given))
    mol.RemoveAllConformers()
    for positions, energy, found_by in zip(row.positions, row.energies, row.found_by, strict=True):
        conformer = Chem.Conformer(len(positions))
        conformer.SetPositions(np.ascontiguousarray(positions))
        conformer.SetDoubleProp("energy", float(energy))
        conformer.SetDoubleProp("relative_energy", float(energy - row.energies[0]))
        names = [name for k, name in enumerate(SEARCHES) if found_by >> k & 1]
        conformer.SetProp("found_by", ",".join(names))
        mol.AddConformer(conformer, assignId=True)
    return mol, given


def _describe(row: EnsembleRow) -> dict[str, Any]:
    missed = {
        f"missed_{name}": float((row.found_by >> k & 1 == 0).mean())
        for k, name in enumerate(SEARCHES)
    }
    return {
        "index": row.number, "smiles": row.smiles, "part": row.part, "level": row.level,
        "n_conformers": len(row.energies), **missed,
    }  # fmt: skip

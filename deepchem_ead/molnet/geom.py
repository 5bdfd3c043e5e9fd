"""``load_geom``: GEOM as DeepChem datasets, for those who have it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import deepchem as dc
import numpy as np
from tqdm import tqdm

from deepchem_ead import cache
from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.keywords import check_keywords
from deepchem_ead.locks import hold
from deepchem_ead.molnet.geom_files import GeomMolecule, read_geom
from deepchem_ead.molnet.geom_graphs import check_corrected, with_bonds
from deepchem_ead.molnet.splits import MEMORY_CACHE_BYTES

PARTS = ("train", "valid", "test")
#: Conformers in a shard.
SHARD = 4096
_VERSION = 1
_PERMUTATION = "geom_permutation.npy"
_SPLITTERS = ("auto", "molecule", "given", "edm", None)


class _Row(NamedTuple):
    """A conformer, before it is padded."""

    batch: MoleculeBatch
    id: str
    energy: float


@check_keywords()
def load_geom(
    path: str | os.PathLike,
    conformers: int | None = 30,
    corrected: bool = False,
    splitter: str | None = "auto",
    max_atoms: int = 181,
    bonds: bool = False,
    reload: bool = True,
    save_dir: str | None = None,
    limit: int | None = None,
) -> tuple[list[str], tuple[dc.data.Dataset, ...], list[dc.trans.Transformer]]:
    """Load GEOM-Drugs or GEOM-QM9 from files that you have.

    Read are the msgpack files ("crude"), folders of SDF files, and EDM's array; what is in them
    stands in `deepchem_ead.molnet.geom_files`. Pickles are refused. Molecules are read one after
    another and written in shards of 4,096 conformers, so that memory does not grow with the file.

    Parameters
    ----------
    path : path
        ``drugs_crude.msgpack`` (also ``.tar.gz``), a folder of ``.sdf`` files, or
        ``geom_drugs_30.npy``.
    conformers : int, optional
        The lowest ones of each molecule (30 in EDM's protocol, and in its array); None: all.
    corrected : bool
        Leave out the molecules that the corrected splits do (Nikitin et al., arXiv:2505.00169): see
        `deepchem_ead.molnet.geom_graphs.check_corrected`. Needs bonds or SMILES, which EDM's array
        has not.
    splitter : {"auto", "molecule", "given", "edm"} or None
        "molecule": 80/10/10 % by a hash of the molecule, so that all its conformers are in one
        part; "given": by the names of files and folders (train, val, test); "edm": by
        ``geom_permutation.npy`` beside EDM's array, where conformers of one molecule are in
        several parts; "auto": "given" where there are such names, else "molecule". None: one
        dataset.
    max_atoms : int
        Rows of X; larger molecules are left out. 181 holds all of GEOM-Drugs, and a smaller number
        takes less space.
    bonds : bool
        X with formal charges and bonds, (N, max_atoms, 11): those of the file or its SMILES; of
        EDM's array, perceived.
    reload : bool
        Use and write the cache.
    save_dir : str, optional
        Folder of the datasets; default DeepChem's data folder.
    limit : int, optional
        Molecules to read, at most.

    Returns
    -------
    tasks : list of str
        ["energy"]: kcal/mol above the molecule's lowest conformer, with weight 0 where the file has
        no energies.
    datasets : tuple of dc.data.DiskDataset
        (train, valid, test), or one. X is float32 (N, max_atoms, 4); ids are the file's SMILES, or
        the numbers of molecules in it.
    transformers : list
        Empty.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For pickles, other files, options out of range, or if no molecule is left.
    ImportError
        If msgpack is missing.

    Examples
    --------
    >>> tasks, (train, valid, test), _ = load_geom("drugs_crude.msgpack")    # doctest: +SKIP
    """
    if splitter not in _SPLITTERS:
        raise ValueError(
            f"splitter={splitter!r}: choose molecule, given, edm, auto or None; molecules are read "
            "one after another, so that DeepChem's splitters cannot see them"
        )
    for name, value in (("max_atoms", max_atoms), ("limit", limit)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: give 1 or more")
    path = Path(path)
    molecules = read_geom(path, conformers)
    if corrected and path.name.endswith(".npy"):
        raise ValueError(
            f"{path}: corrected=True looks at bonds, which EDM's array has not; give the msgpack "
            "or SDF files"
        )
    splits = _Splits(path, splitter, conformers)
    recipe = {
        "version": _VERSION, "source": _fingerprint(path), "conformers": conformers,
        "corrected": corrected, "splitter": splitter, "max_atoms": max_atoms, "bonds": bonds,
        "limit": limit,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    top = cache.private_folder(save_dir or dc.utils.data_utils.get_data_dir())
    folder = top / f"geom-{digest}"
    with hold(folder.with_name(f"{folder.name}.loading"), "loading it", wait=-1):
        if not (reload and _is_whole(folder)):
            shutil.rmtree(folder, ignore_errors=True)
            writer = _Writer(folder, max_atoms, bonds)
            _write(molecules, writer, splits, corrected, bonds, limit)
            writer.finish(path)
            cache.seal(folder, PARTS)
        names = PARTS if splits.parted else ("train",)
        datasets = tuple(dc.data.DiskDataset(str(folder / name)) for name in names)
    for dataset in datasets:
        dataset.memory_cache_size = MEMORY_CACHE_BYTES
    return ["energy"], datasets, []


def _is_whole(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        cache.check(folder, PARTS)
    except cache.DamagedCache:
        return False
    return True


def _fingerprint(path: Path) -> str:
    """What tells files from others: names, sizes and times."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    told = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _write(
    molecules: Iterator[GeomMolecule],
    writer: _Writer,
    splits: _Splits,
    corrected: bool,
    bonds: bool,
    limit: int | None,
) -> None:
    for number, molecule in enumerate(tqdm(molecules, desc="GEOM", unit="mol", disable=None)):
        if number == limit:
            break
        writer.read += 1
        if len(molecule.numbers) > writer.max_atoms:
            writer.left_out[f"it has more than {writer.max_atoms} atoms"] += 1
            continue
        try:
            batch = _batch(molecule, corrected, bonds)
        except MoleculeError as error:
            writer.left_out[str(error)] += 1
            continue
        energies = molecule.energies
        for k in range(len(batch)):
            energy = np.nan if energies is None else float(energies[k] - energies.min())
            name = molecule.smiles or molecule.where
            writer.add(_Row(batch[[k]], name, energy), splits.part_of(molecule, k))


def _batch(molecule: GeomMolecule, corrected: bool, bonds: bool) -> MoleculeBatch:
    """The conformers of a molecule."""
    if not np.isfinite(molecule.positions).all():
        raise MoleculeError("a coordinate is not finite")
    k = len(molecule.positions)
    plain = MoleculeBatch.from_arrays([molecule.numbers] * k, list(molecule.positions))
    if not corrected and (not bonds or (molecule.mol is None and not molecule.smiles)):
        return plain.with_bonds() if bonds else plain
    mol = with_bonds(molecule)
    if corrected:
        check_corrected(mol)
    if not bonds:
        return plain
    return MoleculeBatch.concatenate(
        [MoleculeBatch.from_rdkit([mol], c.GetId()) for c in mol.GetConformers()]
    )


class _Splits:
    """Which part a conformer belongs to."""

    def __init__(self, path: Path, splitter: str | None, conformers: int | None) -> None:
        self.parted, self._by = splitter is not None, splitter
        self._parts: np.ndarray | None = None
        if splitter == "edm":
            beside = path.with_name(_PERMUTATION)
            if path.suffix != ".npy" or not beside.exists():
                raise ValueError(
                    f'{path}: splitter="edm" needs EDM\'s array and its {_PERMUTATION} beside it'
                )
            if conformers is not None and conformers < 30:
                raise ValueError('splitter="edm" counts thirty conformers: leave conformers out')
            order = np.load(beside, allow_pickle=False)
            # Validation comes first in this order, then test, then training.
            n_valid = int(0.1 * len(order))
            self._parts = np.zeros(len(order), np.int8)
            self._parts[order[:n_valid]] = 1
            self._parts[order[n_valid : 2 * n_valid]] = 2

    def part_of(self, molecule: GeomMolecule, k: int) -> str:
        """The part of the k-th conformer of a molecule."""
        if not self.parted:
            return "train"
        if self._parts is not None:
            number = molecule.first + k
            if number >= len(self._parts):
                raise ValueError(f"{_PERMUTATION} has fewer rows than the array has conformers")
            return PARTS[self._parts[number]]
        if self._by == "given" and not molecule.part:
            raise ValueError(
                f'{molecule.where}: splitter="given" needs files or folders called train, val and '
                "test"
            )
        if self._by != "molecule" and molecule.part:
            return molecule.part
        key = molecule.smiles or molecule.where
        share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
        return "train" if share < 0.8 else "valid" if share < 0.9 else "test"


@dataclass
class _Writer:
    """Conformers by part, written whenever there is a shard of them."""

    folder: Path
    max_atoms: int
    bonds: bool
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    _waiting: dict[str, list[_Row]] = field(default_factory=lambda: {name: [] for name in PARTS})
    _sets: dict[str, dc.data.DiskDataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in PARTS:
            self._sets[name] = dc.data.DiskDataset.create_dataset(
                [], str(self.folder / name), ["energy"]
            )

    def add(self, row: _Row, part: str) -> None:
        """Keep a conformer for the next shard of its part."""
        self._waiting[part].append(row)
        if len(self._waiting[part]) == SHARD:
            self._flush(part)

    def finish(self, path: Path) -> None:
        """Write what is left, and say what was left out."""
        for part in PARTS:
            self._flush(part)
        kept = self.read - self.left_out.total()
        reasons = ", ".join(f"{why} ({n:,})" for why, n in self.left_out.most_common(10))
        if not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise ValueError(f"{path}: none of {self.read:,} molecules can be used: {reasons}")
        if self.left_out:
            warn_caller(
                f"{path}: left out {self.left_out.total():,} of {self.read:,} molecules: {reasons}"
            )

    def _flush(self, part: str) -> None:
        rows = self._waiting[part]
        if not rows:
            return
        batch = MoleculeBatch.concatenate([row.batch for row in rows])
        X = batch.to_padded(self.max_atoms, with_bonds=self.bonds)
        y = np.array([[row.energy] for row in rows])
        w = np.isfinite(y).astype(np.float32)
        ids = np.array([row.id for row in rows], dtype=object)
        self._sets[part].add_shard(X, np.nan_to_num(y), w, ids)
        self._waiting[part] = []

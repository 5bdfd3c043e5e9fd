"""``load_drugs3d``: drug-like molecules in 3D as DeepChem datasets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import deepchem as dc
import numpy as np
from deepchem.molnet.load_function.molnet_loader import TransformerGenerator
from rdkit import Chem

from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import molecule_of
from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer
from deepchem_ead.keywords import check_keywords
from deepchem_ead.molnet.cached_loader import CachedLoader
from deepchem_ead.molnet.drugs3d_table import ARRAYS, LEVELS, SAMPLE_VERSION, Drugs3DTable
from deepchem_ead.molnet.featurized import check_bonds, check_fit, features_of
from deepchem_ead.molnet.names import check_tasks, find_splitter, find_transformers
from deepchem_ead.molnet.splits import (
    MEMORY_CACHE_BYTES,
    CompleteSplitter,
    GivenSplitter,
    MurckoSplitter,
)
from deepchem_ead.molnet.transforms import mark_labels

#: Labels and their units.
DRUGS3D_UNITS = {"ani2xt": "Hartree", "mmff94s": "kcal/mol", "gfn2": "Hartree"}


@check_keywords()
def load_drugs3d(
    source: str | os.PathLike = "sample",
    featurizer: dc.feat.Featurizer | None = None,
    splitter: dc.splits.Splitter | str | None = "murcko",
    transformers: Sequence[TransformerGenerator | str] = (),
    tasks: Sequence[str] = ("ani2xt",),
    levels: Sequence[str] = LEVELS,
    reload: bool = True,
    save_dir: str | None = None,
    bonds: bool = False,
) -> tuple[list[str], tuple[dc.data.Dataset, ...], list[dc.trans.Transformer]]:
    """Load drug-like molecules in 3D, with formal charges and stereo.

    X is float32 (N, max_atoms, 5): x, y, z in Angstrom, centred, atomic number and formal charge;
    padding rows are 0. ids are canonical SMILES with the stereo of the geometry. `Drugs3DTable`
    loads the same molecules as plain arrays.

    Parameters
    ----------
    source : path or "sample"
        Folder that ``deepchem-ead data build drugs3d`` (or ``drugs3d-gfn2``) has written, or the
        molecules shipped with this package.
    featurizer : dc.feat.Featurizer, optional
        Default a ``Molecule3DFeaturizer`` with charges that all molecules fit. Other featurizers
        get RDKit molecules with geometry, bonds and stereo.
    splitter : str, dc.splits.Splitter or None
        ``"murcko"``: by the hash of the scaffold, 90/5/5 % of scaffolds. Also DeepChem's names and
        splitter objects; None returns one unsplit dataset.
    transformers : sequence of str or TransformerGenerator
        DeepChem transformers by name (``"normalization"``, ...) or object.
    tasks : sequence of str
        Energies in y, each of the level's own minimum: ``"ani2xt"`` (Hartree; weight and value 0
        for molecules that ANI-2xt does not know), ``"mmff94s"`` (kcal/mol) and, where
        ``drugs3d-gfn2`` was built, ``"gfn2"`` (Hartree).
    levels : sequence of str
        Geometries of these levels of theory only: ``"ani2xt"``, ``"mmff94s"``, ``"gfn2"``.
    reload : bool
        Use and write the caches.
    save_dir : str, optional
        Folder of the featurized and split datasets; default DeepChem's data folder.
    bonds : bool
        X with bonds, (N, max_atoms, 11); see :mod:`deepchem_ead.chem.bond_columns`.

    Returns
    -------
    tasks : list of str
    datasets : tuple of dc.data.DiskDataset
        (train, valid, test), or one dataset without splitter.
    transformers : list of dc.trans.Transformer

    Raises
    ------
    ValueError
        If a task, a level or the splitter is unknown, a molecule does not fit the featurizer, or
        ``bonds=True`` comes with a featurizer without them.
    FileNotFoundError
        If the folder has no such data.
    deepchem_ead.cache.DamagedCache
        If a file of it is not what was written; names it.

    Examples
    --------
    >>> tasks, (train, valid, test), transformers = load_drugs3d(reload=False)
    >>> train.X.shape[2], tasks
    (5, ['ani2xt'])
    """
    tasks = check_tasks(tasks, DRUGS3D_UNITS)
    levels = [levels] if isinstance(levels, str) else list(levels)
    if not levels or set(levels) - set(LEVELS):
        raise ValueError(f"levels={levels}: need at least one of {', '.join(LEVELS)}")
    check_bonds(featurizer, bonds)
    sample = source == "sample"
    table = Drugs3DTable.sample() if sample else Drugs3DTable.load(source)
    if missing := [task for task in tasks if task not in table.arrays]:
        raise ValueError(
            f"tasks={tasks}: {source} has no energies of {', '.join(missing)}; "
            "'deepchem-ead data build drugs3d-gfn2' makes data that have"
        )
    chosen = np.flatnonzero(np.isin(table.level, [LEVELS.index(level) for level in levels]))
    if not len(chosen):
        raise ValueError(f"levels={levels}: no molecule of {source} is of these")
    loader = _Drugs3DLoader(
        _fitting(table, bonds) if featurizer is None else featurizer,
        _complete(find_splitter(splitter, murcko=MurckoSplitter())),
        find_transformers(transformers),
        tasks,
        None,
        save_dir,
        table=table,
        chosen=chosen,
    )
    version = f"sample-v{SAMPLE_VERSION}" if sample else _fingerprint(Path(source))
    name = f"drugs3d-{version}-{'-'.join(sorted(set(levels)))}-{'-'.join(tasks)}"
    loaded = loader.load_dataset(name, reload)
    for dataset in loaded[1]:
        dataset.memory_cache_size = MEMORY_CACHE_BYTES
    mark_labels(loaded[1], loaded[2])
    return loaded


class _Drugs3DLoader(CachedLoader):
    """The arrays of drug-like molecules."""

    def create_dataset(self) -> dc.data.DiskDataset:
        table = self.args["table"].select(self.args["chosen"])
        batch = table.to_batch()
        kept = np.arange(len(table))
        if isinstance(self.featurizer, Molecule3DFeaturizer) and (
            self.featurizer.conformer != "embed"
        ):
            check_fit(
                batch.atomic_numbers,
                batch.offsets,
                lambda i: f"molecule {table.index[i]} ({table.smiles_of(i)})",
                self.featurizer,
            )
            X = batch.to_padded(
                self.featurizer.max_atoms, self.featurizer.formal_charges, self.featurizer.bonds
            )
        else:
            X, kept = features_of(_mols(batch), self.featurizer)
        y = np.stack([table.arrays[task][kept] for task in self.tasks], axis=1)
        w = np.isfinite(y).astype(np.float32)
        if isinstance(self.splitter, GivenSplitter):
            self.splitter.parts = np.asarray(table.part)[kept]
        ids = np.array(table.all_smiles(), dtype=object)[kept]
        # One shard: DeepChem shuffles only within shards.
        shard = (X, np.nan_to_num(y), w, ids)
        return dc.data.DiskDataset.create_dataset([shard], tasks=self.tasks)


def _mols(batch: MoleculeBatch) -> list[Chem.Mol | None]:
    assert batch.graphs is not None
    mols = []
    for i, (start, end) in enumerate(zip(batch.offsets, batch.offsets[1:], strict=False)):
        atoms = slice(start, end)
        graph = batch.graphs.graph(i, atoms)
        mols.append(molecule_of(batch.atomic_numbers[atoms], batch.coordinates[atoms], graph=graph))
    return mols


def _fitting(table: Drugs3DTable, bonds: bool) -> Molecule3DFeaturizer:
    elements = ",".join(symbol_of(int(z)) for z in np.unique(table.numbers))
    return Molecule3DFeaturizer(
        max_atoms=int(table.n_atoms.max()), elements=elements, formal_charges=True, bonds=bonds
    )


def _complete(splitter: dc.splits.Splitter | None) -> dc.splits.Splitter | None:
    if splitter is None or isinstance(splitter, GivenSplitter):
        return splitter
    return CompleteSplitter(splitter)


def _fingerprint(folder: Path) -> str:
    """What tells the data of a folder from other data."""
    return hashlib.sha256((folder / ARRAYS / "sha256.json").read_bytes()).hexdigest()[:16]

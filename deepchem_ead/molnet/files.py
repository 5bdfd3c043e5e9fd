"""``load_file_3d``: a user's own file of structures or SMILES as DeepChem datasets."""

from __future__ import annotations

import os
from collections.abc import Sequence

import deepchem as dc
import numpy as np
from deepchem.molnet.load_function.molnet_loader import TransformerGenerator

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem import ragged
from deepchem_ead.chem.bond_columns import without_columns
from deepchem_ead.chem.elements import Vocabulary, symbol_of
from deepchem_ead.chem.files import scan_records
from deepchem_ead.chem.formal_charges import KEPT, add_formal_charges, warn_of_charges
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.overlap import find_overlaps
from deepchem_ead.chem.records import BadRecord, Record, describe
from deepchem_ead.errors import SKIP_HINT, MoleculeError
from deepchem_ead.feat.embedding import TIME_LIMIT
from deepchem_ead.keywords import check_keywords
from deepchem_ead.molnet.labels import check_labels, labels_from_csv, labels_from_tags
from deepchem_ead.molnet.names import find_splitter, find_transformers
from deepchem_ead.molnet.smiles_files import embed_smiles_file, holds_smiles, read_smiles_rows
from deepchem_ead.molnet.splits import MEMORY_CACHE_BYTES, CompleteSplitter, one_shard
from deepchem_ead.molnet.table import MoleculeTable
from deepchem_ead.molnet.transforms import fit_transformer, mark_labels

#: Part of a warning.
NAMES_AS_IDS = "have no valid bonds and get their name as id instead of a SMILES"


@check_keywords()
def load_file_3d(
    path: str | os.PathLike,
    tasks: Sequence[str] | None = None,
    labels: str | os.PathLike | None = None,
    id_column: str | None = None,
    splitter: dc.splits.Splitter | str | None = "random",
    max_atoms: int | None = None,
    elements: str | None = None,
    transformers: Sequence[TransformerGenerator | str] = (),
    on_error: str = "skip",
    allow_missing: bool = False,
    seed: int | None = 0,
    smiles_column: str | None = None,
    conformer_seed: int = 0,
    time_limit: float | None = TIME_LIMIT,
    bonds: bool = False,
) -> tuple[list[str], tuple[dc.data.Dataset, ...], list[dc.trans.Transformer]]:
    """Load molecules, and optionally labels, from a file of structures or SMILES.

    SMILES have no coordinates: each gets a seeded conformer (RDKit's ETKDGv3), and what gets none
    counts as a record that cannot be read. Columns of a table are what tags are in an SDF file.

    X is float32 (N, max_atoms, 4): x, y, z in Angstrom, centred, and atomic number; padding rows
    are 0. A fifth column holds formal charges if any molecule has a total charge, and a warning
    says so, because models without bonds know no charges. ids are canonical SMILES without explicit
    hydrogens: bonds, charges and stereo are the file's own, or follow from the coordinates
    where it has none. A molecule without a valid structure keeps its name in the file, or its
    record number. Labels keep their unit.

    Parameters
    ----------
    path : path
        SDF, MOL, XYZ or extended XYZ file with all hydrogens, or SMILES in a ``.smi``, ``.smiles``,
        ``.csv`` or ``.tsv`` file; gzipped or not.
    tasks : sequence of str, optional
        Labels to take from SDF tags, extended-XYZ keys, or the columns of `labels`. None: no
        labels; y is then a column of zeros with weight 1.
    labels : path, optional
        CSV file with the labels.
    id_column : str, optional
        Column of `labels` with the molecules' names (SDF title line, extended-XYZ key ``id``).
        None: the rows of `labels` follow the records of `path`, one for each, readable or not.
    splitter : str, dc.splits.Splitter or None
        DeepChem splitter by name or object (80/10/10); None returns one unsplit dataset.
    max_atoms : int, optional
        Rows of X; default the largest molecule.
    elements : str, optional
        Accepted elements, comma-separated; default all that occur.
    transformers : sequence of str or TransformerGenerator
        DeepChem transformers by name or object, fitted to the labels that the training molecules
        have.
    on_error : {"skip", "raise"}
        What to do with records that cannot be read or have atoms on top of each other (closer than
        half the sum of their covalent radii). "skip" leaves them out, together with their
        labels, and lists them in one warning.
    allow_missing : bool
        Give missing labels the weight 0 instead of refusing them.
    seed : int, optional
        Seed of the splitter.
    smiles_column : str, optional
        Column of a table with the SMILES; by default the one called "smiles", in any case.
    conformer_seed : int
        Seed of the conformers of SMILES, the same for each.
    time_limit : float, optional
        Seconds that the search for one conformer may take; None: no limit.
    bonds : bool
        X with formal charges and bonds, (N, max_atoms, 11); see
        :mod:`deepchem_ead.chem.bond_columns`. They are the file's own, or follow from the
        coordinates where it has none; those of a molecule without a valid structure are not known.
        A record with a dative or another rare bond, or more than six bonds at an atom, is left out
        like one that cannot be read.

    Returns
    -------
    tasks : list of str
    datasets : tuple of dc.data.DiskDataset
        (train, valid, test), or one dataset without splitter.
    transformers : list of dc.trans.Transformer

    Raises
    ------
    MoleculeError
        If a record cannot be read or has overlapping atoms, and ``on_error="raise"``.
    ValueError
        If no molecule is left, a molecule has more than `max_atoms` atoms, another element, no
        atoms or non-finite coordinates, labels are missing, infinite, huge or constant, or the
        splitter puts a molecule in no part or in two.

    Examples
    --------
    >>> tasks, (train, valid, test), _ = load_file_3d(
    ...     "molecules.sdf", tasks=["gap"])                          # doctest: +SKIP
    """
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error={on_error!r}: use 'skip' or 'raise'")
    splitter = find_splitter(splitter)
    generators = find_transformers(transformers)
    tasks = [tasks] if isinstance(tasks, str) else list(tasks or ())
    if len(set(tasks)) < len(tasks):
        raise ValueError(f"tasks={tasks}: a task is named twice")
    if labels is not None and not tasks:
        raise ValueError("labels is given without tasks: name the columns to take")

    if holds_smiles(path):
        found = embed_smiles_file(path, smiles_column, conformer_seed, time_limit)
    else:
        found = scan_records(path, on_error)
    records, numbers, n_records = _usable(path, on_error, bonds, *found)
    names = [
        f"record {n} ({r.name})" if r.name else f"record {n}"
        for n, r in zip(numbers, records, strict=True)
    ]
    batch = MoleculeBatch.from_records(records)
    table = _table(records, numbers, names, max_atoms, elements, batch)
    X = table.to_padded(max_atoms)
    if bonds:
        X = np.concatenate([X, batch.to_padded(X.shape[1], with_bonds=True)[:, :, 4:]], axis=2)
    elif batch.charges.any():
        X = add_formal_charges(X, batch)
        warn_of_charges(batch.charges, names, KEPT)
    if not tasks:
        y, w = np.zeros((len(records), 1)), np.ones((len(records), 1), dtype=np.float32)
    else:
        if labels is None:
            y = labels_from_tags([record.tags for record in records], tasks, names)
        else:
            y = labels_from_csv(
                labels, tasks, id_column, [record.name for record in records], numbers, n_records
            )
        y, w = check_labels(y, tasks, names, allow_missing)
    dataset = dc.data.NumpyDataset(X, y, w, table.smiles.astype(object), n_tasks=max(len(tasks), 1))
    parts = _split(dataset, splitter, seed)
    datasets = [one_shard(dataset, rows, tasks) for rows in parts]
    fitted = [fit_transformer(generator, datasets[0]) for generator in generators]
    for transformer in fitted:
        datasets = [transformer.transform(part) if len(part) else part for part in datasets]
    for part in datasets:
        part.memory_cache_size = MEMORY_CACHE_BYTES
    mark_labels(datasets, fitted)
    return tasks, tuple(datasets), fitted


def known_properties(path: str | os.PathLike, smiles_column: str | None = None) -> set[str]:
    """Names of what a user's file says about its molecules: tags, keys or columns."""
    if holds_smiles(path):
        tags = [row.tags for row in read_smiles_rows(path, smiles_column)]
    else:
        tags = [record.tags for record in scan_records(path, "skip")[0]]
    return set().union(*tags)


def _usable(
    path: str | os.PathLike,
    on_error: str,
    bonds: bool,
    good: list[Record],
    numbers: list[int],
    bad: list[BadRecord],
) -> tuple[list[Record], list[int], int]:
    """Usable records, their numbers from 1, and the number of all records."""
    unfit = overlapping_records(good)
    if bonds and good:
        unfit = {**without_columns(MoleculeBatch.from_records(good)), **unfit}
    bad = sorted([*bad, *(BadRecord(numbers[i], reason) for i, reason in unfit.items())])
    if bad and on_error == "raise":
        raise MoleculeError(f"{path}, record {bad[0].number}: {bad[0].reason} {SKIP_HINT}")
    good, numbers = (
        [value for i, value in enumerate(values) if i not in unfit] for values in (good, numbers)
    )
    total = len(good) + len(bad)
    if not good:
        reasons = f"; {describe(bad)}" if bad else ""
        raise ValueError(f"{path}: none of {total} records is a usable molecule{reasons}")
    if bad:
        warn_caller(f"{path}: left out {len(bad)} of {total} records: {describe(bad)}")
    return good, numbers, total


def overlapping_records(records: Sequence[Record]) -> dict[int, str]:
    """Reasons, by index, why records with atoms on top of each other cannot be used."""
    if not records:
        return {}
    offsets = np.cumsum([0] + [len(record.numbers) for record in records])
    numbers, positions = (
        np.concatenate(values)
        for values in zip(*((r.numbers, r.positions) for r in records), strict=True)
    )
    return {o.molecule: o.reason for o in find_overlaps(numbers, positions, offsets)}


def _table(
    records: list[Record],
    numbers: list[int],
    names: list[str],
    max_atoms: int | None,
    elements: str | None,
    batch: MoleculeBatch,
) -> MoleculeTable:
    vocabulary = None if elements is None else Vocabulary.parse(elements)
    for record, name in zip(records, names, strict=True):
        n = len(record.numbers)
        if not n:
            raise ValueError(f"{name} has no atoms; remove it from the file")
        if max_atoms is not None and n > max_atoms:
            raise ValueError(
                f"{name} has {n} atoms, more than max_atoms={max_atoms}; raise max_atoms or remove "
                "the molecule"
            )
        if vocabulary is not None and not vocabulary.contains(record.numbers).all():
            unknown = np.unique(record.numbers[~vocabulary.contains(record.numbers)])
            raise ValueError(
                f"{name} contains {', '.join(symbol_of(int(z)) for z in unknown)}, which is not in "
                f"elements={elements!r}; extend elements or remove the molecule"
            )
        if not np.isfinite(record.positions).all():
            raise ValueError(f"{name} has NaN or infinite coordinates; correct or remove it")
    known = zip(batch.smiles, records, names, strict=True)
    smiles = [found or record.name or name for found, record, name in known]
    without_bonds = [name for name, found in zip(names, batch.smiles, strict=True) if found is None]
    if without_bonds:
        more = f" and {len(without_bonds) - 10} more" if len(without_bonds) > 10 else ""
        warn_caller(
            f"{len(without_bonds)} of {len(records)} molecules {NAMES_AS_IDS}: "
            f"{', '.join(without_bonds[:10])}{more}. DeepChem's splitters that read SMILES "
            "lose such rows; splitter= of load_file_3d loses none"
        )
    return MoleculeTable(
        atomic_numbers=np.concatenate([record.numbers for record in records]).astype(np.int8),
        coordinates=np.concatenate([ragged.near_origin(record.positions) for record in records]),
        n_atoms=np.array([len(record.numbers) for record in records], dtype=np.int16),
        index=np.array(numbers, dtype=np.int32),
        smiles=np.array(smiles),
        properties={},
    )


def _split(
    dataset: dc.data.Dataset, splitter: dc.splits.Splitter | None, seed: int | None
) -> list[np.ndarray]:
    """Rows of each part."""
    if splitter is None:
        return [np.arange(len(dataset))]
    parts = CompleteSplitter(splitter).split(dataset, seed=seed)
    if not len(parts[0]):
        raise ValueError(
            f"{type(splitter).__name__} leaves no training molecule of {len(dataset)}; "
            "use more molecules or splitter=None"
        )
    return parts

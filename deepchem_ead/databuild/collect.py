"""Shards become one table: duplicates out, split by scaffold, what failed counted by reason."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from deepchem_ead import cache
from deepchem_ead.chem.atomic import errors_name
from deepchem_ead.databuild.build import Workshop
from deepchem_ead.databuild.shards import Arrays, read_shard, write_arrays
from deepchem_ead.molnet.drugs3d_table import ARRAYS, FORMS, LEVELS, SOURCES, Drugs3DTable

#: Of twenty scaffolds one is for validation and one for testing.
_OF = 20
_ABOUT, _FAILED = "about.json", "failed.csv"


def collect(workshop: Workshop, n: int) -> dict[str, Any]:
    """Write the arrays of the first ``n`` candidates, whose shards are all there.

    Returns
    -------
    dict
        What there is: numbers of molecules by part, level, form and source, and of those that are
        missing by reason; also written to ``about.json``.

    Raises
    ------
    deepchem_ead.cache.DamagedCache
        If a shard is damaged; names it.
    """
    shards = [read_shard(workshop.shard(k)) for k in range(n // workshop.shard_size)]
    failed = [
        (int(number), reason.decode())
        for shard in shards
        for number, reason in zip(shard.pop("failed"), shard.pop("reasons"), strict=True)
    ]
    table = Drugs3DTable(
        {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    )
    del shards
    seen: set[str] = set()
    first = []
    for row, smiles in enumerate(table.all_smiles()):
        if smiles not in seen:
            seen.add(smiles)
            first.append(row)
    duplicates = len(table) - len(first)
    table = table.select(np.array(first))
    arrays = table.arrays | {"part": parts_of(table.scaffold)}
    about = _describe(arrays, n, duplicates, failed)
    about["not_tried"] = workshop.left_out()
    _write(workshop.folder / ARRAYS, arrays, about, failed)
    return about


def parts_of(scaffolds: np.ndarray) -> np.ndarray:
    """0 training, 1 validation, 2 test for hashes of scaffolds (N,); uint8."""
    turn = np.asarray(scaffolds) % _OF
    return np.where(turn == 0, 1, np.where(turn == 1, 2, 0)).astype(np.uint8)


def _describe(
    arrays: Arrays, n: int, duplicates: int, failed: list[tuple[int, str]]
) -> dict[str, Any]:
    def counted(name: str, names: tuple[str, ...]) -> dict[str, int]:
        numbers = np.bincount(arrays[name], minlength=len(names)).tolist()
        return dict(zip(names, numbers, strict=True))

    reasons = Counter(reason for _, reason in failed)
    return {
        "tried": n,
        "molecules": len(arrays["n_atoms"]),
        "duplicates": duplicates,
        "failed": dict(reasons.most_common()),
        "parts": counted("part", ("train", "valid", "test")),
        "levels": counted("level", LEVELS),
        "forms": counted("form", FORMS),
        "sources": counted("source", SOURCES),
    }


def _write(
    folder: Path, arrays: Arrays, about: dict[str, Any], failed: list[tuple[int, str]]
) -> None:
    """Put a folder in the place of an older one when all of it is written."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        for name, values in arrays.items():
            with errors_name(folder):
                np.save(new / f"{name}.npy", values, allow_pickle=False)
        (new / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        with open(new / _FAILED, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("index", "reason"), *failed])
        cache.seal(new)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_sample(folder: Path, path: Path) -> None:
    """Write the arrays of a folder as one small file."""
    write_arrays(path, Drugs3DTable.load(folder).arrays)

"""DeepChem's MoleculeNet loader, with caches that are used only where they are undamaged."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deepchem.molnet.load_function.molnet_loader import _MolnetLoader

from deepchem_ead import cache
from deepchem_ead.chem.atomic import errors_name
from deepchem_ead.locks import hold

logger = logging.getLogger(__name__)


class CachedLoader(_MolnetLoader):
    """DeepChem's loader, with caching, splitting and transforming; a data set adds its arrays."""

    save_dir: str

    def load_dataset(self, name: str, reload: bool):
        # DeepChem writes datasets there, and moves them.
        with errors_name(tempfile.gettempdir()):
            return self._load_cached(name) if reload else super().load_dataset(name, reload)

    def _load_cached(self, name: str):
        # The datasets hold pickles: they are read only if they are what was written here.
        folder = cache.private_folder(self.save_dir)
        top = folder / f"{name}-featurized"
        private = cache.private_folder(top)
        if private != top:
            folder, top = private, private / top.name
            top.mkdir(exist_ok=True)
        self.save_dir = str(folder)  # to which DeepChem adds the rest again
        folder = top / str(self.featurizer) / str(self.splitter)
        if self.transformers:
            folder /= "_".join(t.get_directory_name() for t in self.transformers)
        parts = () if self.splitter is None else ("train_dir", "valid_dir", "test_dir")
        with hold(top.with_name(f"{top.name}.loading"), "loading it", wait=-1):
            _drop_damaged(folder, parts)
            known = cache.sealed(folder)
            try:
                loaded = super().load_dataset(name, reload=True)
            except shutil.Error as error:
                raise _first_of(error, folder) from error
            if not known:
                cache.seal(folder, parts)
            return loaded


def _drop_damaged(folder: Path, parts: Sequence[str]) -> None:
    """Remove datasets that are not what was written, so that they are built anew."""
    if not folder.exists():
        return
    try:
        cache.check(folder, parts)
    except cache.DamagedCache as error:
        # Others than those of this folder may be below it, with transformers of their own.
        if cache.sealed(folder) or any((folder / name).exists() for name in ("tasks.json", *parts)):
            logger.warning("%s; building the dataset again", error)
        shutil.rmtree(folder)


def _first_of(error: shutil.Error, folder: Path) -> OSError:
    """The error of the system behind a list of files that could not be copied."""
    found = re.search(r"\[Errno (\d+)\]", str(error))
    if found is None:
        return error
    number = int(found[1])
    return OSError(number, os.strerror(number), str(folder))

"""A temporary folder that belongs to one object of one process."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref


def temporary_folder_of(owner: object) -> str:
    """A new folder that is removed with its owner, or when the process ends.

    A forked process leaves it alone: its copy of the owner is not the owner.
    """
    folder = tempfile.mkdtemp(prefix="deepchem-ead-")
    weakref.finalize(owner, _remove, folder, os.getpid())
    return folder


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)

"""Places that a command writes to: made if need be, refused with a remedy."""

from __future__ import annotations

from pathlib import Path


def new_file(path: Path, remedy: str = "") -> None:
    """Refuse to overwrite a file, before anything is computed, and make the folder for it.

    Raises
    ------
    ValueError
        If there is such a file, or ``path`` is a folder.
    OSError
        If the folder cannot be made.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file in it, such as {path / 'molecules.sdf'}")
    if path.exists() and path.stat().st_size:
        raise ValueError(f"{path} exists; remove it, or choose another name{remedy}")
    folder_of(path)


def folder_of(path: Path) -> None:
    """Make the folder that a file is to be written to."""
    for parent in reversed(path.parents):
        if parent.exists() and not parent.is_dir():
            raise ValueError(f"{path} cannot be written: {parent} is a file, not a folder")
    path.parent.mkdir(parents=True, exist_ok=True)

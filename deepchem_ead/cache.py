"""What is computed once and kept: in folders that nobody else writes to, with checksums.

A cached file ends with the sha256 of all that precedes it (after a mark); formats that are read
from their start, such as shared libraries, do not mind. A cached folder has its files' in
``sha256.json``. What does not match is made again.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.locks import hold

logger = logging.getLogger(__name__)

_MARK = b"\0sha256\0"
_LENGTH = len(_MARK) + hashlib.sha256().digest_size
_SUMS = "sha256.json"


class DamagedCache(ValueError):
    """A cached file or folder is not what was written; the message says what is wrong."""


# -------------------------------------------------------------------------------- private folders


def private_folder(path: str | os.PathLike) -> Path:
    """A folder for cached files that only this user can write to.

    ``path`` itself, made if need be, if it is that. In one that is shared the ordinary way (such as
    the system's temporary folder) a folder of the user's own; and if others can put something in
    its place, a temporary one that lasts as long as the process, with a warning.

    Raises
    ------
    OSError
        If the folder cannot be made, or is a file.
    """
    path = Path(path)
    _make(path)
    if not hasattr(os, "getuid"):  # Windows: a user's folders are private by inheritance
        return path
    status, user = path.stat(), os.getuid()
    ours = status.st_uid == user and path.lstat().st_uid in (0, user)
    sticky = status.st_uid in (0, user) and status.st_mode & stat.S_ISVTX
    if ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return path
    if sticky or (ours and not status.st_mode & stat.S_IWOTH):
        own = path / f"deepchem_ead-{user}"
        _make(own)
        inner = own.lstat()
        if stat.S_ISDIR(inner.st_mode) and inner.st_uid == user and not inner.st_mode & 0o022:
            return own
        path = own
    return _temporary_folder(path, os.getpid())


def cache_folder() -> Path:
    """Where what is computed or downloaded once is kept for all calls; it need not exist."""
    root = os.environ.get("DEEPCHEM_DATA_DIR") or tempfile.gettempdir()
    # Not named like the package: a script beside the folder would import the folder instead.
    folder = Path(root) / "deepchem_ead-cache"
    with suppress(OSError):  # which whoever writes there reports
        folder = private_folder(folder)
    return folder


def _make(folder: Path) -> None:
    """Make a folder and those above it, for nobody else."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not a folder for cached files")


@lru_cache
def _temporary_folder(instead_of: Path, process: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="deepchem_ead-"))
    atexit.register(_remove, folder, process)
    logger.warning(
        "other users can write to %s: what is cached there is not used, but made again in a "
        "temporary folder (remove it, or choose a folder of your own)",
        instead_of,
    )
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------------------------------------ files


def read(path: Path) -> bytes:
    """Contents of a file that `built` has made.

    Raises
    ------
    FileNotFoundError
        If there is none.
    DamagedCache
        If they are not what was written, or not written by this user.
    """
    with open(path, "rb") as file:
        if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
            raise DamagedCache(f"{path} belongs to another user")
        data = file.read()
    contents, end = data[:-_LENGTH], data[-_LENGTH:]
    if end != _MARK + hashlib.sha256(contents).digest():
        raise DamagedCache(f"{path} is damaged: its contents do not match their checksum")
    return contents


def built(path: Path, make: Callable[[Path], None]) -> bytes:
    """Contents of a cached file, which is made if it is missing or damaged.

    Processes that need the same file at the same time make it once.

    Parameters
    ----------
    path : Path
        In a `private_folder`.
    make : callable
        Writes the contents to the path that it is given.
    """
    try:
        return read(path)
    except (FileNotFoundError, DamagedCache):
        pass
    with hold(path, "making it", wait=-1):
        try:
            return read(path)  # made by another process meanwhile
        except FileNotFoundError:
            pass
        except DamagedCache as error:
            logger.warning("%s; making it again", error)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a process that was killed
            left.unlink(missing_ok=True)
        with atomic_path(path) as temporary:
            make(temporary)
            with open(temporary, "ab") as file:
                file.write(_MARK + _digest(temporary))
        return read(path)


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


# ---------------------------------------------------------------------------------------- folders


def seal(folder: Path, parts: Sequence[str] = ()) -> None:
    """Note the checksums of the files in a folder, and of all those below some of its folders."""
    sums = {name: _digest(folder / name).hex() for name in _files(folder, parts)}
    with atomic_path(folder / _SUMS) as temporary:
        temporary.write_text(json.dumps(sums, indent=0))


def sealed(folder: Path) -> bool:
    """Whether `seal` has noted the checksums of a folder."""
    return (folder / _SUMS).exists()


def check(folder: Path, parts: Sequence[str] = ()) -> None:
    """Refuse a folder whose files are not those that `seal` has seen.

    Raises
    ------
    DamagedCache
        Naming a file that is missing, new or changed.
    """
    try:
        sums = json.loads((folder / _SUMS).read_text())
        found = _files(folder, parts)
        other = sorted(found ^ set(sums))
        changed = other or [n for n in sorted(found) if _digest(folder / n).hex() != sums[n]]
    except (OSError, ValueError, TypeError) as error:
        raise DamagedCache(f"the checksums of {folder} cannot be read ({error})") from error
    if changed:
        raise DamagedCache(f"{folder / changed[0]} is damaged: it does not match its checksum")


def _files(folder: Path, parts: Sequence[str]) -> set[str]:
    candidates = [*folder.iterdir(), *(p for part in parts for p in (folder / part).rglob("*"))]
    found = {p.relative_to(folder).as_posix() for p in candidates if not p.is_dir()}
    return found - {_SUMS}

"""Files and folders that only one process may write at a time."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepchem_ead.errors import InUseError


@contextmanager
def hold(path: str | os.PathLike, what: str, wait: float = 0.0) -> Iterator[None]:
    """Keep every other process from holding the same file or folder during the block.

    The operating system frees the lock when its process ends, however it ends, so that a killed
    process blocks nobody. The lock file (``.NAME.lock`` beside a file, ``.lock`` in a folder) is
    gone after the block; one that a killed process has left behind is taken over.

    Parameters
    ----------
    path : path
        File, which need not exist, or existing folder.
    what : str
        What is done with it, to continue "another process is ...", e.g. "writing molecules".
    wait : float
        Seconds to wait for another process; negative: as long as it takes.

    Raises
    ------
    InUseError
        If another process, or another thread of this one, still holds it then.
    OSError
        If the lock file cannot be written.

    Notes
    -----
    A thread that holds a path may hold it again.
    """
    # Only those who write need the library, which takes a tenth of a second to import.
    from filelock import FileLock, Timeout, UnixFileLock

    target = lock_file(path)
    if not target.parent.is_dir():  # the library would make it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    lock = FileLock(target, is_singleton=True)
    if lock.is_locked:
        yield
        return
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        holder = ""
        with suppress(OSError):  # Windows does not let others read what is locked
            holder = f" ({target.read_text()})"
        raise InUseError(
            f"{path} is in use: another process{holder} is {what}. Wait until it has ended, or "
            "choose another name"
        ) from None
    except OSError as error:  # of the user's path rather than of one they have never seen
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        with suppress(OSError):
            target.write_text(f"{os.getpid()} on {platform.node()}")
        yield
    finally:
        # While it is held: who waits for it notices that the file has gone, and makes a new one.
        if isinstance(lock, UnixFileLock):
            with suppress(OSError):
                target.unlink()
        lock.release()


def lock_file(path: str | os.PathLike) -> Path:
    """The file that is locked for a path; the same for all names that lead there."""
    path = Path(path).resolve()
    return path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")

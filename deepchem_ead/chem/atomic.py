"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends without an error.

    If the block fails, the temporary file is removed and an old file at ``path`` stays as it was.
    Errors of the system name ``path``.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with errors_name(path, temporary):
            yield temporary
            with open(temporary, "r+b") as stream:  # Windows syncs only what can be written to
                os.fsync(stream.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def errors_name(
    path: str | os.PathLike, temporary: str | os.PathLike | None = None
) -> Iterator[None]:
    """Let errors of the system name ``path`` where they name no file, or the temporary one.

    Those of a write, as on a full disk, name none; numpy's says only how much it has written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and re.search(r"requested and \d+ written", str(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if error.errno is not None and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

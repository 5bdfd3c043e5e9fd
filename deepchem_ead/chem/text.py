"""Lines of molecule files, gzipped or not: streamed, decoded without loss, bounded in size."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from deepchem_ead.chem.limits import limit, record_limit
from deepchem_ead.errors import MoleculeError

#: Stands for a line that is longer than a record may be.
OVERLONG = "(a line that is too long)"

_CHUNK = 1 << 18
# A gzip file that unpacks to less than this is no danger, whatever its ratio.
_HARMLESS = 8 << 20
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextLines:
    """Lines of an open file, read once; made by :func:`open_lines`.

    Attributes
    ----------
    foreign : int or None
        Number (from 1) of the first line that was not UTF-8, so far.
    """

    def __init__(self, path: str | os.PathLike, packed: BinaryIO, exact: bool) -> None:
        self._path = path
        self._packed = packed
        self._zipped = os.fspath(path).lower().endswith(".gz")
        self._stream = gzip.GzipFile(fileobj=packed) if self._zipped else packed
        self._exact = exact
        self._unpacked = 0
        self.foreign: int | None = None

    def __iter__(self) -> Iterator[str]:
        """Lines: decoded and without line ends, or with them and undecodable bytes if exact."""
        data = self._read()
        decoder = io.IncrementalNewlineDecoder(self._decoder(data), translate=not self._exact)
        number, longest = 0, record_limit()
        parts: list[str] = []  # of a line that is not complete
        length, skipping = 0, False
        while data:
            text = decoder.decode(data)
            data = self._read()
            if not data:
                text += decoder.decode(b"", final=True)
            if "\n" not in text and data:
                parts.append(text)
                length += len(text)
                if length > longest and not self._exact:
                    parts, length, skipping = [], 0, True
                continue
            lines = "".join([*parts, text]).split("\n")
            if skipping:
                lines[0], skipping = OVERLONG, False
            rest = lines.pop()
            parts, length = [rest], len(rest)
            if self._exact:
                yield from (line + "\n" for line in lines)
                continue
            if self.foreign is not None or not _is_text(text):
                lines = self._decoded(lines, number)
            number += len(lines)
            yield from lines
        rest = "".join(parts)
        if rest or skipping:
            yield (
                OVERLONG if skipping else rest if self._exact else self._decoded([rest], number)[0]
            )

    def _decoder(self, data: bytes) -> codecs.IncrementalDecoder:
        encoding = "utf-8" if self._exact else "utf-8-sig"
        encoding = next((e for mark, e in _BYTE_ORDER_MARKS if data.startswith(mark)), encoding)
        if encoding.startswith("utf-8") and b"\0" in data[:4096]:
            what = known_binary(data) or "not text, or UTF-16 without its mark; save it as UTF-8"
            raise MoleculeError(f"{self._path} is {what}")
        errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
        return codecs.getincrementaldecoder(encoding)(errors)

    def _read(self) -> bytes:
        try:
            data = self._stream.read(_CHUNK)
        except (zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise MoleculeError(
                f"{self._path}: damaged gzip file ({error}); copy or download it again"
            ) from None
        self._unpacked += len(data)
        if self._zipped and self._unpacked > _HARMLESS:
            ratio = limit("DEEPCHEM_EAD_MAX_GZIP_RATIO")
            if self._unpacked > ratio * self._packed.tell():
                raise MoleculeError(
                    f"{self._path} unpacks to more than {ratio:g} times its size, which no "
                    "molecule file does; if it is one, set the environment variable "
                    "DEEPCHEM_EAD_MAX_GZIP_RATIO to more"
                )
        return data

    def read_bytes(self) -> bytes:
        """All that is left, unpacked within the limit."""
        return b"".join(iter(self._read, b""))

    def _decoded(self, lines: list[str], number: int) -> list[str]:
        """Lines with every one that is not UTF-8 read as Windows-1252, which includes Latin-1."""
        found = []
        for i, line in enumerate(lines):
            if not _is_text(line):
                self.foreign = self.foreign or number + i + 1
                raw = line.encode("utf-8", "surrogateescape")
                try:
                    line = raw.decode("cp1252")
                except UnicodeDecodeError:
                    line = raw.decode("latin-1")
            found.append(line)
        return found


def known_binary(data: bytes) -> str | None:
    """What a file that begins so is, if it is no text, and the remedy; None if that is unknown."""
    if data.startswith(b"\x1f\x8b"):
        return "gzipped, once more than its name says; let the name end with .gz, or unpack it"
    if data.startswith(b"PK\x03\x04"):
        return "a ZIP archive or an Excel table; unpack it, or save the table as CSV"
    return None


def _is_text(text: str) -> bool:
    """Whether the bytes could be decoded: what could not be has become lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def open_lines(path: str | os.PathLike, exact: bool = False) -> Iterator[TextLines]:
    """Open a text file, gzipped if its name ends with ``.gz``.

    UTF-8, and UTF-16 or UTF-32 with a byte-order mark, are decoded; other lines are read as
    Windows-1252. Line ends may be those of any system.

    Parameters
    ----------
    path : path
    exact : bool
        Keep line ends, a byte-order mark and undecodable bytes (as surrogate escapes), so that
        the lines can be written back byte for byte.

    Raises
    ------
    MoleculeError
        While reading: if the file is damaged, not text, or unpacks to absurd sizes.
    """
    with open(path, "rb") as packed:
        yield TextLines(path, packed, exact)

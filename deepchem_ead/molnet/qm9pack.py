"""QM9 from the PyPI package ``qm9pack``: three CSV files, parsed once and cached as flat arrays.

The CSV files hold the 130,831 molecules that remain of QM9 after its 3,054 uncharacterised ones
are removed. Python's own JSON and float parsers fail on them because the numbers are written by
Mathematica (``2.1*^-6``, ``1.``, ``.5``).
"""

from __future__ import annotations

import csv
import io
import re
from importlib import metadata
from pathlib import Path

import numpy as np

from deepchem_ead import cache
from deepchem_ead.molnet.table import MoleculeTable

N_MOLECULES = 130_831
INSTALL_HINT = "pip install qm9pack==1.0.3"
CACHE_FORMAT = 1

_ATOMIC_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_PROPERTY_COLUMNS = {
    "mu": "Dipole_debye",
    "alpha": "Polarizability_bohr3",
    "homo": "HOMO_au",
    "lumo": "LUMO_au",
    "gap": "HOMO_LUMO_gap_au",
    "r2": "R2_bohr2",
    "zpve": "ZPVE_au",
    "u0": "InternalEnergy_0K_au",
    "u298": "InternalEnergy_298K_au",
    "h298": "Enthalphy_298K_au",
    "g298": "GibbsFreeEnergy_298K_au",
    "Cv": "Heatcapacity_Cv_cal_mol_K",
}


def qm9pack_version() -> str | None:
    """Version of the installed ``qm9pack``, or None where it is not installed."""
    try:
        return metadata.version("qm9pack")
    except metadata.PackageNotFoundError:
        return None


def qm9pack_files() -> list[Path]:
    """Paths of qm9pack's three CSV files, found without importing the package.

    Importing it needs ``pkg_resources``, which recent setuptools no longer have.

    Raises
    ------
    FileNotFoundError
        If qm9pack is not installed or its CSV files are missing.
    """
    try:
        distribution = metadata.distribution("qm9pack")
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(f"QM9 needs the package qm9pack: {INSTALL_HINT}") from None
    files = [Path(distribution.locate_file(f"qm9pack/data/qm9_part{i}.csv")) for i in (1, 2, 3)]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"qm9pack is installed but {file} is missing; reinstall it: {INSTALL_HINT}"
            )
    return files


def parse_qm9pack(files: list[Path] | None = None, progress: bool = True) -> MoleculeTable:
    """Parse qm9pack's CSV files (15-35 s) into flat arrays, sorted by gdb9 index.

    Parameters
    ----------
    files : list of Path, optional
        CSV files; default those of the installed package.
    progress : bool
        Show a progress bar.

    Returns
    -------
    MoleculeTable
        Coordinates in Angstrom, properties in QM9's native units, canonical SMILES.

    Raises
    ------
    FileNotFoundError
        If qm9pack is not installed.
    ValueError
        If a record is malformed; the message names the gdb9 index.

    References
    ----------
    .. [1] Ramakrishnan et al., "Quantum chemistry structures and properties of 134 kilo
       molecules", Scientific Data 1, 140022 (2014), doi:10.1038/sdata.2014.22.
    """
    from tqdm import tqdm

    files = qm9pack_files() if files is None else files
    index, smiles, numbers, coordinates, properties = [], [], [], [], []
    total = N_MOLECULES if len(files) == 3 else None
    with tqdm(total=total, desc="parsing QM9", unit="mol", disable=not progress) as bar:
        for file in files:
            with open(file, newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    atoms, xyz = _parse_geometry(row)
                    index.append(int(row["Index"]))
                    smiles.append(_canonical(row["SMILES"]))
                    numbers.append(atoms)
                    coordinates.append(xyz)
                    properties.append([_number(row[c]) for c in _PROPERTY_COLUMNS.values()])
                    if len(index) % 500 == 0:
                        bar.update(500)
        bar.update(len(index) % 500)

    order = np.argsort(index)
    values = np.asarray(properties, dtype=np.float64)[order]
    return MoleculeTable(
        atomic_numbers=np.concatenate([numbers[i] for i in order]),
        coordinates=np.concatenate([coordinates[i] for i in order]),
        n_atoms=np.asarray([len(numbers[i]) for i in order], dtype=np.int16),
        index=np.asarray(index, dtype=np.int32)[order],
        smiles=np.asarray(smiles)[order],
        properties={name: values[:, k].copy() for k, name in enumerate(_PROPERTY_COLUMNS)},
    )


def load_qm9pack(
    data_dir: str | Path | None = None, reload: bool = True, progress: bool = True
) -> MoleculeTable:
    """QM9 as flat arrays: parsed on the first call, read from the cache afterwards.

    Parameters
    ----------
    data_dir : str or Path, optional
        Folder of the cache file; default DeepChem's data folder (``DEEPCHEM_DATA_DIR``).
    reload : bool
        Read and write the cache. A damaged cache file is reported and made anew.
    progress : bool
        Show a progress bar while parsing.

    Returns
    -------
    MoleculeTable
        All 130,831 molecules, sorted by gdb9 index.

    Raises
    ------
    FileNotFoundError
        If qm9pack is not installed.

    Examples
    --------
    >>> table = load_qm9pack()                                   # doctest: +SKIP
    >>> table.n_atoms.shape, table.properties["mu"].mean()       # doctest: +SKIP
    """
    if qm9pack_version() is None:
        raise FileNotFoundError(f"QM9 needs the package qm9pack: {INSTALL_HINT}")
    if not reload:
        return parse_qm9pack(progress=progress)
    path = cache_file(data_dir, f"v{CACHE_FORMAT}")
    contents = cache.built(path, lambda file: parse_qm9pack(progress=progress).save(file))
    return MoleculeTable.load(io.BytesIO(contents))


def cache_file(data_dir: str | Path | None, what: str) -> Path:
    """Where something of the full set is kept: in DeepChem's data folder by default."""
    if data_dir is None:
        from deepchem.utils.data_utils import get_data_dir

        data_dir = get_data_dir()
    return cache.private_folder(data_dir) / f"qm9-3d-qm9pack-{qm9pack_version()}-{what}.npz"


def _parse_geometry(row: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    symbols = _SYMBOL.findall(row["Elements"])
    text = row["XYZ_Ang"].replace("[", "").replace("]", "").replace("*^", "e")
    values = np.array([float(value) for value in text.split(",")], dtype=np.float32)
    if not len(symbols) == int(row["N_atoms"]) == values.size / 3:
        raise ValueError(
            f"qm9pack molecule {row['Index']}: N_atoms is {row['N_atoms']}, but there are "
            f"{len(symbols)} elements and {values.size} coordinates; reinstall qm9pack"
        )
    return np.array([_ATOMIC_NUMBERS[s] for s in symbols], dtype=np.int8), values.reshape(-1, 3)


def _number(text: str) -> float:
    return float(text.replace("*^", "e"))


def _canonical(smiles: str) -> str:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    return smiles if molecule is None else Chem.MolToSmiles(molecule)

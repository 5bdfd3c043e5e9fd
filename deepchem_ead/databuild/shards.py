"""Shards: a thousand molecules as numeric arrays in a file with a checksum."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from deepchem_ead import cache
from deepchem_ead.chem.forms import neutral
from deepchem_ead.databuild.candidates import Candidate, Candidates
from deepchem_ead.databuild.geometry import Geometry, make_geometry, seed_of
from deepchem_ead.errors import MoleculeError
from deepchem_ead.molnet.drugs3d_table import LEVELS, STEPS_PER_ANGSTROM
from deepchem_ead.potentials.levels import SmoothLevel

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def make_shard(
    numbers: Sequence[int],
    candidates: Candidates,
    finer: Sequence[SmoothLevel],
    tick: Callable[[], None] = lambda: None,
) -> Arrays:
    """The molecules of some candidates.

    Parameters
    ----------
    numbers : sequence of int
        Of the candidates.
    candidates : Candidates
    finer : sequence of SmoothLevel
        See `make_geometry`.
    tick : callable
        Called after each molecule.

    Returns
    -------
    dict of str to ndarray
        See `deepchem_ead.molnet.drugs3d_table`; and of the candidates that failed, ``failed``
        (F,) int32, their numbers, and ``reasons`` (F,) bytes.
    """
    rows: list[Arrays] = []
    failed: list[tuple[int, str]] = []
    for number in numbers:
        candidate = candidates[number]
        try:
            with rdBase.BlockLogs():
                geometry = make_geometry(candidate.smiles, candidate.isomer, finer)
                rows.append(_row(number, candidate, geometry))
        except (ValueError, RuntimeError) as error:  # of RDKit; one molecule ends no run of days
            failed.append((number, reason_of(error)))
        tick()
    arrays = _join(rows)
    arrays["failed"] = np.array([number for number, _ in failed], dtype=np.int32)
    arrays["reasons"] = np.array([reason.encode() for _, reason in failed], dtype=np.bytes_)
    return arrays


def reason_of(error: Exception) -> str:
    """Why a molecule could not be made, in a line: our own words, or RDKit's with their kind."""
    if isinstance(error, MoleculeError):
        return str(error)
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"


def is_whole(path: Path) -> bool:
    """Whether a shard is there and is what was written; says so if it is damaged."""
    try:
        cache.read(path)
    except FileNotFoundError:
        return False
    except cache.DamagedCache as error:
        logger.warning("%s; making it again", error)
        return False
    return True


def read_shard(path: Path) -> Arrays:
    """Arrays of a shard.

    Raises
    ------
    deepchem_ead.cache.DamagedCache
        If it is not what was written; names the file.
    """
    return unpack(cache.read(path))


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays that are the same bytes for the same numbers."""
    with open(path, "wb") as file:
        # Without allow_pickle, which numpy 1 would take for one of them.
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def unpack(contents: bytes) -> Arrays:
    """Arrays that `write_arrays` has written."""
    with np.load(io.BytesIO(contents), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _row(number: int, candidate: Candidate, geometry: Geometry) -> Arrays:
    mol = geometry.mol
    positions = mol.GetConformer().GetPositions()
    steps = np.rint((positions - positions.mean(axis=0)) * STEPS_PER_ANGSTROM)
    stored = steps.astype(np.int16)
    if not (stored == steps).all():
        raise MoleculeError("it is longer than positions can be stored (65 Angstrom)")
    aromatic = np.array([bond.GetIsAromatic() for bond in mol.GetBonds()], dtype=np.bool_)
    Chem.AssignStereochemistryFrom3D(mol)
    plain = Chem.Mol(mol)
    Chem.Kekulize(plain, clearAromaticFlags=True)
    return {
        "numbers": _of_atoms(mol, Chem.Atom.GetAtomicNum, np.uint8),
        "formal_charges": _of_atoms(mol, Chem.Atom.GetFormalCharge, np.int8),
        "positions": stored,
        "chirality": _chirality(mol, positions),
        "bonds": np.array(
            [
                (b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble()))
                for b in plain.GetBonds()
            ],
            dtype=np.uint8,
        ).reshape(-1, 3),
        "aromatic": aromatic,
        "cis_trans": _cis_trans(mol, positions),
        "smiles": np.frombuffer(geometry.smiles.encode("ascii"), dtype=np.uint8),
        "index": np.array([number], dtype=np.int32),
        "source": np.array([candidate.source], dtype=np.uint8),
        "source_row": np.array([candidate.row], dtype=np.int32),
        "form": np.array([candidate.form], dtype=np.uint8),
        "level": np.array([LEVELS.index(geometry.level)], dtype=np.uint8),
        **{level: np.array([energy]) for level, energy in geometry.energies.items()},
        "scaffold": np.array([scaffold_hash(geometry.smiles)], dtype=np.int32),
    }


def _of_atoms(mol: Chem.Mol, get: Callable[[Chem.Atom], int], dtype: type) -> np.ndarray:
    return np.array([get(atom) for atom in mol.GetAtoms()], dtype=dtype)


def _chirality(mol: Chem.Mol, positions: np.ndarray) -> np.ndarray:
    """Sign of the volume that the first three neighbours of a stereocentre span, else 0; int8."""
    signs = np.zeros(mol.GetNumAtoms(), dtype=np.int8)
    for atom in mol.GetAtoms():
        if atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED:
            near = sorted(other.GetIdx() for other in atom.GetNeighbors())[:3]
            signs[atom.GetIdx()] = np.sign(
                np.linalg.det(positions[near] - positions[atom.GetIdx()])
            )
    return signs


def _cis_trans(mol: Chem.Mol, positions: np.ndarray) -> np.ndarray:
    """Of each bond: 1 if the first other neighbours of its ends are cis, -1 trans, 0 no stereo."""
    signs = np.zeros(mol.GetNumBonds(), dtype=np.int8)
    for bond in mol.GetBonds():
        if bond.GetStereo() > Chem.BondStereo.STEREOANY:
            ends = bond.GetBeginAtom(), bond.GetEndAtom()
            first, second = (
                min(n.GetIdx() for n in end.GetNeighbors() if n.GetIdx() != other.GetIdx())
                for end, other in (ends, ends[::-1])
            )
            begin, end = (positions[atom.GetIdx()] for atom in ends)
            axis = (end - begin) / np.linalg.norm(end - begin)
            across = [
                vector - axis * (vector @ axis)
                for vector in (positions[first] - begin, positions[second] - end)
            ]
            signs[bond.GetIdx()] = np.sign(across[0] @ across[1])
    return signs


def scaffold_hash(smiles: str) -> int:
    """Hash of a molecule's Murcko scaffold, or of a molecule without rings itself; below 2**31.

    Charges that protons can take away and stereo do not count.
    """
    mol = neutral(Chem.MolFromSmiles(smiles))
    Chem.RemoveStereochemistry(mol)
    scaffold = MurckoScaffold.GetScaffoldForMol(mol)
    return seed_of("scaffold", Chem.MolToSmiles(scaffold if scaffold.GetNumAtoms() else mol))


def _join(rows: list[Arrays]) -> Arrays:
    if not rows:
        raise MoleculeError("none of the molecules of a shard could be made")
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    for counted, name in (("numbers", "n_atoms"), ("bonds", "n_bonds"), ("smiles", "n_letters")):
        arrays[name] = np.array([len(row[counted]) for row in rows], dtype=np.int32)
    return arrays

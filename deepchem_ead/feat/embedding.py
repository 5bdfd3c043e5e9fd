"""Seeded 3D conformers from RDKit's distance geometry, within a time limit."""

from __future__ import annotations

import math
import time

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from deepchem_ead.errors import MoleculeError

#: Seconds that the search for one molecule's conformer may take by default.
TIME_LIMIT = 10.0
#: RDKit's own number of attempts, which says -1 both when all of them fail and when interrupted.
_ATTEMPTS_PER_ATOM = 10
_TABLE = Chem.GetPeriodicTable()


def has_3d_conformer(mol: Chem.Mol) -> bool:
    """Whether the molecule has 3D coordinates, as opposed to none or a flat drawing."""
    if mol.GetNumConformers() == 0:
        return False
    # RDKit does not mark three atoms in the plane z = 0, such as a real water molecule, as 3D.
    small = mol.GetNumAtoms() <= 3 and not any(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    return small or mol.GetConformer().Is3D()


def read_smiles(text: object) -> Chem.Mol:
    """Sanitised molecule of a SMILES, blanks around it aside.

    Raises
    ------
    MoleculeError
        If it is none; the message does not repeat it.
    """
    if not isinstance(text, str) or not text.strip():
        raise MoleculeError("is neither a SMILES string nor an RDKit molecule")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text.strip())
    if mol is None:
        raise MoleculeError("is not a SMILES that RDKit can read")
    return mol


def embed(
    mol: Chem.Mol,
    seed: int,
    time_limit: float | None = TIME_LIMIT,
    attempts: int | None = None,
) -> Chem.Mol:
    """A copy of the molecule with one ETKDGv3 conformer.

    Fragments are embedded one by one and placed so that their atoms touch and do not overlap (the
    closest two are a sum of van der Waals radii apart).

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Sanitised molecule with explicit hydrogens.
    seed : int
        Random seed, 0 or more.
    time_limit : float, optional
        Seconds for the whole molecule. None: RDKit searches until all its attempts have failed.
    attempts : int, optional
        Of RDKit, and as many again from random starting coordinates; by default 10 for each atom.

    Raises
    ------
    MoleculeError
        If RDKit finds no conformer in that time, also not from random starting coordinates; the
        message does not name the molecule.
    KeyboardInterrupt
        If the search was interrupted.
    """
    end = None if time_limit is None else time.monotonic() + time_limit
    atoms: list[tuple[int, ...]] = []
    fragments = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=atoms)
    if len(fragments) < 2:
        return _embed_fragment(mol, seed, end, time_limit, attempts)
    embedded = [_embed_fragment(part, seed, end, time_limit, attempts) for part in fragments]
    positions = _placed(
        [part.GetConformer().GetPositions() for part in embedded],
        [_van_der_waals_radii(part) for part in embedded],
    )
    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.Set3D(True)
    for rows, x in zip(atoms, positions, strict=True):
        for row, point in zip(rows, x.tolist(), strict=True):
            conformer.SetAtomPosition(row, point)
    mol.AddConformer(conformer)
    return mol


def _embed_fragment(
    mol: Chem.Mol,
    seed: int,
    end: float | None,
    time_limit: float | None,
    attempts: int | None,
) -> Chem.Mol:
    """A copy of a connected molecule with a conformer, found before the time ``end``."""
    mol = Chem.Mol(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.maxIterations = attempts or _ATTEMPTS_PER_ATOM * mol.GetNumAtoms()
    parameters.trackFailures = True
    counted = []
    # Half of the time is kept for random starting coordinates, which find what others do not.
    for random_start, share in ((False, 0.5), (True, 1.0)):
        parameters.useRandomCoords = random_start
        if end is not None:
            left = share * (end - time.monotonic())
            if left <= 0:
                break
            parameters.timeout = math.ceil(left)
        start = time.monotonic()
        with rdBase.BlockLogs():
            try:
                found = rdDistGeom.EmbedMolecule(mol, parameters)
            except (ValueError, RuntimeError) as error:
                raise MoleculeError(f"cannot be embedded in 3D: {error}") from None
        failed = sum(parameters.GetFailureCounts())
        timed_out = end is not None and time.monotonic() - start >= parameters.timeout
        # RDKit takes Ctrl-C for itself and only ends its search early. Without any attempt it says
        # that the distances contradict each other, which a second search would say, too.
        early = 0 < failed < parameters.maxIterations and not timed_out
        if (found < 0 and early) or (counted == [0] and (found == 0 or failed)):
            raise KeyboardInterrupt
        if found == 0:
            return mol
        counted.append(failed)
    if end is not None and (time.monotonic() >= end or timed_out):
        raise MoleculeError(
            f"cannot be embedded in 3D within {time_limit:g} s; a larger time_limit searches longer"
        )
    raise MoleculeError("cannot be embedded in 3D: RDKit finds no conformer")


def _van_der_waals_radii(mol: Chem.Mol) -> np.ndarray:
    return np.array([_TABLE.GetRvdw(atom.GetAtomicNum()) for atom in mol.GetAtoms()])


def _placed(positions: list[np.ndarray], radii: list[np.ndarray]) -> list[np.ndarray]:
    """Fragments moved so that each touches those before it, the largest first.

    Parameters
    ----------
    positions : list of ndarray, (n, 3)
        Angstrom.
    radii : list of ndarray, (n,)
        Van der Waals radii, Angstrom.

    Returns
    -------
    list of ndarray, (n, 3)
    """
    order = sorted(range(len(positions)), key=lambda k: -len(positions[k]))
    placed = [x - x.mean(axis=0) for x in positions]
    others, others_radii = placed[order[0]], radii[order[0]]
    for k in order[1:]:
        shifts = [_shift(placed[k], radii[k], others, others_radii, u) for u in _DIRECTIONS]
        best = int(np.argmin(np.round(shifts, 6)))
        placed[k] = placed[k] + shifts[best] * _DIRECTIONS[best]
        others = np.concatenate([others, placed[k]])
        others_radii = np.concatenate([others_radii, radii[k]])
    return placed


def _shift(
    x: np.ndarray,
    radii: np.ndarray,
    others: np.ndarray,
    others_radii: np.ndarray,
    direction: np.ndarray,
) -> float:
    """Smallest distance along a direction beyond which no atom is inside another's radius."""
    between = x[:, None] - others[None]
    along = between @ direction
    across2 = np.square(between).sum(axis=-1) - np.square(along)
    reach2 = np.square(radii[:, None] + others_radii[None])
    return float(
        (np.sqrt(np.maximum(reach2 - across2, 0)) - along)[reach2 > across2].max(initial=0)
    )


def _spread_directions(n: int) -> np.ndarray:
    """Unit vectors (n, 3) spread over the sphere, on a Fibonacci spiral."""
    z = 1 - (2 * np.arange(n) + 1) / n
    angle = np.pi * (1 + 5**0.5) * np.arange(n)
    r = np.sqrt(1 - z * z)
    return np.column_stack([r * np.cos(angle), r * np.sin(angle), z])


_DIRECTIONS = _spread_directions(32)

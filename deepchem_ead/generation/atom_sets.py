"""Atoms of a molecule that are named by a pattern, by their numbers or by a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import molecule_of

#: Matches that a message lists.
_LISTED = 6


def chosen_atoms(molecule: MoleculeBatch, wanted: Any, name: str) -> np.ndarray:
    """Indices of atoms of a molecule, int64, in its order.

    Parameters
    ----------
    molecule : MoleculeBatch
        One molecule, with bonds.
    wanted : str, sequence of int or (n,) bool
        SMARTS that match once, atom indices from 0, or a mask of all atoms.
    name : str
        The argument, for messages.

    Raises
    ------
    ValueError
        If a pattern is none, matches nothing or several times, or indices or a mask do not fit.
    """
    n = int(molecule.counts[0])
    if isinstance(wanted, str):
        return _matched(molecule, wanted, name)
    values = np.atleast_1d(np.asarray(wanted))
    if values.dtype == bool:
        if values.shape != (n,):
            raise ValueError(
                f"{name} is a mask of the shape {values.shape}, but the molecule has {n} atoms, "
                "hydrogens included; give a value for each, or atom indices"
            )
        return np.flatnonzero(values)
    if values.size == 0:
        return np.zeros(0, np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"{name}={wanted!r}: give a SMARTS text, whole atom indices, or a mask of all atoms"
        )
    outside = values[(values < 0) | (values >= n)]
    if len(outside):
        raise ValueError(
            f"{name} names atom {outside[0]}, but the {n} atoms of the molecule are 0 to {n - 1}"
        )
    return np.unique(values.astype(np.int64))


def _matched(molecule: MoleculeBatch, smarts: str, name: str) -> np.ndarray:
    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts)
    if pattern is None or not pattern.GetNumAtoms():
        raise ValueError(f"{name}={smarts!r} is no SMARTS pattern")
    numbers, positions = molecule.atoms(0)
    mol = molecule_of(numbers, positions, int(molecule.charges[0]), molecule.graph(0))
    if mol is None:
        raise ValueError(
            f"{name}={smarts!r}: RDKit refuses the molecule that it is to match "
            f"({molecule.reasons[0]}); give atom indices"
        )
    found = mol.GetSubstructMatches(pattern, uniquify=True, maxMatches=1000)
    smiles = molecule.smiles[0]
    if not found:
        raise ValueError(
            f"{name}={smarts!r} matches nothing in {smiles}; lower case letters are aromatic "
            "atoms, and atom indices can be given instead"
        )
    if len(found) > 1:
        listed = ", ".join(str(list(match)) for match in found[:_LISTED])
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise ValueError(
            f"{name}={smarts!r} matches {smiles} {len(found)} times: the atoms {listed}{more}; "
            f"choose by indices, {name}={list(found[0])} for example, or by a longer pattern"
        )
    return np.unique(np.array(found[0], np.int64))

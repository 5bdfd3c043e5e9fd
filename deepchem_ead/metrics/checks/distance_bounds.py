"""Distances of a molecule beside the bounds of distance geometry, as PoseBusters judges them.

The same answers as `posebusters.modules.distance_geometry.check_geometry` (tested), which spends
most of its time, half of that of a small molecule's whole judgement, on tables of pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from deepchem_ead.metrics.checks.geometry import van_der_waals

_BONDS, _ANGLES = "bond_lengths_within_bounds", "bond_angles_within_bounds"
CLASHES = "no_internal_clash"
#: Whether atoms overlap, too: what PoseBusters calls a clash may be an unusual torsion.
OVERLAPS = "no_overlap"


@cache
def _terminal() -> Chem.Mol:
    """Ends of carboxylates and nitro groups, whose two bonds are alike whichever is the double."""
    end = "[O,N;D1;$([O,N;D1]-[*]=[O,N;D1]),$([O,N;D1]=[*]-[O,N;D1])]~[*]"
    return Chem.MolFromSmarts(end)


def within_bounds(
    mol_pred: Chem.Mol,
    bound_matrix_params: Mapping[str, Any],
    threshold_bad_bond_length: float,
    threshold_bad_angle: float,
    threshold_clash: float,
    ignore_hydrogens: bool = True,
    **_: Any,
) -> dict[str, dict[str, bool]]:
    """Whether distances of bonded atoms, of their neighbours, and of all others are in bounds.

    Parameters
    ----------
    mol_pred : rdkit.Chem.Mol
        Sanitised, with a conformer.
    bound_matrix_params : mapping
        Of RDKit's ``GetMoleculeBoundsMatrix``.
    threshold_bad_bond_length, threshold_bad_angle, threshold_clash : float
        How far a distance may be out of its bounds, as a fraction of the bound.
    ignore_hydrogens : bool

    Returns
    -------
    dict
        ``{"results": {...}}`` as PoseBusters' modules give it, and `OVERLAPS`, where no lower bound
        is larger than the sum of van der Waals radii; nothing where RDKit finds no bounds.
    """
    mol = mol_pred
    if mol.GetNumAtoms() < 2:
        return {"results": dict.fromkeys((_BONDS, _ANGLES, CLASHES, OVERLAPS), True)}
    try:
        bounds = rdDistGeom.GetMoleculeBoundsMatrix(mol, **bound_matrix_params)
    except RuntimeError:
        return {"results": {}}
    x = mol.GetConformer().GetPositions()
    i, j = np.triu_indices(len(x), 1)
    lower, upper = bounds[j, i], bounds[i, j]
    _make_alike(mol, i, j, lower, upper)
    lengths = np.linalg.norm(x[i] - x[j], axis=1)
    off = np.where(lengths < lower, lengths / lower - 1, np.maximum(lengths / upper - 1, 0.0))

    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    angle = np.zeros_like(bonded)
    for row in bonded:
        for pair in combinations(np.flatnonzero(row), 2):
            angle[pair] = True
    seen = np.ones(len(i), bool)
    if ignore_hydrogens:
        heavy = np.array([atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()])
        seen = heavy[i] & heavy[j]
    is_bond = bonded[i, j]
    is_angle = angle[i, j] & ~is_bond
    bad_bond = np.abs(off) > threshold_bad_bond_length
    bad_angle = np.abs(off) > threshold_bad_angle
    is_clash = (off < -threshold_clash) & ~is_bond & ~is_angle & seen
    radii = van_der_waals()[[atom.GetAtomicNum() for atom in mol.GetAtoms()]]
    overlap = lengths < (1 - threshold_clash) * (radii[i] + radii[j])
    return {
        "results": {
            _BONDS: not (bad_bond & is_bond & seen).any(),
            _ANGLES: not (bad_angle & is_angle & seen).any(),
            CLASHES: not is_clash.any(),
            OVERLAPS: not (is_clash & overlap).any(),
        }
    }


def _make_alike(
    mol: Chem.Mol, i: np.ndarray, j: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> None:
    """Bounds of conjugated terminal bonds of the same elements: the widest of all."""
    matches = {tuple(sorted(match)) for match in mol.GetSubstructMatches(_terminal())}
    if not matches:
        return
    kinds: dict[tuple[str, ...], list[int]] = {}
    for row, pair in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        if pair in matches:
            kind = tuple(sorted(mol.GetAtomWithIdx(k).GetSymbol() for k in pair))
            kinds.setdefault(kind, []).append(row)
    for rows in kinds.values():
        lower[rows], upper[rows] = lower[rows].min(), upper[rows].max()

"""A guess at the second derivatives of a molecule's energy, from its bonds and its geometry.

Springs along the distances of atoms that are one, two and three bonds apart, a twist about each
bond, and a little of everything else:

    H = sum_pairs k_d u u^T + sum_torsions k b b^T + k_0 I        (u, b: gradients of the distance
                                                                   and of the dihedral angle)

With it a minimum is found in half the steps. Its constants are round numbers of the right size, eV,
Angstrom and radians; where the minimum lies does not depend on them.
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem

#: Of springs between atoms one, two and three bonds apart.
_SPRINGS = (40.0, 6.0, 0.2)
#: Of the twist about a single bond, and about one that is conjugated or multiple.
_TWIST, _STIFF_TWIST = 1.0, 2.0
_ELSE = 1.5
#: A dihedral angle means nothing where three of its atoms lie within this (sine) of a line.
_LINEAR = 0.2


def model_hessian(mol: Chem.Mol) -> np.ndarray:
    """Second derivatives (3n, 3n), eV/Angstrom^2, positive definite, at the conformer's positions.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens and one conformer.
    """
    positions = mol.GetConformer().GetPositions()
    hessian = _of_springs(Chem.GetDistanceMatrix(mol), positions)
    atoms, constants = _torsions(mol)
    if len(atoms):
        gradients = _dihedral_gradients(atoms, constants, positions)
        hessian += gradients.T @ gradients
    return hessian + _ELSE * np.eye(len(hessian))


def _of_springs(bonds_between: np.ndarray, positions: np.ndarray) -> np.ndarray:
    n = len(positions)
    between = positions[:, None] - positions[None]
    unit = between / (np.linalg.norm(between, axis=-1) + np.eye(n))[..., None]
    constants = sum(k * (bonds_between == d) for d, k in enumerate(_SPRINGS, 1))
    blocks = -constants[..., None, None] * unit[..., :, None] * unit[..., None, :]
    atoms = np.arange(n)
    blocks[atoms, atoms] = -blocks.sum(axis=1)
    return blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def _torsions(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Atoms (t, 4) of all dihedral angles, and their constants (t,): a bond's share its twist."""
    atoms: list[tuple[int, ...]] = []
    constants: list[float] = []
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        j, k = (end.GetIdx() for end in ends)
        first, last = ([a.GetIdx() for a in end.GetNeighbors()] for end in ends)
        found = [(i, j, k, m) for i in first for m in last if i != k and m != j and m != i]
        stiff = bond.GetIsConjugated() or bond.GetBondTypeAsDouble() > 1
        atoms += found
        constants += [(_STIFF_TWIST if stiff else _TWIST) / max(len(found), 1)] * len(found)
    return np.array(atoms, dtype=np.int64), np.array(constants)


def _dihedral_gradients(
    atoms: np.ndarray, constants: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Gradients (t, 3n) of dihedral angles, each times the root of its constant."""
    first, middle, last = (positions[atoms[:, k + 1]] - positions[atoms[:, k]] for k in range(3))
    normals = np.cross(first, middle), np.cross(middle, last)
    lengths = [np.linalg.norm(v, axis=1, keepdims=True) for v in (first, middle, last, *normals)]
    a, b, c, area_1, area_2 = lengths
    bent = ((area_1 > _LINEAR * a * b) & (area_2 > _LINEAR * b * c))[:, 0]
    gradient_1 = -b / np.square(area_1) * normals[0]
    gradient_4 = b / np.square(area_2) * normals[1]
    along_1 = (first * middle).sum(axis=1, keepdims=True) / np.square(b)
    along_4 = (last * middle).sum(axis=1, keepdims=True) / np.square(b)
    gradients = (
        gradient_1,
        -(1 + along_1) * gradient_1 + along_4 * gradient_4,
        along_1 * gradient_1 - (1 + along_4) * gradient_4,
        gradient_4,
    )
    rows = np.arange(bent.sum())
    found = np.zeros((len(rows), len(positions), 3))
    for k, gradient in enumerate(gradients):
        found[rows, atoms[bent, k]] = (np.sqrt(constants)[:, None] * gradient)[bent]
    return found.reshape(len(rows), 3 * len(positions))

"""Atoms that are too near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label, van_der_waals
from deepchem_ead.metrics.view import MoleculeView


def contacts(view: MoleculeView) -> np.ndarray:
    """Distances over sums of van der Waals radii, (n, n); infinite within three bonds."""
    radii = van_der_waals()[view.numbers]
    ratio = view.lengths / (radii[:, None] + radii[None, :])
    return np.where(np.triu(view.bonds_apart >= 4), ratio, np.inf)


def _hydrogen_bonds(mol: Chem.Mol) -> np.ndarray:
    """(n, n) bool: a hydrogen of nitrogen, oxygen or fluorine, and an atom of these."""
    polar = np.array([atom.GetAtomicNum() in (7, 8, 9) for atom in mol.GetAtoms()])
    given = np.zeros(len(polar), bool)
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 1:
            given[atom.GetIdx()] = any(polar[n.GetIdx()] for n in atom.GetNeighbors())
    pairs = given[:, None] & polar[None, :]
    return pairs | pairs.T


@CHECKS.register("clashes")
@dataclass(frozen=True)
class Clashes(BaseCheck):
    """No two atoms four or more bonds apart, hydrogens included, overlap.

    Parameters
    ----------
    limit, hydrogen_bond_limit : float
        Smallest distance as a fraction of the sum of van der Waals radii.
    """

    name = "clashes"
    columns = {"nearest_contact": Column("fraction of the sum of van der Waals radii", "mean")}
    limit: float = 0.6
    hydrogen_bond_limit: float = 0.5

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        ratio = contacts(view)
        if not np.isfinite(ratio).any():
            return NOTHING
        limits = np.where(_hydrogen_bonds(view.mol), self.hydrogen_bond_limit, self.limit)
        i, j = (int(k) for k in np.unravel_index((ratio / limits).argmin(), ratio.shape))
        reason = f"{label(view.mol, i, j)} are {view.lengths[i, j]:.2f} Angstrom apart"
        is_good = bool(ratio[i, j] >= limits[i, j])
        return judged(is_good, reason, nearest_contact=float(ratio.min()))

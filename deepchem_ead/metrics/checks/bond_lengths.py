"""Bonds of the wrong length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label
from deepchem_ead.metrics.view import MoleculeView


def bond_strains(mol: Chem.Mol, lengths: np.ndarray) -> list[tuple[float, tuple[int, int]]]:
    """Length of each bond over UFF's, with its atoms.

    Bonds to the oxygen or sulfur atoms that share a charge, as in a sulfonate, are of one length,
    the mean of UFF's: which of them is the double one is a matter of writing.
    """
    ideals = {}
    for bond in mol.GetBonds():
        atoms = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ideal = rdForceFieldHelpers.GetUFFBondStretchParams(mol, *atoms)
        if ideal is not None:
            ideals[atoms] = ideal[1]
    for shared in _shared_charges(mol):
        known = [atoms for atoms in shared if atoms in ideals]
        ideals |= dict.fromkeys(known, float(np.mean([ideals[atoms] for atoms in known])))
    return [(float(lengths[atoms]) / ideal, atoms) for atoms, ideal in ideals.items()]


def _shared_charges(mol: Chem.Mol) -> list[list[tuple[int, int]]]:
    """For each atom that has both, its bonds to X(-) and =X, where X is oxygen or sulfur."""
    found = []
    for atom in mol.GetAtoms():
        ends = {
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()): bond.GetOtherAtom(atom)
            for bond in atom.GetBonds()
            if bond.GetOtherAtom(atom).GetAtomicNum() in (8, 16)
            and bond.GetOtherAtom(atom).GetDegree() == 1
        }
        charges = {other.GetFormalCharge() for other in ends.values()}
        if {0, -1} <= charges:
            found.append(list(ends))
    return found


@CHECKS.register("bond_lengths")
@dataclass(frozen=True)
class BondLengths(BaseCheck):
    """No bond, those of hydrogen included, is far from the length that UFF gives it.

    Parameters
    ----------
    limit, hydrogen_limit, aromatic_limit : float
        Largest deviation as a fraction of the length; UFF knows aromatic N-O bonds badly.
    """

    name = "bond_lengths"
    columns = {"bond_deviation": Column("of the worst, fraction of its length", "mean", "lower")}
    limit: float = 0.13
    hydrogen_limit: float = 0.1
    aromatic_limit: float = 0.25

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = bond_strains(view.mol, view.lengths)
        if not found:
            return NOTHING
        worst = max(abs(ratio - 1) for ratio, _ in found)
        wrong = [
            f"{label(view.mol, *atoms)} is {view.lengths[atoms]:.2f} Angstrom long"
            for ratio, atoms in found
            if abs(ratio - 1) > self._limit(view.mol, atoms)
        ]
        return judged(not wrong, ", ".join(wrong), bond_deviation=worst)

    def _limit(self, mol: Chem.Mol, atoms: tuple[int, int]) -> float:
        bond = mol.GetBondBetweenAtoms(*atoms)
        if bond.GetIsAromatic():
            return self.aromatic_limit
        ends = bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()
        return self.hydrogen_limit if 1 in ends else self.limit

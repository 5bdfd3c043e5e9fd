"""Bent aromatic rings."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label, out_of_plane
from deepchem_ead.metrics.view import MoleculeView


def aromatic_rings(mol: Chem.Mol) -> list[tuple[int, ...]]:
    """Atoms of each aromatic ring of five or six atoms.

    Larger ones that RDKit calls aromatic, such as tropones with nitrogen, are boats in reality.
    """
    rings = mol.GetRingInfo()
    return [
        atoms
        for atoms, bonds in zip(rings.AtomRings(), rings.BondRings(), strict=True)
        if len(atoms) < 7 and all(mol.GetBondWithIdx(k).GetIsAromatic() for k in bonds)
    ]


@CHECKS.register("aromatic_rings")
@dataclass(frozen=True)
class AromaticRings(BaseCheck):
    """All atoms of an aromatic ring lie in a plane.

    Parameters
    ----------
    limit : float
        Largest distance from the best plane, Angstrom.
    """

    name = "aromatic_rings"
    columns = {
        "aromatic_bend": Column("largest distance from a ring's plane, Angstrom", "mean", "lower")
    }
    limit: float = 0.1

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = [(out_of_plane(view.positions[list(r)]), r) for r in aromatic_rings(view.mol)]
        if not found:
            return NOTHING
        worst, ring = max(found)
        reason = f"the ring {label(view.mol, *ring)} is bent by {worst:.2f} Angstrom"
        return judged(worst <= self.limit, reason, aromatic_bend=worst)

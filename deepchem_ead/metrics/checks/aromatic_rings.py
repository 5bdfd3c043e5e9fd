"""Bent aromatic rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, Column
from deepchem_ead.metrics.checks.geometry import out_of_plane
from deepchem_ead.metrics.checks.worst import Measured, WorstOf


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
class AromaticRings(WorstOf):
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
    limit: float = 0.15

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        rings = aromatic_rings(mol)
        return [(out_of_plane(x[list(ring)]), ring) for ring in rings]

    def fault(self, place: str, worst: float) -> str:
        return f"the ring {place} is bent by {worst:.2f} Angstrom"

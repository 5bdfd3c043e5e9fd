"""Atoms that are too near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepchem_ead.metrics.checks.check import CHECKS, NOTHING, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label, van_der_waals
from deepchem_ead.metrics.view import MoleculeView


def nearest_contact(view: MoleculeView) -> tuple[float, tuple[int, int]] | None:
    """Smallest distance over the sum of van der Waals radii of atoms four or more bonds apart."""
    radii = van_der_waals()[view.numbers]
    ratio = view.lengths / (radii[:, None] + radii[None, :])
    far = np.triu(view.bonds_apart >= 4)
    if not far.any():
        return None
    i, j = np.unravel_index(np.where(far, ratio, np.inf).argmin(), ratio.shape)
    return float(ratio[i, j]), (int(i), int(j))


@CHECKS.register("clashes")
@dataclass(frozen=True)
class Clashes(BaseCheck):
    """No two atoms four or more bonds apart, hydrogens included, overlap.

    Parameters
    ----------
    limit : float
        Smallest distance as a fraction of the sum of van der Waals radii.
    """

    name = "clashes"
    columns = {"nearest_contact": Column("fraction of the sum of van der Waals radii", "mean")}
    limit: float = 0.6

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = nearest_contact(view)
        if found is None:
            return NOTHING
        ratio, atoms = found
        length = float(view.lengths[atoms])
        reason = f"{label(view.mol, *atoms)} are {length:.2f} Angstrom apart"
        return judged(ratio >= self.limit, reason, nearest_contact=ratio)

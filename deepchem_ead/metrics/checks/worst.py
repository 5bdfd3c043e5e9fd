"""Checks that measure every place of one kind in a molecule and judge the worst."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import NOTHING, BaseCheck, Outcome, judged
from deepchem_ead.metrics.checks.geometry import label
from deepchem_ead.metrics.view import MoleculeView

#: A number, and the atoms that it was measured at.
Measured = tuple[float, tuple[int, ...]]


class WorstOf(BaseCheck):
    """Inherit, say what is measured and what a fault is called; has one column, the worst number.

    Attributes
    ----------
    limit : float
        The largest number that passes, or the smallest.
    largest_is_worst : bool
    """

    limit: float
    largest_is_worst = True

    def measured(self, mol: Chem.Mol, x: np.ndarray) -> list[Measured]:
        """Numbers of all places of a molecule with positions x (n, 3), Angstrom."""
        raise NotImplementedError

    def fault(self, place: str, worst: float) -> str:
        """What is wrong at a place, in a few words."""
        raise NotImplementedError

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return NOTHING
        found = self.measured(view.mol, view.positions)
        if not found:
            return NOTHING
        worst, atoms = max(found) if self.largest_is_worst else min(found)
        passed = worst <= self.limit if self.largest_is_worst else worst >= self.limit
        (column,) = self.columns
        return judged(passed, self.fault(label(view.mol, *atoms), worst), **{column: worst})

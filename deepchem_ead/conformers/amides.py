"""Secondary amides outside rings: cis or trans."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.geometry import dihedrals

_AMIDE = Chem.MolFromSmarts("[O,S]=[CX3]-!@[NX3;H1]-[#1]")


class SecondaryAmides:
    """The secondary amides of a molecule with explicit hydrogens.

    In trans ones the hydrogen is opposite to the oxygen, as in proteins.
    """

    def __init__(self, molecule: Chem.Mol) -> None:
        self._atoms = [tuple(match) for match in molecule.GetSubstructMatches(_AMIDE)]

    def problem(self, positions: np.ndarray) -> str | None:
        """What is cis at positions (n, 3); None if nothing is."""
        if not self._atoms:
            return None
        cis = np.abs(dihedrals(positions, self._atoms)) < 90
        if not cis.any():
            return None
        _, carbon, nitrogen, _ = self._atoms[int(np.argmax(cis))]
        return f"amide {carbon}-{nitrogen} is cis"

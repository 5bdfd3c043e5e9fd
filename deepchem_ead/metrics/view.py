"""One molecule as checks want to see it, each view made once and shared by all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bonds import distances
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.rdkit_io import smiles_of
from deepchem_ead.chem.validity import judge

T = TypeVar("T")


class MoleculeView:
    """Elements and coordinates of one molecule, and what follows from them.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,).
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    charge : int
        Total charge.
    graph : MolecularGraph, optional
        Bonds and charges that came with the molecule; believed, as everywhere.
    sampled : bool
        A generator made it, so that fragments are debris.
    name : str
    vocabulary : {"qm9", "geom"}, optional
        EDM's elements and rules that the set as a whole needs; those of the molecule by default.
    declared : str, optional
        SMILES with the stereo that somebody gave, whatever the coordinates say.
    """

    def __init__(
        self,
        numbers: np.ndarray,
        positions: np.ndarray,
        charge: int = 0,
        graph: MolecularGraph | None = None,
        sampled: bool = False,
        name: str = "",
        vocabulary: str | None = None,
        declared: str | None = None,
    ) -> None:
        self.numbers, self.positions, self.charge = numbers, positions, charge
        self.graph, self.sampled, self.name = graph, sampled, name
        self.vocabulary, self.declared = vocabulary, declared
        self._made: dict[Callable, Any] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def _judged(self) -> tuple[Chem.Mol | None, str | None]:
        return judge(self.numbers, self.positions, self.charge, self.graph, self.sampled)

    @property
    def mol(self) -> Chem.Mol | None:
        """Sanitised, with bonds, charges, stereo labels and conformer; None where invalid.

        The same as of `MoleculeBatch.to_rdkit`.
        """
        return self._judged[0]

    @property
    def reason(self) -> str | None:
        """Why there is no `mol`."""
        return self._judged[1]

    @property
    def whole(self) -> Chem.Mol | None:
        """`mol`, if it is one fragment."""
        return self.mol if self.n_fragments == 1 else None

    @cached_property
    def n_fragments(self) -> int:
        """Pieces of `mol`; 0 without one."""
        return 0 if self.mol is None else len(Chem.GetMolFrags(self.mol))

    @cached_property
    def smiles(self) -> str | None:
        """Canonical SMILES with stereo, without explicit hydrogens; None where invalid."""
        return smiles_of(self.mol)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Distances of all atoms in Angstrom, shape (n, n)."""
        return distances(self.positions)

    @cached_property
    def bonds_apart(self) -> np.ndarray:
        """Bonds between each two atoms of `mol`, int shape (n, n); a large number if none lead."""
        return Chem.GetDistanceMatrix(self.mol).astype(int)

    def once(self, function: Callable[[MoleculeView], T]) -> T:
        """``function(view)``, computed once for all checks that need it."""
        if function not in self._made:
            self._made[function] = function(self)
        return self._made[function]

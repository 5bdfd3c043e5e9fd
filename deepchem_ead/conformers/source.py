"""What draws conformers: anything that gives positions for a molecule's atoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from rdkit import Chem


class Source(Protocol):
    """Draws conformers of one molecule.

    Attributes
    ----------
    method : str
        What the output says of where conformers come from.
    rough : bool
        Its geometries need a force field before anything better relaxes them.
    """

    method: str
    rough: bool

    def draw(self, n: int, attempt: int) -> Sequence[np.ndarray]:
        """At most ``n`` conformers, positions (atoms, 3) in Angstrom; others in each attempt."""

    def starting_at(self, conformers: Sequence[np.ndarray]) -> tuple[Source, str] | None:
        """A source that begins at conformers (atoms, 3), one after another, and what to say of it.

        None: this source begins at nobody's coordinates.
        """


#: Source of a molecule with all hydrogens, which messages call by a name.
#: Raises MoleculeError for molecules that it cannot draw.
MakeSource = Callable[[Chem.Mol, str], Source]

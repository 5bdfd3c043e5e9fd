"""What protocols that judge by coordinates alone say of a molecule."""

from __future__ import annotations

from collections.abc import Callable

from deepchem_ead.chem.rdkit_io import bond_vocabulary
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.score import EMPTY, MoleculeScore
from deepchem_ead.metrics.view import MoleculeView


def protocol_score(view: MoleculeView, score: Callable[..., MoleculeScore]) -> MoleculeScore:
    """The score of a protocol; elements that it does not know are invalid."""
    vocabulary = view.vocabulary or bond_vocabulary(view.numbers) or "geom"
    try:
        return score(view.numbers, view.positions, view.charge, vocabulary)
    except MoleculeError:
        return EMPTY._replace(n_atoms=len(view))

"""A stricter, charge-aware judgement of one molecule (``protocol="strict"``).

EDM's protocol accepts fragments and radicals (RDKit fills their valences with hydrogens that are
not there) and refuses ammonium, carbon monoxide and, where ring bonds lie between its single and
double lengths, benzene. Here a molecule is valid when

1. it has atoms, all coordinates are finite, and its bond graph is one fragment;
2. a closed-shell Lewis structure of its total charge exists on that graph
   (:mod:`deepchem_ead.chem.lewis`): no hydrogen is added, no radical is left, no order is more
   than one away from what the bond's length says, and a charged carbon is accounted for: either
   the molecule has a charge of that sign, or an oppositely charged hetero atom is bonded to it
   (isocyanides, diazo compounds, ylides; without this, two missing hydrogens anywhere would pass
   as a carbanion and a carbocation);
3. RDKit accepts it, and every atom's state, (element, formal charge) -> (aromatic bonds, sum of
   the other bond orders), is listed in :data:`ALLOWED_STATES`. Such tables were argued for by
   Nikitin et al., "GEOM-Drugs Revisited", arXiv:2505.00169; how the entries here are derived stands
   in :mod:`deepchem_ead.chem.perception`.

A molecule that is valid is stable and the other way round. Where no Lewis structure exists, atoms
are judged alone: an atom counts as stable when EDM's bond-order sum is a neutral valence.
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bonds import check_elements, molecule_from_orders
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.perception import ALLOWED_STATES, neutral_valences, perceive, state_allowed
from deepchem_ead.chem.rdkit_io import atoms_of
from deepchem_ead.metrics.score import EMPTY, MoleculeScore

__all__ = ["ALLOWED_STATES", "score", "structure", "whole_smiles"]


def score(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> MoleculeScore:
    """Judge one molecule by the strict protocol.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    positions : array of float, shape (n, 3)
        Angstrom.
    charge : int
        Total charge the Lewis structure must have.
    vocabulary : {"qm9", "geom"}
        Elements accepted.
    graph : MolecularGraph, optional
        Ignored: the protocol judges coordinates.

    Returns
    -------
    MoleculeScore

    Raises
    ------
    MoleculeError
        Element outside the vocabulary.
    """
    n_atoms = len(numbers)
    if n_atoms == 0:
        return EMPTY
    check_elements(numbers, vocabulary)
    found = perceive(numbers, positions, charge)
    orders, finite, molecule = found.orders, found.finite, found.molecule
    n_fragments = len(Chem.GetMolFrags(molecule or molecule_from_orders(numbers, found.bonded)))
    connected = n_fragments == 1 and bool(finite.all())
    if molecule is None:
        sums = orders.sum(axis=1, dtype=np.int64).tolist()
        n_stable = sum(
            bool(ok) and total in neutral_valences(int(number))
            for ok, total, number in zip(finite, sums, numbers, strict=True)
        )
        return MoleculeScore(False, n_stable, n_atoms, None, False, n_fragments, connected)
    n_stable = sum(state_allowed(atom) for atom in atoms_of(molecule))
    stable = connected and n_stable == n_atoms
    smiles = Chem.MolToSmiles(molecule) if stable else None
    return MoleculeScore(stable, n_stable, n_atoms, smiles, stable, n_fragments, connected)


def whole_smiles(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> str | None:
    """Canonical SMILES with explicit [H] and charges; None where invalid. See :func:`score`."""
    return score(numbers, positions, charge, vocabulary).smiles


def structure(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> Chem.Mol | None:
    """The molecule that :func:`score` judges: bonds, formal charges, hydrogens and coordinates.

    Parameters are those of :func:`score`.

    Returns
    -------
    rdkit.Chem.Mol or None
        Sanitised, with stereo labels from the coordinates; None where invalid.
    """
    if len(numbers) == 0:
        return None
    check_elements(numbers, vocabulary)
    molecule = perceive(numbers, positions, charge).molecule
    if molecule is None or len(Chem.GetMolFrags(molecule)) > 1:
        return None
    if not all(map(state_allowed, atoms_of(molecule))):
        return None
    Chem.AssignStereochemistryFrom3D(molecule)
    return molecule.GetMol()

"""EDM's stability and validity, molecule by molecule (``protocol="edm"``).

Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D", arXiv:2203.17003, section 5
and the published code (``qm9/analyze.py``, ``qm9/rdkit_functions.py``). Two documented deviations:
molecules without atoms and molecules with a non-finite coordinate are neither stable nor valid
(there they count as stable and valid, and as valid), and distances are exact at every size.
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bonds import bond_orders, molecule_from_orders, stable_atoms
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.perception import sanitizes
from deepchem_ead.chem.rdkit_io import mark_complete
from deepchem_ead.metrics.score import EMPTY, MoleculeScore


def _graph(numbers: np.ndarray, orders: np.ndarray, vocabulary: str) -> Chem.RWMol:
    # On GEOM-Drugs the reference judges validity with every bond single, but stability with the
    # real orders.
    return molecule_from_orders(numbers, np.minimum(orders, 1) if vocabulary == "geom" else orders)


def score(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> MoleculeScore:
    """Judge one molecule by EDM's protocol.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    positions : array of float, shape (n, 3)
        Angstrom.
    charge : int
        Ignored: the protocol knows no charges.
    vocabulary : {"qm9", "geom"}
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
    finite = np.isfinite(positions).all(axis=1)
    orders = bond_orders(numbers, positions, vocabulary)
    stable = stable_atoms(numbers, orders) & finite
    n_stable = int(stable.sum())
    graph = _graph(numbers, orders, vocabulary)
    n_fragments = len(Chem.GetMolFrags(graph))
    if not finite.all():
        return MoleculeScore(False, n_stable, n_atoms, None, False, n_fragments, False)
    smiles = _largest_fragment_smiles(graph, n_fragments)
    return MoleculeScore(
        n_stable == n_atoms, n_stable, n_atoms, smiles, smiles is not None, n_fragments,
        n_fragments == 1,
    )  # fmt: skip


def _largest_fragment_smiles(graph: Chem.RWMol, n_fragments: int) -> str | None:
    if not sanitizes(graph):
        return None
    if n_fragments == 1:
        return Chem.MolToSmiles(graph)
    fragments = Chem.GetMolFrags(graph, asMols=True)
    largest = max(fragments, key=lambda fragment: fragment.GetNumAtoms())  # the first on a tie
    return Chem.MolToSmiles(largest)


def whole_smiles(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> str | None:
    """Canonical SMILES of the whole molecule, as EDM rebuilds its training set for novelty.

    Parameters are those of :func:`score`.

    Returns
    -------
    str or None
        With explicit [H], fragments joined by dots; None where invalid.
    """
    if len(numbers) == 0 or not np.isfinite(positions).all():
        return None
    graph = _graph(numbers, bond_orders(numbers, positions, vocabulary), vocabulary)
    return Chem.MolToSmiles(graph) if sanitizes(graph) else None


def structure(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "qm9",
    graph: MolecularGraph | None = None,
) -> Chem.Mol | None:
    """The molecule of EDM's bond orders: no charges, atoms with too few bonds are completed.

    Parameters are those of :func:`score`.

    Returns
    -------
    rdkit.Chem.Mol or None
        Sanitised, with coordinates and stereo labels; implicit hydrogens complete atoms with too
        few bonds. None where there are no atoms, a coordinate is not finite, or RDKit refuses it.
    """
    if len(numbers) == 0 or not np.isfinite(positions).all():
        return None
    orders = bond_orders(numbers, positions, vocabulary)
    molecule = molecule_from_orders(numbers, orders, positions)
    if not sanitizes(molecule):
        return None
    Chem.AssignStereochemistryFrom3D(molecule)
    mark_complete(molecule)
    return molecule.GetMol()

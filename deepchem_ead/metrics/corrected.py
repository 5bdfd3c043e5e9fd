"""Judgement of one molecule by its own bonds (``protocol="corrected"``).

What papers on GEOM-Drugs report since its evaluation was corrected [1]_: bonds and formal charges
are those that a molecule came with, aromatic bonds are counted, not added up as 1.5, and the
allowed states are those that the cleaned data have.

- An atom is stable if (aromatic bonds, sum of the other orders) is in `GEOM_STATES` for its element
  and formal charge, a molecule if all its atoms are. What is aromatic, RDKit says; where it refuses
  the molecule, orders are counted as they are.
- A molecule is valid if RDKit sanitises it and it is in one piece ("valid and connected").

A molecule that came without bonds is judged by those of the best closed-shell structure of its
total charge, and if there is none, no atom of it is stable.

References
----------
.. [1] Nikitin, Dunn, Koes and Isayev, "GEOM-Drugs Revisited: Toward More Chemically Accurate
   Benchmarks for 3D Molecule Generation", arXiv:2505.00169, and the table of its published code
   (github.com/isayevlab/geom-drugs-3dgen-evaluation, ``geom_drugs_h_tuple_valencies``).
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bonds import check_elements
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.perception import perceive, sanitizes, state_allowed
from deepchem_ead.chem.rdkit_io import atoms_of, mol_from_graph
from deepchem_ead.metrics.score import EMPTY, MoleculeScore

#: (Element, formal charge) to (aromatic bonds, sum of the other orders), of reference [1].
GEOM_STATES: dict[tuple[str, int], frozenset[tuple[int, int]]] = {
    key: frozenset(states)
    for key, states in {
        ("H", 0): [(0, 1)],
        ("B", 0): [(0, 3)],
        ("B", -1): [(0, 4)],
        ("C", 0): [(0, 4), (2, 1), (2, 2), (3, 0)],
        ("C", 1): [(0, 3), (2, 1), (3, 0)],
        ("C", -1): [(0, 3), (2, 1), (3, 0)],
        ("N", 0): [(0, 3), (2, 0), (2, 1), (3, 0)],
        ("N", 1): [(0, 4), (2, 0), (2, 1), (2, 2), (3, 0)],
        ("N", -1): [(0, 2), (2, 0)],
        ("N", -2): [(0, 1)],
        ("O", 0): [(0, 2), (2, 0)],
        ("O", 1): [(0, 3)],
        ("O", -1): [(0, 1)],
        ("F", 0): [(0, 1)],
        ("Si", 0): [(0, 4)],
        ("Si", 1): [(0, 5)],
        ("P", 0): [(0, 3), (0, 5)],
        ("P", 1): [(0, 4)],
        ("S", 0): [(0, 2), (0, 3), (0, 6), (2, 0)],
        ("S", 1): [(0, 3), (2, 0), (2, 1), (3, 0)],
        ("S", 2): [(0, 4), (2, 1), (2, 2)],
        ("S", 3): [(0, 2), (0, 5)],
        ("S", -1): [(0, 1)],
        ("Cl", 0): [(0, 1)],
        ("Cl", 1): [(0, 2)],
        ("Br", 0): [(0, 1)],
        ("Br", 1): [(0, 2)],
        ("I", 0): [(0, 1)],
        ("I", 1): [(0, 2)],
        ("I", 2): [(0, 3)],
        ("Bi", 0): [(0, 3)],
        ("Bi", 2): [(0, 5)],
    }.items()
}


def score(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "geom",
    graph: MolecularGraph | None = None,
) -> MoleculeScore:
    """Judge one molecule by the corrected protocol.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    positions : array of float, shape (n, 3)
        Angstrom.
    charge : int
        Total charge, where there are no bonds.
    vocabulary : {"qm9", "geom"}
        Elements accepted.
    graph : MolecularGraph, optional
        Bonds and formal charges that came with the molecule.

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
    molecule = _with_bonds(numbers, positions, charge, graph)
    if molecule is None:
        return MoleculeScore(False, 0, n_atoms, None, False, 0, False)
    finite = np.isfinite(positions).all(axis=1)
    n_fragments = len(Chem.GetMolFrags(molecule))
    connected = n_fragments == 1 and bool(finite.all())
    judged = Chem.RWMol(molecule)
    accepted = sanitizes(judged)
    atoms = atoms_of(judged if accepted else molecule)
    allowed = [state_allowed(atom, GEOM_STATES) for atom in atoms]
    n_stable = int((finite & allowed).sum())
    valid = accepted and connected
    smiles = Chem.MolToSmiles(judged) if valid else None
    return MoleculeScore(
        n_stable == n_atoms, n_stable, n_atoms, smiles, valid, n_fragments, connected
    )


def whole_smiles(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "geom",
    graph: MolecularGraph | None = None,
) -> str | None:
    """Canonical SMILES with explicit [H] and charges; None where invalid. See :func:`score`."""
    return score(numbers, positions, charge, vocabulary, graph).smiles


def structure(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    vocabulary: str = "geom",
    graph: MolecularGraph | None = None,
) -> Chem.Mol | None:
    """The molecule that :func:`score` judges, with coordinates and stereo; None where invalid."""
    if not score(numbers, positions, charge, vocabulary, graph).valid:
        return None
    molecule = _with_bonds(numbers, positions, charge, graph)
    assert molecule is not None  # or it would not be valid
    sanitizes(molecule)
    Chem.AssignStereochemistryFrom3D(molecule)
    return molecule.GetMol()


def _with_bonds(
    numbers: np.ndarray, positions: np.ndarray, charge: int, graph: MolecularGraph | None
) -> Chem.RWMol | None:
    if graph is not None and graph.bonds is not None:
        return mol_from_graph(numbers, positions, graph)
    return perceive(numbers, positions, charge).molecule

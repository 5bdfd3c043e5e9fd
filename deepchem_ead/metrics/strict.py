"""A stricter, charge-aware judgement of one molecule (``protocol="strict"``).

EDM's protocol accepts fragments and radicals (RDKit fills their valences with hydrogens that are
not there) and refuses ammonium, carbon monoxide and, where ring bonds lie between its single and
double lengths, benzene. Here a molecule is valid when

1. it has atoms, all coordinates are finite, and its bond graph is one fragment;
2. a closed-shell Lewis structure of its total charge exists on that graph
   (:mod:`deepchem_ead.metrics.lewis`): no hydrogen is added, no radical is left, no order is more
   than one away from what the bond's length says, and a charged carbon is accounted for: either
   the molecule has a charge of that sign, or an oppositely charged hetero atom is bonded to it
   (isocyanides, diazo compounds, ylides; without this, two missing hydrogens anywhere would pass
   as a carbanion and a carbocation);
3. RDKit accepts it, and every atom's state, (element, formal charge) -> (aromatic bonds, sum of
   the other bond orders), is listed in :data:`ALLOWED_STATES`. Such tables were argued for by
   Nikitin et al., "GEOM-Drugs Revisited", arXiv:2505.00169; the entries here are derived below.

A molecule that is valid is stable and the other way round. Where no Lewis structure exists, atoms
are judged alone: an atom counts as stable when EDM's bond-order sum is a neutral valence.

Derivation of the table. Kekule valences: group valence of the neutral atom; one more for an onium
cation of N, P, As, O, S and for the borate anion; one less for the anion (C, N, O, S, halides with
none) and for C+; hypervalent P, S, As, Bi and halogens as in their oxo acids. In an aromatic ring
an atom's two ring bonds take 2 (lone-pair donors: pyrrole N, furan O, thiophene S) or 3 of that
valence, three ring bonds take 3 (donors) or 4; the rest is the second number. So neutral carbon is
(2, 1), (3, 0), or (2, 2) with an exocyclic double bond; nitrogen (2, 0), (2, 1), (3, 0); pyridinium
N+ (2, 1), (3, 0).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.bonds import bond_orders, distances, molecule_from_orders
from deepchem_ead.metrics.edm import sanitizes
from deepchem_ead.metrics.lewis import lewis_structure
from deepchem_ead.metrics.score import EMPTY, MoleculeScore

#: (element, formal charge) -> allowed (aromatic bonds, sum of the orders of all other bonds).
ALLOWED_STATES: dict[tuple[str, int], frozenset[tuple[int, int]]] = {
    key: frozenset(states)
    for key, states in {
        ("H", 0): [(0, 1)],
        ("B", 0): [(0, 3), (2, 1), (3, 0)],
        ("B", -1): [(0, 4), (2, 1), (2, 2), (3, 0)],
        ("C", 0): [(0, 4), (2, 1), (2, 2), (3, 0)],
        ("C", 1): [(0, 3), (2, 1), (3, 0)],
        ("C", -1): [(0, 3), (2, 1), (3, 0)],
        ("N", 0): [(0, 3), (2, 0), (2, 1), (3, 0)],
        ("N", 1): [(0, 4), (2, 1), (2, 2), (3, 0)],
        ("N", -1): [(0, 2), (2, 0)],
        ("O", 0): [(0, 2), (2, 0)],
        ("O", 1): [(0, 3), (2, 0), (2, 1)],
        ("O", -1): [(0, 1)],
        ("F", 0): [(0, 1)],
        ("F", -1): [(0, 0)],
        ("Al", 0): [(0, 3)],
        ("Al", -1): [(0, 4)],
        ("Si", 0): [(0, 4)],
        ("P", 0): [(0, 3), (0, 5), (2, 0), (2, 1)],
        ("P", 1): [(0, 4)],
        ("S", 0): [(0, 2), (0, 4), (0, 6), (2, 0), (2, 2)],
        ("S", 1): [(0, 3), (2, 0), (2, 1)],
        ("S", -1): [(0, 1)],
        ("Cl", 0): [(0, 1), (0, 3), (0, 5), (0, 7)],
        ("Cl", 3): [(0, 4)],
        ("Cl", -1): [(0, 0)],
        ("As", 0): [(0, 3), (0, 5)],
        ("As", 1): [(0, 4)],
        ("Br", 0): [(0, 1), (0, 3), (0, 5)],
        ("Br", -1): [(0, 0)],
        ("I", 0): [(0, 1), (0, 3), (0, 5), (0, 7)],
        ("I", -1): [(0, 0)],
        ("Hg", 0): [(0, 2)],
        ("Bi", 0): [(0, 3), (0, 5)],
    }.items()
}

# EDM lists no S-O single bond long enough for a sulfonic acid and no N-Si, C-B or P-Si bond at all.
# Pairs with an element beyond H, C, N, O, F are therefore also bonded below this multiple of the
# sum of their covalent radii: real bonds stay under 1.1, second neighbours above 1.35.
_RADIUS_FACTOR = 1.2
_EDM_PAIRS = (1, 6, 7, 8, 9)


@cache
def _radii() -> np.ndarray:
    table = Chem.GetPeriodicTable()
    return np.array([0.0] + [table.GetRcovalent(number) for number in range(1, 119)], np.float32)


@cache
def _neutral_valences(number: int) -> frozenset[int]:
    symbol = Chem.GetPeriodicTable().GetElementSymbol(number)
    states = ALLOWED_STATES.get((symbol, 0), ())
    return frozenset(valence for aromatic, valence in states if aromatic == 0)


def _connectivity(numbers: np.ndarray, lengths: np.ndarray, orders: np.ndarray) -> np.ndarray:
    bonded = orders > 0
    heavy = ~np.isin(numbers, _EDM_PAIRS)
    if heavy.any():
        radii = _radii()[numbers]
        near = lengths < _RADIUS_FACTOR * (radii[:, None] + radii[None, :])
        bonded |= near & (heavy[:, None] | heavy[None, :])
        np.fill_diagonal(bonded, False)
    return bonded


def _state_allowed(atom: Chem.Atom) -> bool:
    aromatic, valence = 0, 0.0
    for bond in atom.GetBonds():
        if bond.GetIsAromatic():
            aromatic += 1
        else:
            valence += bond.GetBondTypeAsDouble()
    states = ALLOWED_STATES.get((atom.GetSymbol(), atom.GetFormalCharge()), ())
    return (aromatic, int(valence)) in states


def _build(
    numbers: np.ndarray,
    orders: np.ndarray,
    charges: np.ndarray,
    positions: np.ndarray | None = None,
) -> Chem.RWMol | None:
    """Sanitised molecule, or None where RDKit refuses it or would add hydrogens."""
    molecule = molecule_from_orders(numbers, orders, positions)
    for index in np.flatnonzero(charges).tolist():
        molecule.GetAtomWithIdx(index).SetFormalCharge(int(charges[index]))
    if not sanitizes(molecule) or any(atom.GetTotalNumHs() for atom in molecule.GetAtoms()):
        return None
    return molecule


class _Perceived(NamedTuple):
    """Bond orders by length, the graph's fragments, and the molecule if there is one."""

    orders: np.ndarray
    n_fragments: int
    finite: np.ndarray
    molecule: Chem.RWMol | None


def _perceive(
    numbers: np.ndarray, positions: np.ndarray, charge: int, vocabulary: str
) -> _Perceived:
    finite = np.isfinite(positions).all(axis=1)
    orders = bond_orders(numbers, positions, vocabulary)
    lengths = distances(positions)
    bonded = _connectivity(numbers, lengths, orders)
    n_fragments = len(Chem.GetMolFrags(molecule_from_orders(numbers, bonded)))
    lewis = lewis_structure(numbers, bonded, orders, lengths, charge) if finite.all() else None
    molecule = _build(numbers, *lewis, positions) if lewis is not None else None
    return _Perceived(orders, n_fragments, finite, molecule)


def score(
    numbers: np.ndarray, positions: np.ndarray, charge: int = 0, vocabulary: str = "qm9"
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
    orders, n_fragments, finite, molecule = _perceive(numbers, positions, charge, vocabulary)
    connected = n_fragments == 1 and bool(finite.all())
    if molecule is None:
        sums = orders.sum(axis=1, dtype=np.int64).tolist()
        n_stable = sum(
            bool(ok) and total in _neutral_valences(int(number))
            for ok, total, number in zip(finite, sums, numbers, strict=True)
        )
        return MoleculeScore(False, n_stable, n_atoms, None, False, n_fragments, connected)
    n_stable = sum(_state_allowed(atom) for atom in molecule.GetAtoms())
    stable = connected and n_stable == n_atoms
    smiles = Chem.MolToSmiles(molecule) if stable else None
    return MoleculeScore(stable, n_stable, n_atoms, smiles, stable, n_fragments, connected)


def whole_smiles(
    numbers: np.ndarray, positions: np.ndarray, charge: int = 0, vocabulary: str = "qm9"
) -> str | None:
    """Canonical SMILES with explicit [H] and charges; None where invalid. See :func:`score`."""
    return score(numbers, positions, charge, vocabulary).smiles


def structure(
    numbers: np.ndarray, positions: np.ndarray, charge: int = 0, vocabulary: str = "qm9"
) -> Chem.Mol | None:
    """The molecule that :func:`score` judges: bonds, formal charges, hydrogens and coordinates.

    Parameters are those of :func:`score`.

    Returns
    -------
    rdkit.Chem.Mol or None
        Sanitised; None where invalid.
    """
    if len(numbers) == 0:
        return None
    molecule = _perceive(numbers, positions, charge, vocabulary).molecule
    if molecule is None or len(Chem.GetMolFrags(molecule)) > 1:
        return None
    return molecule.GetMol() if all(map(_state_allowed, molecule.GetAtoms())) else None

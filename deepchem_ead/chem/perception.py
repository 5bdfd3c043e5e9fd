"""Bonds, formal charges and stereo of a molecule from its coordinates.

Two atoms are bonded where EDM's single-bond length (Hoogeboom et al., arXiv:2203.17003) or, with an
element beyond H, C, N, O, F, the covalent radii say so; orders and charges are those of the best
closed-shell Lewis structure on that graph (:mod:`deepchem_ead.chem.lewis`). No hydrogen is added
and no radical is left: where that fails there is no molecule. Of 2,000 random molecules of QM9,
1,999 get the InChI that the data set gives them; of 500 drug-like ones (RDKit's NCI list, ETKDG and
MMFF geometries, total charge given) 499 their own, stereo included.

Derivation of the table. Kekule valences: group valence of the neutral atom; one more for an onium
cation of N, P, As, O, S and for the borate anion; one less for the anion (C, N, O, S, halides with
none) and for C+; hypervalent P, S, As, Bi, Xe and halogens as in their oxo acids and fluorides, and
ions with the electrons of these (PF6-, SiF6 2-, I3-). In an aromatic ring
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

from deepchem_ead.chem.bonds import distances, molecule_from_orders, orders_of_lengths
from deepchem_ead.chem.elements import SYMBOL_NUMBERS
from deepchem_ead.chem.lewis import lewis_structure

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
        ("Al", -3): [(0, 6)],
        ("Si", 0): [(0, 4)],
        ("Si", -1): [(0, 5)],
        ("Si", -2): [(0, 6)],
        ("P", 0): [(0, 3), (0, 5), (2, 0), (2, 1)],
        ("P", 1): [(0, 4)],
        ("P", -1): [(0, 6)],
        ("S", 0): [(0, 2), (0, 4), (0, 6), (2, 0), (2, 2)],
        ("S", 1): [(0, 3), (2, 0), (2, 1)],
        ("S", -1): [(0, 1)],
        ("Cl", 0): [(0, 1), (0, 3), (0, 5), (0, 7)],
        ("Cl", 1): [(0, 2)],
        ("Cl", 3): [(0, 4)],
        ("Cl", -1): [(0, 0)],
        ("As", 0): [(0, 3), (0, 5)],
        ("As", 1): [(0, 4)],
        ("As", -1): [(0, 6)],
        ("Br", 0): [(0, 1), (0, 3), (0, 5)],
        ("Br", 1): [(0, 2)],
        ("Br", -1): [(0, 0)],
        ("I", 0): [(0, 1), (0, 3), (0, 5), (0, 7)],
        ("I", 1): [(0, 2)],
        ("I", -1): [(0, 0), (0, 2), (0, 4)],
        ("Ge", 0): [(0, 4)],
        ("Ge", -2): [(0, 6)],
        ("Sn", 0): [(0, 2), (0, 4)],
        ("Sn", -1): [(0, 5)],
        ("Sn", -2): [(0, 6)],
        ("Pb", 0): [(0, 2), (0, 4)],
        ("Sb", 0): [(0, 3), (0, 5)],
        ("Sb", 1): [(0, 4)],
        ("Sb", -1): [(0, 6)],
        ("Se", 0): [(0, 2), (0, 4), (0, 6), (2, 0), (2, 2)],
        ("Se", 1): [(0, 3), (2, 0), (2, 1)],
        ("Se", -1): [(0, 1)],
        ("Te", 0): [(0, 2), (0, 4), (0, 6), (2, 0), (2, 2)],
        ("Te", 1): [(0, 3), (2, 0), (2, 1)],
        ("Zn", 0): [(0, 2)],
        ("Zn", 2): [(0, 0)],
        ("Hg", 0): [(0, 2)],
        ("Bi", 0): [(0, 3), (0, 5)],
        **{(metal, 1): [(0, 0)] for metal in ("Li", "Na", "K", "Rb", "Cs", "Ag")},
        **{(metal, 2): [(0, 0)] for metal in ("Mg", "Ca", "Sr", "Ba")},
        ("Xe", 0): [(0, 0), (0, 2), (0, 4), (0, 6)],
        **{(gas, 0): [(0, 0)] for gas in ("He", "Ne", "Ar", "Kr")},
    }.items()
}

# EDM lists no S-O single bond long enough for a sulfonic acid and no N-Si, C-B or P-Si bond at all.
# Pairs with an element beyond H, C, N, O, F are therefore also bonded below this multiple of the
# sum of their covalent radii: real bonds stay under 1.1, second neighbours above 1.35.
_RADIUS_FACTOR = 1.2
_EDM_PAIRS = (1, 6, 7, 8, 9)
# Bonds of strained cages and crowded carbons are longer than EDM's limit, up to this multiple.
_LONG_BOND_FACTOR = 1.15
# Alkali and alkaline earth metals: what lies near their ions is not bonded to them.
_IONIC = (3, 11, 12, 19, 20, 37, 38, 55, 56)


class Perceived(NamedTuple):
    """What the coordinates of a molecule say.

    Attributes
    ----------
    lengths : numpy.ndarray
        Distances in Angstrom, float32, shape (n, n).
    orders : numpy.ndarray
        Bond orders by length alone, int8, shape (n, n); see
        :func:`deepchem_ead.chem.bonds.bond_orders`.
    bonded : numpy.ndarray
        The bond graph, bool, shape (n, n).
    finite : numpy.ndarray
        Whether the coordinates of an atom are finite, bool, shape (n,).
    charges : numpy.ndarray or None
        Formal charges of the best closed-shell structure, (n,) int; None where there is none.
    molecule : rdkit.Chem.RWMol or None
        That structure sanitised, with the conformer, without stereo labels; fragments are allowed.
    """

    lengths: np.ndarray
    orders: np.ndarray
    bonded: np.ndarray
    finite: np.ndarray
    charges: np.ndarray | None = None
    molecule: Chem.RWMol | None = None


def perceive(numbers: np.ndarray, positions: np.ndarray, charge: int = 0) -> Perceived:
    """Perceive bonds and charges of one molecule.

    Parameters
    ----------
    numbers : numpy.ndarray
        Atomic numbers, shape (n,); elements without a known valence leave it without a structure.
    positions : numpy.ndarray
        Angstrom, shape (n, 3).
    charge : int
        Total charge.
    """
    lengths = distances(positions)
    orders = orders_of_lengths(numbers, lengths)
    bonded = connectivity(numbers, lengths, orders)
    finite = np.isfinite(positions).all(axis=1)
    found = Perceived(lengths, orders, bonded, finite)
    return _solved(found, numbers, positions, charge) if finite.all() else found


def perceived_molecule(
    numbers: np.ndarray, positions: np.ndarray, charge: int = 0
) -> Chem.RWMol | None:
    """The molecule that coordinates show, with bonds, formal charges and conformer.

    Unlike :func:`perceive` it also tries bonds longer than EDM's limit where without them there is
    no structure, or one with more charges or fragments than it need have.

    Returns
    -------
    rdkit.Chem.RWMol or None
        Sanitised, without stereo labels. None if there are no atoms, a coordinate is not finite, or
        there is no closed-shell structure of this charge.
    """
    if len(numbers) == 0:
        return None
    first = perceive(numbers, positions, charge)
    if not first.finite.all() or _oddity(numbers, first) == (abs(charge), 0, 1):
        return first.molecule
    longer = with_long_bonds(numbers, first.lengths, first.bonded)
    if np.array_equal(longer, first.bonded):
        return first.molecule
    second = _solved(first._replace(bonded=longer), numbers, positions, charge)
    return min(first, second, key=lambda found: _oddity(numbers, found)).molecule


def _solved(graph: Perceived, numbers: np.ndarray, positions: np.ndarray, charge: int) -> Perceived:
    lewis = lewis_structure(numbers, graph.bonded, graph.orders, graph.lengths, charge)
    molecule = None if lewis is None else build(numbers, *lewis, positions)
    return graph._replace(charges=None if molecule is None else lewis[1], molecule=molecule)


def _oddity(numbers: np.ndarray, found: Perceived) -> tuple[float, ...]:
    """Formal charges, those of carbon, and fragments; infinity where there is no molecule."""
    if found.molecule is None:
        return (np.inf,)
    charges = np.abs(found.charges)
    return charges.sum(), charges[numbers == 6].sum(), len(Chem.GetMolFrags(found.molecule))


@cache
def _radii() -> np.ndarray:
    table = Chem.GetPeriodicTable()
    return np.array([0.0] + [table.GetRcovalent(number) for number in range(1, 119)], np.float32)


@cache
def _element_mask(numbers: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(119, bool)
    mask[list(numbers)] = True
    return mask


def _within(numbers: np.ndarray, lengths: np.ndarray, factor: float) -> np.ndarray:
    """Pairs closer than a multiple of the sum of their covalent radii, bool (n, n)."""
    radii = _radii()[numbers]
    near = lengths < factor * (radii[:, None] + radii[None, :])
    covalent = ~_element_mask(_IONIC)[numbers]
    near &= covalent[:, None] & covalent[None, :]
    np.fill_diagonal(near, False)
    return near


def connectivity(numbers: np.ndarray, lengths: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The bond graph, bool (n, n), of distances (n, n) and the orders that EDM reads from them."""
    bonded = orders > 0
    heavy = ~_element_mask(_EDM_PAIRS)[numbers]
    if heavy.any():
        near = _within(numbers, lengths, _RADIUS_FACTOR)
        bonded |= near & (heavy[:, None] | heavy[None, :])
    return bonded


def with_long_bonds(numbers: np.ndarray, lengths: np.ndarray, bonded: np.ndarray) -> np.ndarray:
    """A bond graph (n, n) with bonds as long as in strained cages and crowded carbons added."""
    return bonded | _within(numbers, lengths, _LONG_BOND_FACTOR)


def build(
    numbers: np.ndarray,
    orders: np.ndarray,
    charges: np.ndarray,
    positions: np.ndarray | None = None,
) -> Chem.RWMol | None:
    """Sanitised molecule, or None where RDKit refuses it or would add hydrogens."""
    molecule = molecule_from_orders(numbers, orders, positions)
    for index in np.flatnonzero(charges).tolist():
        molecule.GetAtomWithIdx(index).SetFormalCharge(int(charges[index]))
    if not sanitizes(molecule) or molecule.GetNumAtoms(onlyExplicit=False) > len(numbers):
        return None
    return molecule


def sanitizes(molecule: Chem.Mol) -> bool:
    """Sanitise in place and say whether RDKit accepted the molecule."""
    return Chem.SanitizeMol(molecule, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE


@cache
def neutral_valences(number: int) -> frozenset[int]:
    """Valences of the neutral atom in :data:`ALLOWED_STATES`, aromatic bonds aside."""
    symbol = Chem.GetPeriodicTable().GetElementSymbol(number)
    states = ALLOWED_STATES.get((symbol, 0), ())
    return frozenset(valence for aromatic, valence in states if aromatic == 0)


@cache
def _has_valences() -> np.ndarray:
    """Whether each element is in :data:`ALLOWED_STATES`, by atomic number: bool (119,)."""
    known = np.zeros(119, bool)
    known[[SYMBOL_NUMBERS[symbol] for symbol, _ in ALLOWED_STATES]] = True
    return known


def has_valences(numbers: np.ndarray) -> np.ndarray:
    """Which elements are in :data:`ALLOWED_STATES`: others have no structure."""
    return _has_valences()[numbers]


def state_allowed(
    atom: Chem.Atom, states: dict[tuple[str, int], frozenset[tuple[int, int]]] = ALLOWED_STATES
) -> bool:
    """Whether an atom's state is in a table such as :data:`ALLOWED_STATES`."""
    kind, state = state_of(atom)
    return state in states.get(kind, ())


def state_of(atom: Chem.Atom) -> tuple[tuple[str, int], tuple[int, int]]:
    """Element and formal charge; number of aromatic bonds and sum of the other bonds' orders."""
    aromatic, valence = 0, 0.0
    for bond in atom.GetBonds():
        if bond.GetIsAromatic():
            aromatic += 1
        else:
            valence += bond.GetBondTypeAsDouble()
    return (atom.GetSymbol(), atom.GetFormalCharge()), (aromatic, int(valence))

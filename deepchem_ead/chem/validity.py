"""Whether atoms and coordinates are a molecule that can be shown, and why not."""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.bonds import distances, molecule_from_orders
from deepchem_ead.chem.elements import formula_of, symbol_of
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.limits import too_many_pairs
from deepchem_ead.chem.perception import has_valences, neutral_valences, perceive
from deepchem_ead.chem.rdkit_io import mol_from_graph, molecule_of

# Fragments of a complex or a salt are near each other: force fields neglect what is farther away.
_NEAR = 12.0


def judge(
    numbers: np.ndarray,
    positions: np.ndarray,
    charge: int = 0,
    graph: MolecularGraph | None = None,
    sampled: bool = False,
) -> tuple[Chem.Mol | None, str | None]:
    """The molecule as it is shown, or why there is none.

    Parameters are those of :func:`deepchem_ead.chem.rdkit_io.molecule_of`, and

    Parameters
    ----------
    sampled : bool
        A generator made it: several fragments are then debris, which RDKit would call valid. Those
        that somebody gave without bonds may be a complex or a salt, but have to be near each other.

    Returns
    -------
    mol : rdkit.Chem.Mol or None
        Sanitised, with bonds, formal charges, stereo labels and conformer.
    reason : str or None
        Why there is no molecule; None if there is one.
    """
    if len(numbers) == 0:
        return None, "no atoms"
    if not np.isfinite(positions).all():
        return None, "coordinates not finite"
    given = graph is not None and graph.bonds is not None
    known = given or has_valences(numbers)
    if not np.all(known):
        return None, f"no known valence of {symbol_of(int(numbers[np.argmin(known)]))}"
    too_many = None if given else too_many_pairs(len(numbers))
    if too_many is not None:
        return None, too_many
    mol = molecule_of(numbers, positions, charge, graph)
    if mol is None:
        return None, broken_graph(numbers, positions, charge, graph)[2]
    reason = None if given else _debris(mol, numbers, positions, sampled)
    return (mol, None) if reason is None else (None, reason)


def _debris(mol: Chem.Mol, numbers: np.ndarray, positions: np.ndarray, sampled: bool) -> str | None:
    fragments = [list(atoms) for atoms in Chem.GetMolFrags(mol)]
    if len(fragments) == 1:
        return None
    formulas = ", ".join(formula_of(numbers[atoms]) for atoms in fragments[:3])
    what = f"{len(fragments)} fragments ({formulas}{', ...' if len(fragments) > 3 else ''})"
    if sampled:
        return what
    gap = _widest_gap(distances(positions), fragments)
    return f"{what} {gap:,.0f} Angstrom apart" if gap > _NEAR else None


def _widest_gap(lengths: np.ndarray, fragments: list[list[int]]) -> float:
    """The longest step one has to take to go from fragment to fragment, Angstrom."""
    inside, outside = list(fragments[0]), [i for part in fragments[1:] for i in part]
    part_of = {i: part for part in fragments for i in part}
    widest = 0.0
    while outside:
        steps = lengths[np.ix_(inside, outside)].min(axis=0)
        widest = max(widest, float(steps.min()))
        reached = part_of[outside[int(steps.argmin())]]
        inside += reached
        outside = [i for i in outside if i not in reached]
    return widest


def broken_graph(
    numbers: np.ndarray, positions: np.ndarray, charge: int, graph: MolecularGraph | None
) -> tuple[Chem.RWMol, set[int], str]:
    """An invalid molecule with the bonds given or perceived, the offending atoms, and the reason.

    Parameters are those of :func:`judge`; there are atoms, coordinates are finite, elements known.
    """
    if graph is not None and graph.bonds is not None:
        mol = mol_from_graph(numbers, positions, graph)
        atoms = _refused(mol)
        why = "cannot be sanitised"
    else:
        with rdBase.BlockLogs():
            found = perceive(numbers, positions)
        orders = np.maximum(found.orders, found.bonded)
        sums = orders.sum(axis=1, dtype=np.int64).tolist()
        pairs = enumerate(zip(numbers.tolist(), sums, strict=True))
        atoms = {k for k, (number, total) in pairs if total not in neutral_valences(number)}
        mol = molecule_from_orders(numbers, orders, positions)
        atoms = atoms or _refused(mol)
        why = f"no closed-shell structure of charge {charge:+d}" if charge else "no closed shells"
    return mol, atoms, _valence(mol, min(atoms)) if atoms else why


def _refused(mol: Chem.Mol) -> set[int]:
    """Atoms whose valence RDKit does not allow, such as the chlorine of ClF3."""
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(mol)
    return {p.GetAtomIdx() for p in problems if hasattr(p, "GetAtomIdx")}


def _valence(mol: Chem.Mol, index: int) -> str:
    atom = mol.GetAtomWithIdx(index)
    valence = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
    return f"{atom.GetSymbol()} with valence {valence:g}"

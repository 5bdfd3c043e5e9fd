"""GFN2-xTB: a molecule's energy, electrons, and the way to its minimum.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019), by the package tblite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.geometry import dihedrals
from deepchem_ead.metrics.minimum import BOHR, EV, HARTREE, minimise, superposed_rmsd
from deepchem_ead.metrics.view import MoleculeView

_DEBYE = 2.541746473
_ACCURACY = 10.0  # of self-consistency: strains move by 0.001 kcal/mol, 1 takes a tenth longer
#: Accepted steps after which the molecule counts as locally relaxed: bond lengths are then right,
#: while torsions have hardly moved.
LOCAL_STEPS = 3
_BROKEN, _FORMED = 1.35, 1.15  # times the sum of covalent radii


#: Two atoms.
Pair = tuple[int, int]


class Relaxation(NamedTuple):
    """What GFN2-xTB says of a molecule.

    Attributes
    ----------
    strain, local_strain : float
        Energy above the minimum, kcal/mol; of the geometry, and after `LOCAL_STEPS` steps.
    gap : float
        HOMO-LUMO gap of the geometry, eV.
    dipole : float
        Debye.
    rmsd : float
        Angstrom, all atoms.
    bonds_changed : int
        Bonds broken and formed on the way.
    proton_moved : bool
        These are those of protons that went from cations to anions, or to another base of the
        cation, and no others: what the gas phase does. The minimum is then another molecule's.
    bonds, angles, torsions : float
        Mean absolute changes of bond lengths (Angstrom), angles and torsions (degrees); NaN
        without any.
    converged : bool
    """

    strain: float
    local_strain: float
    gap: float
    dipole: float
    rmsd: float
    bonds_changed: int
    proton_moved: bool
    bonds: float
    angles: float
    torsions: float
    converged: bool


def relaxation(view: MoleculeView) -> Relaxation | None:
    """Minimise a whole molecule; None where there is none, or no self-consistent energy."""
    from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError

    if view.whole is None:
        return None
    try:
        return _relaxation(view, view.whole)
    except (TBLiteRuntimeError, TBLiteValueError, np.linalg.LinAlgError):
        return None


def _relaxation(view: MoleculeView, mol: Chem.Mol) -> Relaxation:
    from tblite.interface import Calculator

    start = np.asarray(view.positions, float)
    numbers = view.numbers.astype(int)
    charge = Chem.GetFormalCharge(mol)
    calculator = Calculator("GFN2-xTB", numbers, start / BOHR, charge=float(charge))
    calculator.set("verbosity", 0)
    calculator.set("accuracy", _ACCURACY)
    first = calculator.singlepoint()
    gap, dipole = _gap(first), float(np.linalg.norm(first.get("dipole"))) * _DEBYE
    latest = [first]

    def energy(x: np.ndarray) -> tuple[float, np.ndarray]:
        calculator.update(positions=x)
        latest[0] = calculator.singlepoint(latest[0])  # its density is the next one's guess
        return latest[0].get("energy"), latest[0].get("gradient")

    found = minimise(energy, numbers, start)
    lowest = found.energies[-1]
    local = found.energies[min(LOCAL_STEPS, len(found.energies) - 1)]
    broken, formed = _bonds_changed(mol, found.positions)
    bonds, angles, torsions = _changes(mol, start, found.positions)
    return Relaxation(
        (found.energies[0] - lowest) * HARTREE,
        (local - lowest) * HARTREE,
        gap,
        dipole,
        superposed_rmsd(start, found.positions),
        len(broken) + len(formed),
        _is_proton_shift(mol, broken, formed),
        bonds,
        angles,
        torsions,
        found.converged,
    )


def _gap(result) -> float:
    """eV between the highest occupied orbital and the next; 0 for none."""
    energies, occupations = result.get("orbital-energies"), result.get("orbital-occupations")
    occupied = np.asarray(occupations) > 1.0
    if not occupied.any() or occupied.all():
        return float("nan")
    return float(np.min(energies[~occupied]) - np.max(energies[occupied])) * EV


def _bonds_changed(mol: Chem.Mol, x: np.ndarray) -> tuple[list[Pair], list[Pair]]:
    """Atoms of the bonds that are broken at positions x (n, 3), and of those that have formed."""
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(a.GetAtomicNum()) for a in mol.GetAtoms()])
    ratio = np.linalg.norm(x[:, None] - x[None, :], axis=-1) / (radii[:, None] + radii[None, :])
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    broken, formed = bonded & (ratio > _BROKEN), ~bonded & (ratio < _FORMED)
    return _pairs(broken), _pairs(formed)


def _pairs(which: np.ndarray) -> list[Pair]:
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(which, 1))]


def _is_proton_shift(mol: Chem.Mol, broken: list[Pair], formed: list[Pair]) -> bool:
    """Whether every change is a hydrogen that leaves a cation for a hetero atom.

    In a molecule with an anion, or without one but charged.
    """
    left, gained = _partners(mol, broken), _partners(mol, formed)
    if left is None or gained is None or not left or left.keys() != gained.keys():
        return False
    # Of an anion: which of a carboxylate's atoms bears the charge is a matter of writing.
    ionic = any(atom.GetFormalCharge() < 0 for atom in mol.GetAtoms())
    ionic |= Chem.GetFormalCharge(mol) > 0
    takes = all(a.GetAtomicNum() in (7, 8, 16) and a.GetFormalCharge() < 1 for a in gained.values())
    return ionic and takes and all(atom.GetFormalCharge() > 0 for atom in left.values())


def _partners(mol: Chem.Mol, pairs: list[Pair]) -> dict[int, Chem.Atom] | None:
    """The other atom of each bond by its hydrogen; None if a bond has none, or one has several."""
    found: dict[int, Chem.Atom] = {}
    for i, j in pairs:
        h, other = (i, j) if mol.GetAtomWithIdx(i).GetAtomicNum() == 1 else (j, i)
        if mol.GetAtomWithIdx(h).GetAtomicNum() != 1 or h in found:
            return None
        found[h] = mol.GetAtomWithIdx(other)
    return found


def _changes(mol: Chem.Mol, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    lengths, angles, quadruples = [], [], []
    for bond in mol.GetBonds():
        b, c = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        lengths.append(abs(np.linalg.norm(x[b] - x[c]) - np.linalg.norm(y[b] - y[c])))
        a, d = _other_heavy(mol, b, c), _other_heavy(mol, c, b)
        if a is not None and d is not None:
            quadruples.append((a, b, c, d))
    for atom in mol.GetAtoms():
        near = [n.GetIdx() for n in atom.GetNeighbors()]
        centre = atom.GetIdx()
        for k, i in enumerate(near):
            for j in near[k + 1 :]:
                angles.append(abs(_angle(x, i, centre, j) - _angle(y, i, centre, j)))
    turns = dihedrals(x, quadruples) - dihedrals(y, quadruples)
    return _mean(lengths), _mean(angles), _mean(np.abs((turns + 180) % 360 - 180))


def _mean(values: Sequence[Any] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _other_heavy(mol: Chem.Mol, atom: int, partner: int) -> int | None:
    """The first heavy neighbour of an atom besides its partner."""
    others = [
        n.GetIdx()
        for n in mol.GetAtomWithIdx(atom).GetNeighbors()
        if n.GetIdx() != partner and n.GetAtomicNum() > 1
    ]
    return others[0] if others else None


def _angle(x: np.ndarray, i: int, centre: int, j: int) -> float:
    u, v = x[i] - x[centre], x[j] - x[centre]
    cosine = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

"""GFN2-xTB: a molecule's energy, electrons, and the way to its minimum.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019), by the package tblite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.geometry import dihedral
from deepchem_ead.metrics.minimum import BOHR, EV, HARTREE, Minimum, minimise, superposed_rmsd
from deepchem_ead.metrics.view import MoleculeView

_DEBYE = 2.541746473
_ACCURACY = 10.0  # of self-consistency: strains move by 0.001 kcal/mol, 1 takes a tenth longer
#: Accepted steps after which the molecule counts as locally relaxed: bond lengths are then right,
#: while torsions have hardly moved.
LOCAL_STEPS = 3
_BROKEN, _FORMED = 1.35, 1.15  # times the sum of covalent radii


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
    bonds, angles, torsions = _changes(mol, start, found.positions)
    return Relaxation(
        (found.energies[0] - lowest) * HARTREE,
        (local - lowest) * HARTREE,
        gap,
        dipole,
        superposed_rmsd(start, found.positions),
        _bonds_changed(mol, found),
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


def _bonds_changed(mol: Chem.Mol, found: Minimum) -> int:
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(a.GetAtomicNum()) for a in mol.GetAtoms()])
    x = found.positions
    ratio = np.linalg.norm(x[:, None] - x[None, :], axis=-1) / (radii[:, None] + radii[None, :])
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    changed = (bonded & (ratio > _BROKEN)) | (~bonded & (ratio < _FORMED))
    return int(np.triu(changed, 1).sum())


def _changes(mol: Chem.Mol, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    lengths, angles, torsions = [], [], []
    for bond in mol.GetBonds():
        b, c = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        lengths.append(abs(np.linalg.norm(x[b] - x[c]) - np.linalg.norm(y[b] - y[c])))
        a, d = _other_heavy(mol, b, c), _other_heavy(mol, c, b)
        if a is not None and d is not None:
            turn = dihedral(x, a, b, c, d) - dihedral(y, a, b, c, d)
            torsions.append(abs((turn + 180) % 360 - 180))
    for atom in mol.GetAtoms():
        near = [n.GetIdx() for n in atom.GetNeighbors()]
        centre = atom.GetIdx()
        for k, i in enumerate(near):
            for j in near[k + 1 :]:
                angles.append(abs(_angle(x, i, centre, j) - _angle(y, i, centre, j)))
    return _mean(lengths), _mean(angles), _mean(torsions)


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else float("nan")


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

"""A molecule's own minimum: a quasi-Newton minimiser for smooth energies of few atoms.

Cartesian BFGS from a model Hessian: springs between bonded atoms after Lindh et al. (Chem. Phys.
Lett. 241, 423, 1995), weaker ones between their second neighbours. Steps are limited in length and
taken back where the energy rises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from rdkit import Chem

HARTREE = 627.5094740631  # kcal/mol
BOHR = 0.529177210903  # Angstrom
EV = 27.211386245988  # of a Hartree

#: Energy (Hartree) and gradient (n, 3) (Hartree/Bohr) at positions (n, 3) (Bohr).
Energy = Callable[[np.ndarray], tuple[float, np.ndarray]]

_LONGEST_STEP = 0.4  # Bohr, of one atom
_SECOND_NEIGHBOURS = 0.06  # Hartree/Bohr^2
_FLOOR = 0.02
_BONDED = 1.3  # times the sum of covalent radii


class Minimum(NamedTuple):
    """The end of a minimisation.

    Attributes
    ----------
    positions : numpy.ndarray
        Angstrom, (n, 3).
    energies : list of float
        Hartree, of all geometries on the way that were accepted; the first is the start's.
    converged : bool
    """

    positions: np.ndarray
    energies: list[float]
    converged: bool


def minimise(
    energy: Energy, numbers: np.ndarray, positions: np.ndarray, max_steps: int = 200,
    gradient_limit: float = 2e-3, energy_limit: float = 4e-5,
) -> Minimum:  # fmt: skip
    """Follow the energy downhill.

    Parameters
    ----------
    energy : callable
        See `Energy`.
    numbers : numpy.ndarray
        Atomic numbers, shape (n,), for the model Hessian.
    positions : numpy.ndarray
        Start, Angstrom, shape (n, 3).
    max_steps : int
        Evaluations.
    gradient_limit : float
        Largest component of the gradient at the end, Hartree/Bohr (2e-3: 0.1 eV/Angstrom).
    energy_limit : float
        Largest energy that another step is expected to gain at the end, Hartree.
    """
    x = np.asarray(positions, float).ravel() / BOHR
    hessian = model_hessian(numbers, x.reshape(-1, 3))
    shape = (-1, 3)
    e, g = energy(x.reshape(shape))
    g = np.asarray(g, float).ravel()
    energies, trust = [e], _LONGEST_STEP
    for _ in range(max_steps):
        step, gain = _step(hessian, g, trust)
        if np.abs(g).max() < gradient_limit and gain < energy_limit:
            return Minimum(x.reshape(shape) * BOHR, energies, True)
        new_e, new_g = energy((x + step).reshape(shape))
        new_g = np.asarray(new_g, float).ravel()
        change = new_g - g
        curvature = step @ change
        if curvature > 1e-10:
            moved = hessian @ step
            hessian += np.outer(change, change) / curvature
            hessian -= np.outer(moved, moved) / (step @ moved)
        if new_e > e + 1e-7:
            trust = max(0.25 * trust, 1e-3)
            if trust <= 1e-3 and gain < energy_limit:
                break
            continue
        if e - new_e > 0.5 * gain:
            trust = min(2 * trust, _LONGEST_STEP)
        x, e, g = x + step, new_e, new_g
        energies.append(e)
    return Minimum(x.reshape(shape) * BOHR, energies, False)


def _step(hessian: np.ndarray, g: np.ndarray, trust: float) -> tuple[np.ndarray, float]:
    """A Newton step, shortened to the trusted length, and the energy that it should gain."""
    step = -np.linalg.solve(hessian, g)
    longest = np.linalg.norm(step.reshape(-1, 3), axis=1).max()
    if longest > trust:
        step *= trust / longest
    return step, float(-(g @ step) - 0.5 * step @ hessian @ step)


def model_hessian(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Springs (3n, 3n), Hartree/Bohr^2, between atoms at x (n, 3), Bohr."""
    n = len(numbers)
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(int(number)) for number in numbers]) / BOHR
    apart = x[:, None] - x[None, :]
    lengths = np.linalg.norm(apart, axis=-1) + np.eye(n)
    sums = radii[:, None] + radii[None, :]
    bonded = (lengths < _BONDED * sums) & ~np.eye(n, dtype=bool)
    second = (bonded.astype(int) @ bonded.astype(int) > 0) & ~bonded & ~np.eye(n, dtype=bool)
    # Lindh's 0.45 exp(a (r0^2 - r^2)), with the sum of radii for r0.
    springs = np.where(bonded, 0.45 * np.exp(0.3 * (sums**2 - lengths**2)), 0.0)
    springs = np.where(second, _SECOND_NEIGHBOURS, springs)
    unit = apart / lengths[..., None]
    blocks = -springs[..., None, None] * unit[..., :, None] * unit[..., None, :]
    diagonal = -blocks.sum(axis=1)
    blocks[np.arange(n), np.arange(n)] = diagonal
    hessian = blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    return hessian + _FLOOR * np.eye(3 * n)


def superposed_rmsd(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square distance of points (n, 3) after the best turn and shift."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    u, s, vt = np.linalg.svd(x.T @ y)
    s[-1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))
    square = (x**2).sum() + (y**2).sum() - 2 * s.sum()
    return float(np.sqrt(max(square, 0.0) / len(x)))

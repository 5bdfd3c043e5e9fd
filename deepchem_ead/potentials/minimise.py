"""L-BFGS: a minimum of an energy from its gradient alone, without line searches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

#: The longest way of an atom in a step, Angstrom.
_LONGEST_STEP = 0.2
_MEMORY = 30


def minimise(
    energy: Callable[[np.ndarray], tuple[float, np.ndarray]],
    positions: np.ndarray,
    hessian: np.ndarray,
    max_force: float,
    max_steps: int,
) -> tuple[np.ndarray, float, bool]:
    """Follow an energy downhill until no atom feels more than a force.

    Parameters
    ----------
    energy : callable
        Positions (n, 3) in Angstrom to the energy in eV and its gradient (n, 3) in eV/Angstrom.
    positions : ndarray (n, 3) float64
        Start, Angstrom.
    hessian : ndarray (3n, 3n)
        A guess at the second derivatives, positive definite, eV/Angstrom^2.
    max_force : float
        Length of the largest force on an atom in the end, eV/Angstrom.
    max_steps : int
        Steps after which it gives up.

    Returns
    -------
    positions : ndarray (n, 3)
    energy : float
        At these positions, eV.
    converged : bool

    References
    ----------
    .. [1] Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
       Mathematical Programming 45, 503 (1989).
    """
    x = np.array(positions, dtype=np.float64)
    steps: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_MEMORY)
    factor = cho_factor(hessian)
    value, gradient = energy(x)
    for _ in range(max_steps):
        if _longest(gradient) <= max_force:
            return x, value, True
        step = -_inverse_hessian_times(gradient.ravel(), steps, factor).reshape(x.shape)
        step *= min(1.0, _LONGEST_STEP / _longest(step))
        before = gradient
        x = x + step
        value, gradient = energy(x)
        change = (gradient - before).ravel()
        curvature = float(step.ravel() @ change)
        if curvature > 0:  # else the approximation would not stay positive definite
            steps.append((step.ravel(), change, 1 / curvature))
    return x, value, _longest(gradient) <= max_force


def _longest(vectors: np.ndarray) -> float:
    return float(np.sqrt(np.square(vectors).sum(axis=1).max()))


def _inverse_hessian_times(
    gradient: np.ndarray, steps: deque[tuple[np.ndarray, np.ndarray, float]], guess: tuple
) -> np.ndarray:
    """The two loops of L-BFGS over past (step, change of the gradient, 1 / their product)."""
    q = gradient.copy()
    factors = []
    for step, change, inverse in reversed(steps):
        factors.append(inverse * float(step @ q))
        q -= factors[-1] * change
    q = cho_solve(guess, q)
    for (step, change, inverse), factor in zip(steps, reversed(factors), strict=True):
        q += step * (factor - inverse * float(change @ q))
    return q

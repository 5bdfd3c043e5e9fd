r"""Reverse transition kernels: each step solves a well-conditioned sampling problem of its own.

From level t to s the exact kernel is ``p(y_s | y_t) ~ p_s(y_s) N(y_t; y_s, tau_t^2 - tau_s^2)``.
With ``r = tau_s^2 / tau_t^2``, ``v^2 = tau_s^2 (1 - r)`` and ``m(y) = r y_t + (1 - r) D(y, tau_s)``
for the denoiser D, the gradient of its logarithm is ``(m(y) - y) / v^2``. If the Hessian of
``log p_s`` is bounded by ``1 / tau_s^2``, which from above its noise sees to and which from below
is what the theory assumes of data, and if a step is no larger than ``tau_t^2 - tau_s^2 = tau_s^2 /
2``, that of the kernel's negative logarithm lies between ``1 / (3 v^2)`` and ``1 / v^2``: the
problem is strongly log-concave, with a condition number of at most 3. Step sizes are in units of v.

References
----------
Huang et al., Reverse transition kernel, arXiv:2405.16387; arXiv:2601.08963.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import any_channel, as_column, eta_step
from deepchem_ead.sampling.state import Query, Transition
from deepchem_ead.sampling.steppers import MemorylessStepper

#: Smallest eigenvalue of the Hessian in units of the largest, see above.
SMALLEST_CURVATURE = 1 / 3


@dataclass(frozen=True)
class RTKStepper(MemorylessStepper):
    """The mode of the kernel, ``y = r y_t + (1 - r) D(y, tau_s)``, by fixed-point iterations.

    The first iteration uses the estimate that there is, at y_t, and is the mean of EDM's posterior;
    each further one asks the network once. Deterministic, and not distribution preserving: a mode
    has no spread, so what comes out is more alike than the data.

    Parameters
    ----------
    iterations : int
        Fixed-point iterations, at least 1: evaluations a step.
    """

    iterations: int = 3

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        kernel = _Kernel(transition)
        y = kernel.mean(transition.x_hat)
        for _ in range(self.iterations - 1):
            y = kernel.mean((yield kernel.query(y)))
        return kernel.moved(y)


@dataclass(frozen=True)
class RTKLangevinStepper(MemorylessStepper):
    """The kernel by unadjusted Langevin dynamics (RTK-ULA).

    Starts from EDM's posterior and makes steps ``y <- y + h (m(y) - y) + sqrt(2 h) v xi``, each of
    which asks the network once.

    Parameters
    ----------
    iterations : int
        Langevin steps, at least 1: a step takes one evaluation more than these.
    step_size : float
        h, in units of ``v^2``. 0: the one that leaves the smallest error of the variance after so
        many steps, at the worst curvature there may be (see `best_step_size`).
    """

    iterations: int = 4
    step_size: float = 0.0

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)
        _check_step_size(self.step_size)

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        kernel = _Kernel(transition)
        y = kernel.start()
        h = self.step_size or best_step_size(langevin_variance, self.iterations)
        for _ in range(self.iterations):
            towards = kernel.mean((yield kernel.query(y))) - y
            y = y + h * towards + math.sqrt(2 * h) * kernel.spread * transition.draw()
        return kernel.moved(y)


@dataclass(frozen=True)
class RTKUnderdampedStepper(MemorylessStepper):
    """The kernel by underdamped Langevin dynamics (RTK-ULD), whose error falls faster.

    Starts from EDM's posterior and a velocity drawn at random; each step solves the dynamics
    exactly for the force where it begins.

    Parameters
    ----------
    iterations : int
        Steps, at least 1: a step takes one evaluation more than these.
    step_size : float
        Time of a step, in units of v. 0: as for `RTKLangevinStepper`.
    friction : float
        In units of ``1 / v``; 2 as in the reference.

    References
    ----------
    Cheng et al., arXiv:1707.03663, Algorithm 1 and lemma 11 with u = 1 / L.
    """

    iterations: int = 4
    step_size: float = 0.0
    friction: float = 2.0

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)
        _check_step_size(self.step_size)
        if not self.friction > 0:
            raise ValueError(f"the friction must be positive, not {self.friction}")

    def step(self, transition: Transition) -> Generator[Query, Tensor, Tensor]:
        kernel = _Kernel(transition)
        y, velocity = kernel.start(), kernel.spread * transition.draw()
        h = self.step_size or best_step_size(self._variance, self.iterations)
        move = _Underdamped(self.friction, h)
        for _ in range(self.iterations):
            force = kernel.mean((yield kernel.query(y))) - y
            first, second = (kernel.spread * transition.draw() for _ in range(2))
            y, velocity = (
                y + move.drift * velocity + move.push * force + move.noise_y * first,
                move.decay * velocity
                + move.drift * force
                + move.noise_shared * first
                + move.noise_v * second,
            )
        return kernel.moved(y)

    def _variance(self, curvature: np.ndarray, h: float, iterations: int) -> np.ndarray:
        return underdamped_variance(curvature, h, iterations, self.friction)


class _Kernel:
    """``p(y_s | y_t)`` of one transition."""

    def __init__(self, transition: Transition) -> None:
        self._transition = transition
        self._next_levels = transition.next_levels
        self._moves = transition.next_levels < transition.levels
        ratio = (transition.tau_s / transition.tau_t) ** 2
        self._ratio = as_column(ratio, transition.w)
        #: v, as it is multiplied with states.
        self.spread = as_column(transition.tau_s * torch.sqrt(1 - ratio), transition.w)

    def start(self) -> Tensor:
        """EDM's posterior: exact if the estimate does not depend on the state."""
        t = self._transition
        return eta_step(t.w, t.x_hat, t.tau_t, t.tau_s, t.noise)

    def mean(self, x_hat: Tensor) -> Tensor:
        """m, given an estimate at level s."""
        return self._ratio * self._transition.w + (1 - self._ratio) * x_hat

    def query(self, y: Tensor) -> Query:
        """What the network is asked about a candidate for y_s."""
        return Query(self.moved(y), self._next_levels, any_channel(self._moves))

    def moved(self, y: Tensor) -> Tensor:
        """The candidate, with what does not move as it was, to the last bit."""
        still = self._transition.tau_s == self._transition.tau_t
        return torch.where(as_column(still), self._transition.w, y)


class _Underdamped:
    """Coefficients of one underdamped step with a constant force, in units of v."""

    def __init__(self, friction: float, h: float) -> None:
        g, decay = friction, math.exp(-friction * h)
        self.decay = decay
        self.drift = (1 - decay) / g
        self.push = (h - self.drift) / g
        var_y = (2 * g * h - 3 + 4 * decay - decay**2) / g**2
        covariance = (1 - decay) ** 2 / g
        self.noise_y = math.sqrt(max(var_y, 0.0))
        self.noise_shared = covariance / self.noise_y if self.noise_y > 0 else 0.0
        self.noise_v = math.sqrt(max(1 - decay**2 - self.noise_shared**2, 0.0))


def langevin_variance(curvature: np.ndarray, h: float, iterations: int) -> np.ndarray:
    """Variance after Langevin steps from EDM's posterior, as a share of the exact one.

    Parameters
    ----------
    curvature : ndarray, (Q,)
        Of Gaussian kernels, in units of ``1 / v^2``: the exact variance is its inverse.
    h : float
    iterations : int

    Returns
    -------
    ndarray, (Q,)
    """
    variance: np.ndarray = np.ones_like(curvature)
    for _ in range(iterations):
        variance = (1 - h * curvature) ** 2 * variance + 2 * h
    scaled: np.ndarray = variance * curvature
    return scaled


def underdamped_variance(
    curvature: np.ndarray, h: float, iterations: int, friction: float = 2.0
) -> np.ndarray:
    """As `langevin_variance`, for underdamped steps."""
    move = _Underdamped(friction, h)
    yy: np.ndarray = np.ones_like(curvature)
    yv, vv = np.zeros_like(curvature), np.ones_like(curvature)
    a, b = 1 - move.push * curvature, move.drift
    c, d = -move.drift * curvature, move.decay
    for _ in range(iterations):
        yy, yv, vv = (
            a * a * yy + 2 * a * b * yv + b * b * vv + move.noise_y**2,
            a * c * yy + (a * d + b * c) * yv + b * d * vv + move.noise_y * move.noise_shared,
            c * c * yy + 2 * c * d * yv + d * d * vv + move.noise_shared**2 + move.noise_v**2,
        )
    scaled: np.ndarray = yy * curvature
    return scaled


@lru_cache
def best_step_size(variance: Callable[..., np.ndarray], iterations: int) -> float:
    """The step size whose largest relative error of the variance is smallest.

    Over Gaussian kernels of all curvatures between `SMALLEST_CURVATURE` and 1, which is what the
    theory promises of a kernel; nothing is fitted to a network or to molecules.
    """
    curvature = np.linspace(SMALLEST_CURVATURE, 1, 65)
    sizes = np.geomspace(0.01, 1.99, 400)
    worst = [np.abs(variance(curvature, h, iterations) - 1).max() for h in sizes]
    return float(sizes[int(np.argmin(worst))])


def _check_iterations(iterations: int) -> None:
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")


def _check_step_size(step_size: float) -> None:
    if not 0 <= step_size < 2:
        raise ValueError(f"step_size must lie between 0 and 2, not {step_size}")

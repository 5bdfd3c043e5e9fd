"""How an atom gets from its level to the next."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from deepchem_ead.diffusion import (
    AtomLayout,
    NoiseSchedule,
    as_column,
    dpm_solver_2m_step,
    eta_step,
    shifted,
)
from deepchem_ead.sampling.state import Query, Transition


class StepperRun(Protocol):
    """A stepper at work on one batch."""

    def step(self, transition: Transition) -> Tensor | Generator[Query, Tensor, Tensor]:
        """State (A, D) after the transition of each atom.

        A stepper that needs further estimates is a generator: each `Query` that it yields comes
        back as the estimate of the clean data (A, D), and what it returns is the new state.
        """

    def remember(self, x_hat: Tensor, tau_t: Tensor, advanced: Tensor, shift: Tensor) -> None:
        """Called after each step.

        Parameters
        ----------
        x_hat, tau_t : Tensor, (A, D) and (A,) or (A, D)
            Those of the transition.
        advanced : Tensor, (A,) or (A, D) bool
            What took the transition and its level.
        shift : Tensor, (A, 3)
            Subtracted from all positions since.
        """


def check_step(run: StepperRun) -> None:
    """Refuse a stepper whose ``step`` does not take one `Transition`.

    Raises
    ------
    ValueError
        Says how it is written now.
    """
    signature = inspect.signature(run.step)
    try:
        signature.bind(None)
    except TypeError:
        raise ValueError(
            f"{type(run).__name__}.step{signature} takes something else than one Transition: write "
            "step(self, transition) and read transition.w, x_hat, tau_t, tau_s and noise (see "
            "deepchem_ead/sampling/heun.py)"
        ) from None


class Stepper(Protocol):
    """A kind of transition."""

    def begin(self, noise_schedule: NoiseSchedule) -> StepperRun:
        """Start a run, with a memory of its own."""


class MemorylessStepper:
    """Base of steppers whose steps do not depend on the ones before."""

    def begin(self, noise_schedule: NoiseSchedule) -> Self:
        return self

    def remember(self, x_hat: Tensor, tau_t: Tensor, advanced: Tensor, shift: Tensor) -> None:
        """Nothing."""


class MoleculeStepper(MemorylessStepper):
    """Base of steppers that look at whole molecules: they are told which atoms are one.

    The sampling loop calls `on` of what has it, once, and takes steps with what it returns.
    """

    def on(self, layout: AtomLayout) -> StepperRun:
        """The stepper at work on molecules of this layout."""
        return _OnMolecules(self, layout)

    def step(self, transition: Transition) -> Tensor:
        raise ValueError(f"{self} looks at whole molecules: take steps with its on(layout)")

    def step_of(self, transition: Transition, layout: AtomLayout) -> Tensor:
        """As `StepperRun.step`, for molecules of this layout."""
        raise NotImplementedError


class _OnMolecules(MemorylessStepper):
    def __init__(self, stepper: MoleculeStepper, layout: AtomLayout) -> None:
        self._stepper, self._layout = stepper, layout

    def step(self, transition: Transition) -> Tensor:
        return self._stepper.step_of(transition, self._layout)


def check_share(eta: float, noise_scale: float) -> None:
    """Refuse a share of the posterior's noise, or a factor of it, that is none."""
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta must lie between 0 and 1, not {eta}")
    if not noise_scale >= 0:
        raise ValueError(f"noise_scale must not be negative, not {noise_scale}")


@dataclass(frozen=True)
class EtaStepper(MemorylessStepper):
    """The eta family: ``eta=1`` is EDM's ancestral sampling, ``eta=0`` is DDIM.

    Parameters
    ----------
    eta : float
        Share of the posterior's noise, 0 to 1.
    noise_scale : float
        Factor of the noise that is added, at least 0. Below 1 states become less noisy than their
        levels say and molecules more typical: fewer errors, less diversity (a low temperature).
        Unlike a smaller ``eta`` it leaves the share of the old noise that is kept as it is.

    References
    ----------
    Ho et al., arXiv:2006.11239, eq. 7; Song et al., arXiv:2010.02502, eq. 12. Scaled noise as in
    RFdiffusion (Watson et al., doi:10.1038/s41586-023-06415-8).
    """

    eta: float = 1.0
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.eta, self.noise_scale)

    def step(self, transition: Transition) -> Tensor:
        w, x_hat, _, _, tau_t, tau_s, noise, _ = transition
        return eta_step(w, x_hat, tau_t, tau_s, self.noise_scale * noise, self.eta)


@dataclass(frozen=True)
class DPMSolverStepper:
    """DPM-Solver++(2M), deterministic and of second order, for few steps.

    Every atom looks back to its own previous transition, so atoms may have grids of their own.
    Steps to level 0 are of first order: tau falls so far there that extrapolation overshoots, and
    one such step does not change the order of the whole.

    References
    ----------
    Lu et al., DPM-Solver++, arXiv:2211.01095, Algorithm 2.
    """

    def begin(self, noise_schedule: NoiseSchedule) -> StepperRun:
        return _DPMSolverRun(noise_schedule)


class _DPMSolverRun:
    def __init__(self, noise_schedule: NoiseSchedule):
        self._last_tau = float(noise_schedule.tau[0])
        self._x_hat: Tensor | None = None
        self._tau: Tensor | None = None

    def step(self, transition: Transition) -> Tensor:
        w, x_hat, _, _, tau_t, tau_s, _, _ = transition
        previous = self._tau
        if previous is not None:
            # a previous tau equal to the present one asks for a first-order step
            previous = torch.where(tau_s <= self._last_tau, tau_t, previous)
        return dpm_solver_2m_step(w, x_hat, tau_t, tau_s, self._x_hat, previous)

    def remember(self, x_hat: Tensor, tau_t: Tensor, advanced: Tensor, shift: Tensor) -> None:
        if self._x_hat is None or self._tau is None:
            # right for atoms that have not moved, too: their tau remains the present one
            self._x_hat, self._tau = x_hat, tau_t
        else:
            self._x_hat = torch.where(as_column(advanced), x_hat, self._x_hat)
            self._tau = torch.where(advanced, tau_t, self._tau)
        # the state was shifted, and estimates of two steps are compared in one frame
        self._x_hat = shifted(self._x_hat, -shift)

"""What happens to an atom that is denoised again at the level it has.

The paper's words ("multiple denoising steps at the same noise level") leave this open. All rules
get the same arguments and work on all columns of the variance-exploding state alike:

w, x_hat : Tensor, (A, D)
    State at level t and estimate of the clean data.
moved : Tensor, (A, D)
    The state the transition from t to s would lead to, s one step below t.
tau_t, tau_s : Tensor, (A,) or (A, D) float64
noise : Tensor, (A, D)
    Fresh noise of the process, independent of the transition's.

They return the new state (A, D), which counts as being at level t. A rule with options is an object
that is called in the same way.

Let p be the distribution of the noisy data at level t. `hold` and `repaint` preserve p, `langevin`
does for small steps, `literal` drifts towards p^2 (a temperature of 1/2), and `renoise` loses
variance.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from deepchem_ead.diffusion import as_column, forward_step, langevin_step

RepeatRule = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def literal(
    w: Tensor, x_hat: Tensor, moved: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor
) -> Tensor:
    """The paper's wording: make the transition from t to s but go on calling it level t.

    Not distribution preserving: each repeat removes noise the label does not account for.
    """
    return moved


def repaint(
    w: Tensor, x_hat: Tensor, moved: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor
) -> Tensor:
    """Make the transition from t to s, then add the noise that leads back to t.

    Preserves the distribution at level t as far as the transition is exact.

    References
    ----------
    Lugmayr et al., RePaint, arXiv:2201.09865, Algorithm 1 (resampling).
    """
    return forward_step(moved, tau_s, tau_t, noise)


def hold(
    w: Tensor, x_hat: Tensor, moved: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor
) -> Tensor:
    """Leave the atom alone. Preserves the distribution exactly."""
    return w


def langevin(
    w: Tensor, x_hat: Tensor, moved: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor
) -> Tensor:
    """One Langevin step at level t, as large as the transition to s."""
    return langevin_step(w, x_hat, tau_t, tau_s, noise)


def renoise(
    w: Tensor, x_hat: Tensor, moved: Tensor, tau_t: Tensor, tau_s: Tensor, noise: Tensor
) -> Tensor:
    """Put fresh noise of level t on the estimate of the clean data.

    Not distribution preserving: the estimate is a mean, which varies less than the data.
    """
    return x_hat + as_column(tau_t, w) * noise

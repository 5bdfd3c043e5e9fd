"""How fast an atom changes: what schedules that look at atoms look at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, NoiseSchedule, by_column, channel, joined, shifted
from deepchem_ead.sampling.state import SamplerState, Step

#: Distance (Angstrom) over which a neighbour's weight falls to exp(-1/2): a C-C bond.
NEIGHBOURHOOD = 1.5

Velocity = Callable[[SamplerState, AtomLayout, NoiseSchedule], Tensor]


def latent_velocity(
    state: SamplerState, layout: AtomLayout, noise_schedule: NoiseSchedule
) -> Tensor:
    """Length of the increment of the noisy state, (A,)."""
    return _length(latent_increment(_before(state), state.levels, noise_schedule))


def estimate_velocity(
    state: SamplerState, layout: AtomLayout, noise_schedule: NoiseSchedule
) -> Tensor:
    """Length of the increment of the estimate of the clean data, (A,)."""
    return _length(estimate_increment(_before(state), state.x_hat))


def environment_velocity(
    state: SamplerState, layout: AtomLayout, noise_schedule: NoiseSchedule
) -> Tensor:
    """How much the surroundings of an atom in the estimate of the clean data changed, (A,).

    ``sqrt(sum_j k_ij ((d_ij - d_ij')^2 + |h_j - h_j'|^2))`` over all atoms j of the molecule with
    estimated distances d and features h, the atom's own included, and weights
    ``k_ij = exp(-d_ij^2 / 2 R^2)``, R = 1.5 Angstrom. An atom that moves or turns with its
    neighbours does not change here.
    """
    changes, last = torch.empty_like(state.x_hat[:, 0]), _before(state)
    for group in layout.groups:
        shape = (group.n_molecules, group.size, -1)
        new, old = (x[group.nodes].view(shape) for x in (state.x_hat, last.x_hat))
        distances, before = (_distances(channel(x, "positions")) for x in (new, old))
        weight = torch.exp(-0.5 * (distances / NEIGHBOURHOOD).square())
        types = channel(new - old, "kinds").square().sum(2)
        change = (weight * ((distances - before).square() + types.unsqueeze(1))).sum(2)
        changes[group.nodes] = change.sqrt().flatten()
    return changes


#: What `AdaptiveSchedule` and `SettledFirstSchedule` can look at.
VELOCITIES: dict[str, Velocity] = {
    "latent": latent_velocity,
    "x0hat": estimate_velocity,
    "environment": environment_velocity,
}


def check_velocity(name: str) -> None:
    """Refuse what is none of `VELOCITIES`."""
    if name not in VELOCITIES:
        raise ValueError(f"velocity must be one of {', '.join(VELOCITIES)}, not {name!r}")


def latent_increment(step: Step, levels: Tensor, noise_schedule: NoiseSchedule) -> Tensor:
    """What a step changed in the noisy state, (A, 3 + F), leaving out the shift to the centre.

    Positions: the variance-exploding increment times alpha of the newer level, because the
    variance-preserving one would depend on the origin. Features: the variance-preserving increment.
    """
    width = step.w.shape[1]
    old = by_column(noise_schedule.alpha_at(step.levels).to(step.w.dtype), width)
    new = by_column(noise_schedule.alpha_at(levels).to(step.w.dtype), width)
    before = joined(channel(new * step.w, "positions"), channel(old * step.w, "kinds"))
    return new * step.moved - before


def estimate_increment(step: Step, x_hat: Tensor) -> Tensor:
    """What a step changed in the estimate of the clean data, (A, 3 + F), in one common frame."""
    return shifted(x_hat - step.x_hat, step.shift)


def _before(state: SamplerState) -> Step:
    """The step that led to a state that is not the first: nothing has a velocity before."""
    assert state.last is not None
    return state.last


def _length(increment: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(increment, dim=1)
    return length


def _distances(x: Tensor) -> Tensor:
    # Matrix products would lose digits where molecules are far from the origin.
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")

"""How much signal and noise each noise level holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Variance-preserving noise schedule with tables for the levels 0 (clean) to T (noise).

    A latent is ``z = alpha x + sigma eps`` with ``alpha^2 + sigma^2 = 1``. Divided by alpha it
    becomes the variance-exploding coordinate ``w = x + tau eps`` in which this package keeps every
    state, because there the weights of all transition kernels sum to one, so that they commute with
    translations.

    Attributes
    ----------
    alpha, sigma, gamma, tau : Tensor, (T + 1,) float64
        Signal, noise, ``gamma = -log SNR = 2 log tau`` and ``tau = sigma / alpha``.
    """

    alpha: Tensor
    sigma: Tensor
    gamma: Tensor
    tau: Tensor

    @classmethod
    def polynomial_2(cls, timesteps: int = 1000, precision: float = 1e-5) -> NoiseSchedule:
        """EDM's polynomial schedule, ``alpha^2 ~ (1 - (t/T)^2)^2``.

        The ratio of consecutive ``alpha^2`` is clipped to at least 0.001 and the result is squeezed
        into [precision, 1 - precision], in the order of EDM's released code (the printed formula
        squeezes alpha instead and ends at tau = 1e5 where the code ends at 316).

        Parameters
        ----------
        timesteps : int
            Number of steps T.
        precision : float
            Smallest ``alpha^2`` and smallest ``sigma^2``.

        References
        ----------
        EDM, Hoogeboom et al., arXiv:2203.17003, appendix B.
        """
        check_arguments(timesteps, precision)
        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        alpha2 = (1 - t**2) ** 2
        ratio = alpha2 / torch.cat([alpha2.new_ones(1), alpha2[:-1]])
        alpha2 = torch.cumprod(ratio.clamp(0.001, 1.0), 0)
        return cls.from_alpha2((1 - 2 * precision) * alpha2 + precision)

    @classmethod
    def from_alpha2(cls, alpha2: Tensor) -> NoiseSchedule:
        """A schedule from its decreasing table of ``alpha^2`` (T + 1,), within (0, 1)."""
        alpha2 = alpha2.to(torch.float64)
        alpha, sigma = alpha2.sqrt(), (1 - alpha2).sqrt()
        return cls(alpha, sigma, torch.log1p(-alpha2) - alpha2.log(), sigma / alpha)

    def to(self, device: torch.device | str) -> NoiseSchedule:
        """The same schedule with its tables on another device."""
        tables = (self.alpha, self.sigma, self.gamma, self.tau)
        return NoiseSchedule(*(table.to(device) for table in tables))

    @property
    def timesteps(self) -> int:
        """The highest level T."""
        return self.alpha.shape[0] - 1

    def tau_at(self, levels: Tensor) -> Tensor:
        """Noise-to-signal ratio tau of integer or real levels in [0, T], in float64.

        Between two levels ``log tau`` is interpolated linearly.
        """
        return self._lookup(self.tau, levels)

    def level_at(self, tau: Tensor) -> Tensor:
        """The real levels in [0, T] with these noise-to-signal ratios, in float64.

        The inverse of `tau_at`; ratios outside of the table have the level at its end.
        """
        table = self.tau.to(tau.device)
        tau = tau.to(torch.float64).clamp(table[0], table[-1])
        lower = (torch.searchsorted(table, tau, right=True) - 1).clamp(0, self.timesteps - 1)
        low, high = table[lower], table[lower + 1]
        return lower + torch.log(tau / low) / torch.log(high / low)

    def alpha_at(self, levels: Tensor) -> Tensor:
        """Signal alpha of integer or real levels in [0, T], in float64."""
        if levels.is_floating_point():
            return torch.rsqrt(1 + self.tau_at(levels) ** 2)
        return self._lookup(self.alpha, levels)

    def _lookup(self, table: Tensor, levels: Tensor) -> Tensor:
        table = table.to(levels.device)
        if not levels.is_floating_point():
            return table[levels]
        below = levels.floor()
        lower = below.to(torch.int64)
        low = table[lower]
        fraction = levels.to(torch.float64) - below
        # Saves work on the CPU; on a GPU asking takes longer than the work.
        if levels.device.type == "cpu" and not torch.any(fraction):
            return low
        high = table[(lower + 1).clamp(max=self.timesteps)]
        return low * (high / low) ** fraction


def check_arguments(timesteps: int, precision: float) -> None:
    """Refuse a number of steps or a precision that makes no schedule."""
    if timesteps < 1:
        raise ValueError(f"timesteps must be at least 1, not {timesteps}")
    if not 0 < precision < 0.5:
        raise ValueError(f"precision must lie between 0 and 0.5, not {precision}")

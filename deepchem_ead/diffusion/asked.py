"""What is asked of a process and what it answers, whatever guides stand between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from deepchem_ead.diffusion.bonds import Bonds
from deepchem_ead.diffusion.channels import by_column
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.seen import Denoiser
from deepchem_ead.diffusion.stereo import Stereo


@dataclass(frozen=True, eq=False)
class Asked:
    """Noisy molecules, and what is told about them, of which an estimate is asked.

    Attributes
    ----------
    w : Tensor, (A, 3 + F)
        Variance-exploding state.
    levels : Tensor, (A,) or (A, C)
        Of each atom, or of each of its channels (see `channels`).
    layout : AtomLayout
    context : Tensor, (B, K), optional
        What the denoiser, and each guide, is told about each molecule.
    previous : Tensor, (A, 3 + F), optional
        An earlier estimate of the clean data, in the frame of ``w``, and NaN in molecules that have
        none. It does nothing without self-conditioning.
    bonds : Bonds, optional
        What is given of the bonds. None: nothing. Only for a process that knows bonds, as the next.
    previous_bonds : Tensor, (E, K), optional
        An earlier estimate of the bonds, NaN in molecules that have none. It does nothing without
        self-conditioning, either.
    stereo : Stereo, optional
        What is given of the stereo. None: nothing. Only for a process that is told.
    wants_bonds : bool
        Some bonds are not given. Otherwise nothing need be said of them.
    """

    w: Tensor
    levels: Tensor
    layout: AtomLayout
    context: Tensor | None = None
    previous: Tensor | None = None
    bonds: Bonds | None = None
    previous_bonds: Tensor | None = None
    stereo: Stereo | None = None
    wants_bonds: bool = True

    def replace(self, **changes: Any) -> Asked:
        """The same with other values of some attributes."""
        return replace(self, **changes)

    def take(self, chosen: Tensor) -> Asked:
        """The same of some molecules, (B,) bool."""
        nodes = self.layout.expand(chosen)
        bonds, previous_bonds, stereo = self.bonds, self.previous_bonds, self.stereo
        if bonds is not None or previous_bonds is not None or stereo is not None:
            pairs = nodes[self.layout.pairs.first]
            stereo = None if stereo is None else stereo.take(nodes, pairs)
            bonds = None if bonds is None else bonds.take(pairs)
            previous_bonds = None if previous_bonds is None else previous_bonds[pairs]
        return Asked(
            self.w[nodes],
            self.levels[nodes],
            AtomLayout.from_counts(self.layout.counts[chosen], device=self.w.device),
            None if self.context is None else self.context[chosen],
            None if self.previous is None else self.previous[nodes],
            bonds,
            previous_bonds,
            stereo,
            self.wants_bonds,
        )


class Estimate(NamedTuple):
    """What is answered.

    Attributes
    ----------
    noise : Tensor, (A, 3 + F)
        Its positional part projected.
    bonds : Tensor, (E, K), optional
        Probabilities of the kinds of bonds, where the process knows bonds.
    """

    noise: Tensor
    bonds: Tensor | None = None


class Estimator:
    """Base of `DiffusionProcess` and of the guides around one: what the sampling loop asks."""

    def tau_at(self, levels: Tensor) -> Tensor:
        """Noise-to-signal ratios: the schedule's, but 0 at level 0 where that means known."""
        raise NotImplementedError

    def estimate(self, denoiser: Denoiser, asked: Asked) -> Estimate:
        """The denoiser's estimate."""
        raise NotImplementedError

    def clean(self, asked: Asked, noise: Tensor) -> Tensor:
        """The clean data that an estimate of the noise means, ``x_hat = w - tau eps``."""
        w = asked.w
        return w - by_column(self.tau_at(asked.levels).to(w.dtype), w.shape[1]) * noise

    def predict_noise(self, denoiser: Denoiser, *asked: Any, **told: Any) -> Tensor:
        """The estimate of the noise (A, 3 + F); the other arguments are those of `Asked`."""
        return self.estimate(denoiser, Asked(*asked, **told)).noise

    def predict_clean(self, denoiser: Denoiser, *asked: Any, **told: Any) -> Tensor:
        """The estimate of the clean data (A, 3 + F); the other arguments are those of `Asked`."""
        question = Asked(*asked, **told)
        return self.clean(question, self.estimate(denoiser, question).noise)

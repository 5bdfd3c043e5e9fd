"""The diffusion process: noising, denoising and the training loss, for any per-atom levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deepchem_ead.diffusion.feature_targets import FeatureTarget, NoiseTarget
from deepchem_ead.diffusion.frames import Frame
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.diffusion.level_features import LEVEL_FEATURES
from deepchem_ead.diffusion.schedule import NoiseSchedule

#: ``denoiser(x (A, 3), h (A, F + L + K), layout) -> (dx (A, 3), h_out (A, F or more))``: h holds F
#: features, L columns about the level and K of context.
Denoiser = Callable[[Tensor, Tensor, AtomLayout], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class DiffusionProcess:
    """Positions and features under noise whose level each atom has for itself.

    States are flat tensors (A, 3 + F) in variance-exploding form, ``w = x + tau eps``: positions in
    Angstrom first, then scaled features.

    Attributes
    ----------
    schedule : NoiseSchedule
    frame : Frame
        How translations are dealt with.
    features : FeatureTarget
        What the denoiser says about features.
    level_features : str
        How the denoiser is told an atom's level, see `LEVEL_FEATURES`.
    """

    schedule: NoiseSchedule
    frame: Frame
    features: FeatureTarget = NoiseTarget()
    level_features: str = "linear"

    def to(self, device: torch.device | str) -> DiffusionProcess:
        """The same process with its tables on another device."""
        return replace(self, schedule=self.schedule.to(device), features=self.features.to(device))

    def draw_noise(self, eps: Tensor, layout: AtomLayout) -> Tensor:
        """The noise of the process from independent standard normal draws (A, 3 + F)."""
        return torch.cat([self.frame.noise(eps[:, :3], layout), eps[:, 3:]], 1)

    def add_noise(self, clean: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
        """``w = x + tau eps`` for clean data (A, 3 + F) and levels (A,)."""
        return clean + self.schedule.tau_at(levels).to(clean.dtype).unsqueeze(1) * noise

    def predict_noise(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor | None = None,
    ) -> Tensor:
        """The denoiser's estimate of the noise, its positional part projected, (A, 3 + F).

        The denoiser sees variance-preserving features, then what the feature target makes of them
        (nothing where noise is predicted), then what it is told about the level of
        each node (EDM: ``t / T``, the same number for all nodes), then the molecule's row of
        ``context`` (B, K), if there is one.
        """
        eps_x, h_out = self._outputs(denoiser, w, levels, layout, context)
        tau = self.schedule.tau_at(levels).to(w.dtype).unsqueeze(1)
        return torch.cat([eps_x, self.features.noise(h_out, w[:, 3:], tau)], 1)

    def _outputs(
        self, denoiser: Denoiser, w: Tensor, levels: Tensor, layout: AtomLayout, context
    ) -> tuple[Tensor, Tensor]:
        """Estimated noise of the positions (A, 3), and what the denoiser says about features."""
        alpha = self.schedule.alpha_at(levels)
        x = self.frame.network_input(w[:, :3], alpha.to(w.dtype), layout)
        level = LEVEL_FEATURES[self.level_features](levels, self.schedule).to(w.dtype)
        tau = self.schedule.tau_at(levels).to(w.dtype).unsqueeze(1)
        evidence = self.features.evidence(w[:, 3:], tau)
        inputs = [w[:, 3:] * alpha.to(w.dtype).unsqueeze(1), evidence, level]
        if context is not None:
            inputs.append(layout.expand(context))
        dx, h_out = denoiser(x, torch.cat(inputs, 1), layout)
        return self.frame.project(dx, self.schedule.tau_at(levels), layout), h_out

    def predict_clean(
        self,
        denoiser: Denoiser,
        w: Tensor,
        levels: Tensor,
        layout: AtomLayout,
        context: Tensor | None = None,
    ) -> Tensor:
        """The estimate of the clean data, ``x_hat = w - tau eps_hat``, (A, 3 + F)."""
        eps = self.predict_noise(denoiser, w, levels, layout, context)
        return w - self.schedule.tau_at(levels).to(w.dtype).unsqueeze(1) * eps

    def loss(
        self,
        denoiser: Denoiser,
        clean: Tensor,
        levels: Tensor,
        eps: Tensor,
        layout: AtomLayout,
        node_weight: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Denoising loss of each molecule: error of the noise per degree of freedom.

        ``sum_i weight_i (|eps_hat_i - eps_i|^2 + error_i) / ((3 + F) n)`` with the noise of the
        positions, projected by the frame, and the feature target's error, which is again a squared
        error of noise where that is what is predicted.

        Parameters
        ----------
        denoiser : callable
        clean : Tensor, (A, 3 + F)
        levels : Tensor, (A,)
        eps : Tensor, (A, 3 + F)
            Independent standard normal draws.
        layout : AtomLayout
        node_weight : Tensor, (A,), optional
            Weight of each node, 1 by default.
        context : Tensor, (B, K), optional
            What the denoiser is told about each molecule.

        Returns
        -------
        Tensor, (B,)

        References
        ----------
        EAD, arXiv:2603.10093, eq. 11; the normalisation is EDM's (arXiv:2203.17003, code).
        """
        noise = self.draw_noise(eps, layout)
        w = self.add_noise(clean, levels, noise)
        eps_x, h_out = self._outputs(denoiser, w, levels, layout, context)
        tau = self.schedule.tau_at(levels)
        target_x = self.frame.project(noise[:, :3], tau, layout)
        error = (eps_x - target_x).square().sum(1) + self.features.error(
            h_out, w[:, 3:], tau.to(w.dtype).unsqueeze(1), noise[:, 3:]
        )
        if node_weight is not None:
            error = error * node_weight
        return layout.sum(error) / (layout.counts.to(clean.dtype) * clean.shape[1])

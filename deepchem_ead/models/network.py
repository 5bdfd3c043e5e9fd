"""The trainable part of an EAD model: denoiser, its running average and the diffusion process."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deepchem_ead.denoisers import build_denoiser
from deepchem_ead.diffusion import (
    FRAMES,
    N_LEVEL_FEATURES,
    SIGMA_COLUMN,
    DiffusionProcess,
    NoiseSchedule,
)
from deepchem_ead.models.clipping import GradientClipper
from deepchem_ead.models.config import EADConfig


class EADNetwork(nn.Module):
    """Denoiser with exponential moving average; its forward pass is the loss of each molecule.

    Everything a checkpoint must hold besides the optimiser is a parameter or a buffer of this
    module: weights, averaged weights, the histogram of molecule sizes and the history of gradient
    norms.

    Parameters
    ----------
    config : EADConfig
    n_features : int
        Number F of features of a node.
    """

    def __init__(self, config: EADConfig, n_features: int) -> None:
        super().__init__()
        self.process = DiffusionProcess(
            NoiseSchedule.polynomial_2(config.timesteps, config.schedule_precision),
            FRAMES[config.frame](),
            config.level_features,
        )
        #: The context has a column that says "no dummy atoms here".
        self.flags_fixed_size = config.variable_size and config.p_fixed_size > 0
        self.denoiser = build_denoiser(
            config.denoiser,
            n_features + N_LEVEL_FEATURES[config.level_features] + self.flags_fixed_size,
            n_features + 1,  # EDM's networks have one output more than they use
            n_layers=config.n_layers,
            n_features=config.n_features,
            n_heads=config.n_heads,
            sigma_column=n_features + SIGMA_COLUMN[config.level_features]
            if config.level_features in SIGMA_COLUMN
            else None,
            precision=config.precision,
        )
        self.average = AveragedModel(
            self.denoiser, multi_avg_fn=_WarmAverage(config.ema_decay)
        ).requires_grad_(False)
        self.clipper = GradientClipper() if config.gradient_clipping else None
        # Entry n counts the training molecules of n atoms.
        self.register_buffer("size_counts", torch.zeros(config.max_atoms + 1, dtype=torch.int64))

    @property
    def sampling_denoiser(self) -> nn.Module:
        """The denoiser with averaged weights."""
        return self.average.module

    def context(self, fixed_size: Tensor | None) -> Tensor | None:
        """What the denoiser is told about each molecule, (B, K), or None if nothing.

        Parameters
        ----------
        fixed_size : Tensor, (B,) bool
            Molecules in which every node is an atom. Only for models that are told.
        """
        if not self.flags_fixed_size:
            return None
        return fixed_size.to(torch.float32).unsqueeze(1)

    def forward(self, batch: dict) -> Tensor:
        """Denoising loss of each molecule, (B, 1), in the order of the input rows.

        Trains on the denoiser's own weights, evaluates the averaged ones.

        Parameters
        ----------
        batch : dict
            ``clean`` (A, 3 + F), ``levels`` (A,), ``eps`` (A, 3 + F), ``layout``, ``node_weight``
            (A,) or None, ``fixed_size`` (B,) or None (see `context`), and ``rank`` (B,): the
            layout's molecule of each input row.
        """
        denoiser = self.denoiser if self.training else self.sampling_denoiser
        loss = self.process.loss(
            denoiser,
            batch["clean"],
            batch["levels"],
            batch["eps"],
            batch["layout"],
            batch["node_weight"],
            self.context(batch["fixed_size"]),
        )
        return loss[batch["rank"]].unsqueeze(1)

    def before_optimizer_step(self) -> None:
        """Clip the gradients."""
        if self.clipper is not None:
            self.clipper(p for p in self.denoiser.parameters() if p.grad is not None)

    def after_optimizer_step(self) -> None:
        """Update the averaged weights."""
        self.average.update_parameters(self.denoiser)


class _WarmAverage:
    """``average <- d average + (1 - d) weights`` with ``d = min(decay, (1 + k) / (10 + k))``.

    The ramp lets a short training run forget its random initial weights.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    @torch.no_grad()
    def __call__(self, averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        k = int(n_averaged)
        decay = min(self.decay, (1 + k) / (10 + k))
        torch._foreach_lerp_(averaged, current, 1 - decay)

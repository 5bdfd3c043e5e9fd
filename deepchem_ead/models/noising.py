"""Levels and noise of a batch, reproducible in training and in evaluation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import sample_levels
from deepchem_ead.models.config import EADConfig
from deepchem_ead.models.encoding import EncodedMolecules


def training_noise(
    encoded: EncodedMolecules, config: EADConfig, step: int
) -> tuple[Tensor, Tensor]:
    """Levels (A,) and standard normal draws (A, 3 + F) that depend on seed and step only.

    So a training run needs no state of a random generator to be continued.
    """
    generator = _generator(config.seed, step)
    levels = _draw_levels(encoded.layout, encoded.is_dummy, config, generator)
    return levels, torch.randn(encoded.clean.shape, generator=generator)


def evaluation_noise(
    encoded: EncodedMolecules, config: EADConfig, rows: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Levels and draws of each molecule that depend on seed and row in the dataset only.

    Parameters
    ----------
    rows : ndarray, (B,) int64
        Row of each input molecule in its dataset.
    """
    levels, eps = [], []
    layout, width = encoded.layout, encoded.clean.shape[1]
    ends = (layout.starts + layout.counts).tolist()
    for row, start, end in zip(rows[encoded.order], layout.starts.tolist(), ends, strict=True):
        generator = _generator(config.seed, int(row))
        dummy = None if encoded.is_dummy is None else encoded.is_dummy[start:end]
        levels.append(_draw_levels([end - start], dummy, config, generator))
        eps.append(torch.randn((end - start, width), generator=generator))
    return torch.cat(levels), torch.cat(eps)


def _generator(*key: int) -> torch.Generator:
    # PyTorch's CPU generator uses 32 bits of its seed, so the key has to be hashed into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def _draw_levels(layout, is_dummy, config: EADConfig, generator: torch.Generator) -> Tensor:
    return sample_levels(
        layout, config.timesteps, config.interval, is_dummy, config.p_sync, generator
    )

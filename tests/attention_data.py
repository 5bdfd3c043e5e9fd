"""An attention denoiser with weights as after some training, for tests."""

from __future__ import annotations

import torch
from denoiser_data import N_IN, N_OUT

from deepchem_ead.denoisers import AttentionDenoiser


def attention(
    n_layers: int = 2, n_features: int = 64, n_heads: int = 4, dtype=torch.float32, **options
) -> AttentionDenoiser:
    """A network that moves atoms and whose norms listen to the noise level (its last column)."""
    torch.manual_seed(0)
    options = {"sigma_column": N_IN - 1} | options
    denoiser = AttentionDenoiser(N_IN, N_OUT, n_layers, n_features, n_heads, **options)
    for name, parameter in denoiser.named_parameters():
        if "modulation" in name:
            parameter.data.normal_(std=0.05)
        elif "move" in name:
            parameter.data.normal_(std=0.3 * n_features**-0.5)
    return denoiser.to(dtype)

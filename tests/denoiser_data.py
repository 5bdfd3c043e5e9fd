"""Noised real molecules and a network that moves them, for the tests of denoisers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.denoisers import EGNN
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout

DATA = Path(__file__).parent / "data"
N_IN, N_OUT = 7, 6


def real_batch(
    molecules: range | list[int], dtype: torch.dtype = torch.float32, mixed: bool = False
) -> tuple[Tensor, Tensor, AtomLayout]:
    """Coordinates, features and layout of QM9 molecules; every molecule always the same.

    The last feature is a noise level; with ``mixed`` it differs from atom to atom, and each atom
    is displaced in proportion.
    """
    with np.load(DATA / "qm9_60.npz") as stored:
        positions = np.split(stored["positions"], np.cumsum(stored["counts"])[:-1])
    xs, hs = [], []
    for i in molecules:
        random = np.random.default_rng(i)
        n = len(positions[i])
        level = random.random((n, 1)) if mixed else np.full((n, 1), 0.2)
        xs.append(positions[i] + level * random.normal(size=(n, 3)))
        hs.append(np.hstack([random.normal(size=(n, N_IN - 1)), level]))
    layout = AtomLayout.from_counts([len(x) for x in xs])
    x = torch.tensor(np.concatenate(xs), dtype=dtype)
    return layout.center(x), torch.tensor(np.concatenate(hs), dtype=dtype), layout


def network(n_layers: int = 2, n_features: int = 32, dtype=torch.float32, **options) -> EGNN:
    """A network with random weights whose coordinate updates are not almost zero."""
    torch.manual_seed(0)
    egnn = EGNN(N_IN, N_OUT, n_layers, n_features, **options)
    for block in egnn.blocks:
        block.coordinates.coord_mlp[4].weight.data.mul_(30)
    return egnn.to(dtype)


def results_and_gradients(denoiser, x, h, layout) -> list[Tensor]:
    """dx, h_out, and the gradients of their squares by x, h and all parameters."""
    x, h = x.clone().requires_grad_(), h.clone().requires_grad_()
    dx, h_out = denoiser(Seen(x, h, layout))
    (dx.square().sum() + h_out.square().sum()).backward()
    gradients = [x.grad, h.grad, *(p.grad for p in denoiser.parameters())]
    return [dx.detach(), h_out.detach(), *gradients]

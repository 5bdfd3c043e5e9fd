"""Small processes, denoisers and noise sources for the tests of diffusion and sampling."""

from __future__ import annotations

import torch

from deepchem_ead.sampling import sample
from deepchem_ead.testing.toys import (
    RecordedNoise,
    bond_denoiser,
    levels_of,
    make_process,
    pair_denoiser,
    pairs,
    random_rotation,
    seeing,
)

__all__ = [
    "RecordedNoise",
    "assert_sampling_is_equivariant",
    "bond_denoiser",
    "levels_of",
    "make_process",
    "pair_denoiser",
    "pairs",
    "random_rotation",
    "seeing",
]


def assert_sampling_is_equivariant(process, denoiser, layout, n_features):
    """A run from turned and mirrored noise is the turned and mirrored run."""
    rotation = random_rotation(4, reflect=True)
    plain, turned = (
        sample(
            process, denoiser, layout, n_features, "adaptive",
            noise=RecordedNoise(layout.n_nodes, rotation=q), steps=30,
        ).states
        for q in (None, rotation)
    )  # fmt: skip
    torch.testing.assert_close(turned[:, :3], plain[:, :3] @ rotation.T, rtol=0, atol=1e-8)
    torch.testing.assert_close(turned[:, 3:], plain[:, 3:], rtol=0, atol=1e-8)

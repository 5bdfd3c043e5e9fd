"""Every denoiser of the package keeps the contract that others are held to."""

from __future__ import annotations

from deepchem_ead.testing import DenoiserTests


class TestEGNN(DenoiserTests):
    denoiser = "egnn"


class TestAttention(DenoiserTests):
    denoiser = "attention"
    options = {"n_layers": 2, "n_features": 32, "n_heads": 4}


class TestTransformer(DenoiserTests):
    denoiser = "transformer"
    options = {"n_layers": 2, "n_features": 32, "n_heads": 4}


class TestE3NN(DenoiserTests):
    denoiser = "e3nn"
    options = {"n_layers": 2, "n_features": 16, "n_vectors": 4, "lmax": 1}
    # e3nn's weights are of unit size, whatever the width.
    learning_rate = 1e-2

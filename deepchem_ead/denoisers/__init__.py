"""Networks that predict the noise: ``denoiser(x, h, layout) -> (dx, h_out)``."""

from __future__ import annotations

from torch import nn

from deepchem_ead.denoisers.attention import AttentionDenoiser
from deepchem_ead.denoisers.edm_weights import edm_dimensions, load_edm_state_dict
from deepchem_ead.denoisers.egnn import EGNN

__all__ = [
    "DENOISERS",
    "EGNN",
    "AttentionDenoiser",
    "build_denoiser",
    "edm_dimensions",
    "load_edm_state_dict",
]

DENOISERS: dict[str, type[nn.Module]] = {"egnn": EGNN, "attention": AttentionDenoiser}


def build_denoiser(
    name: str,
    in_features: int,
    out_features: int,
    *,
    n_layers: int,
    n_features: int,
    n_heads: int,
    sigma_column: int | None,
    precision: str,
) -> nn.Module:
    """A denoiser by its name; the EGNN has neither heads nor use for sigma."""
    options = {"n_layers": n_layers, "n_features": n_features, "precision": precision}
    if name == "attention":
        options |= {"n_heads": n_heads, "sigma_column": sigma_column}
    return DENOISERS[name](in_features, out_features, **options)

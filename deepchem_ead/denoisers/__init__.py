"""Networks that denoise: ``network(seen) -> Outputs``, the readable mathematics."""

from __future__ import annotations

from deepchem_ead.denoisers.attention import AttentionDenoiser
from deepchem_ead.denoisers.base import (
    DENOISERS,
    DenoiserNetwork,
    DenoiserOptions,
    InputColumns,
)
from deepchem_ead.denoisers.edm_weights import edm_dimensions, load_edm_state_dict
from deepchem_ead.denoisers.egnn import EGNN
from deepchem_ead.denoisers.transformer import Transformer

# Importing e3nn takes seconds.
DENOISERS.register_lazily("e3nn", "deepchem_ead.denoisers.e3nn_network")

__all__ = [
    "DENOISERS",
    "EGNN",
    "AttentionDenoiser",
    "DenoiserNetwork",
    "DenoiserOptions",
    "InputColumns",
    "Transformer",
    "edm_dimensions",
    "load_edm_state_dict",
]

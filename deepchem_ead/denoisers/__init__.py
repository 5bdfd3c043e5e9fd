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

__all__ = [
    "DENOISERS",
    "EGNN",
    "AttentionDenoiser",
    "DenoiserNetwork",
    "DenoiserOptions",
    "InputColumns",
    "edm_dimensions",
    "load_edm_state_dict",
]

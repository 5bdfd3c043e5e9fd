"""Networks that predict the noise: ``denoiser(x, h, layout) -> (dx, h_out)``."""

from __future__ import annotations

from deepchem_ead.denoisers.edm_weights import edm_dimensions, load_edm_state_dict
from deepchem_ead.denoisers.egnn import EGNN

__all__ = ["EGNN", "edm_dimensions", "load_edm_state_dict"]

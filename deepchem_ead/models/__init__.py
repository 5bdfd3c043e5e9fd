"""EADModel, its configuration, presets and trained weights."""

from deepchem_ead.models.config import EADConfig, preset_names
from deepchem_ead.models.ead import EADModel

__all__ = ["EADConfig", "EADModel", "preset_names"]

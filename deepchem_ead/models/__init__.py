"""EADModel, its configuration, presets and trained weights."""

from deepchem_ead.models.config import EADConfig, preset_names
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.evaluation import DenoisingLoss

__all__ = ["DenoisingLoss", "EADConfig", "EADModel", "preset_names"]

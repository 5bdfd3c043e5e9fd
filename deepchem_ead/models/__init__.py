"""The DeepChem models: EADModel generates, EGNNPropertyModel predicts; settings and weights."""

from deepchem_ead.generator.config import EADConfig, preset_names
from deepchem_ead.models.ead import EADModel
from deepchem_ead.models.evaluation import DenoisingLoss
from deepchem_ead.models.predictors import Predictor, as_predictor
from deepchem_ead.models.property_ensemble import PropertyEnsemble
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.properties.config import PropertyConfig

__all__ = [
    "DenoisingLoss",
    "EADConfig",
    "EADModel",
    "EGNNPropertyModel",
    "Predictor",
    "PropertyConfig",
    "PropertyEnsemble",
    "as_predictor",
    "preset_names",
]

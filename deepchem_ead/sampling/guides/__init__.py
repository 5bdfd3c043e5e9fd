"""Guides: what draws molecules towards wanted values, a file each (a bond-length potential)."""

from collections.abc import Callable

from deepchem_ead.registry import Registry
from deepchem_ead.sampling.guides.autoguidance import AutoGuidance
from deepchem_ead.sampling.guides.classifier_free import ClassifierFreeGuidance
from deepchem_ead.sampling.guides.gradient import GradientGuidance
from deepchem_ead.sampling.guides.guided import GuidedProcess, calls_at, evaluations_of
from deepchem_ead.sampling.guides.gyration import RadiusOfGyration
from deepchem_ead.sampling.guides.properties import Guide, PropertyGuidance, no_gradient
from deepchem_ead.sampling.guides.window import LevelWindow

#: Guides by name that are no trained models.
GUIDES: Registry[Guide | Callable[..., Guide]] = Registry(
    "guide", {"radius-of-gyration": RadiusOfGyration}
)

__all__ = [
    "GUIDES",
    "AutoGuidance",
    "ClassifierFreeGuidance",
    "GradientGuidance",
    "Guide",
    "GuidedProcess",
    "LevelWindow",
    "PropertyGuidance",
    "RadiusOfGyration",
    "calls_at",
    "evaluations_of",
    "no_gradient",
]

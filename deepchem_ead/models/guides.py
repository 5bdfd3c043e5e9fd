"""Property models as guides, by object or by name."""

from __future__ import annotations

from pathlib import Path

from deepchem_ead.generation.request import Guiding
from deepchem_ead.generator.trained import Generator
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.sampling.guidance import no_gradient


def guiding_model(guide: Guiding | str | Path, model: Generator) -> Guiding:
    """The guide of this name, on the device of the generating model and in its precision.

    Raises
    ------
    ValueError
        If a model has no gradients to guide by.
    """
    if not isinstance(guide, str | Path):
        if not hasattr(guide, "property_of"):
            raise ValueError(
                "a function guides by PropertyGuidance(function, targets, tasks=, mad=, elements=)"
                if callable(guide)
                else no_gradient(guide)
            )
        return guide
    options = {"device": model.device, "precision": model.config.precision}
    return EGNNPropertyModel.from_pretrained(guide, **options)

"""Property models as guides, by object or by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from deepchem_ead.caller import warn_caller
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generator.trained import Generator
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.parts import make_part
from deepchem_ead.sampling import GUIDES, Guide, PropertyGuidance
from deepchem_ead.sampling.guides import no_gradient

#: What asks for no guide where its absence would be remarked on.
NO_GUIDE = "none"


def remark_on_missing_guide(conditions: Iterable[str]) -> None:
    """Say in one line that conditions alone bring molecules hardly nearer to what is asked for."""
    names = ", ".join(conditions)
    warn_caller(
        f"asking for {names} without a guide: measured on QM9, molecules are then hardly nearer to "
        "the values than by their number of atoms. guide='qm9-guide', or an EGNNPropertyModel of "
        f"your own, steers; guide={NO_GUIDE!r} does without and says nothing"
    )


def with_guide(options: SamplingOptions, model: Generator) -> SamplingOptions:
    """The options with a guide by name as an object; errors are those of `guiding_model`."""
    if options.guide is None or isinstance(options.guide, PropertyGuidance):
        return options
    return replace(options, guide=guiding_model(options.guide, model))


def guiding_model(guide: Guide | str | Path, model: Generator) -> Guide | None:
    """The guide of this name, on the device of the generating model and in its precision.

    A name of `GUIDES`, with options after a colon, or a property model's. None for "none".

    Raises
    ------
    ValueError
        If a model has no gradients to guide by.
    CheckpointError
        If there is no guide and no model of this name.
    """
    if not isinstance(guide, str | Path):
        if not hasattr(guide, "property_of"):
            raise ValueError(
                "a function guides by PropertyGuidance(function, targets, tasks=, mad=, elements=)"
                if callable(guide)
                else no_gradient(guide)
            )
        return guide
    if str(guide) == NO_GUIDE:
        return None
    if str(guide).partition(":")[0] in GUIDES:
        return make_part(GUIDES, str(guide))
    options = {"device": model.device, "precision": model.config.precision}
    try:
        return EGNNPropertyModel.from_pretrained(guide, **options)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; guides by name: {', '.join(GUIDES)}") from None

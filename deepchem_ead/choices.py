"""Names that the command line's help shows, so that it needs nothing that takes long to import."""

from __future__ import annotations

from importlib import resources

#: What `deepchem_ead.sampling` knows under these names; "replay" needs an object.
SCHEDULES = ("synchronous", "staircase", "adaptive", "settled-first", "random-coin")
REPEAT_RULES = ("literal", "repaint", "hold", "langevin", "renoise")
STEPPERS = ("ancestral", "ddim", "dpm++2m")

#: The property model that `predict` and `design` ask unless they are told another.
DEFAULT_PREDICTOR = "qm9-properties"


def preset_names(folder: str) -> list[str]:
    """Presets that come with the package: YAML files in ``models/FOLDER``."""
    files = (resources.files("deepchem_ead") / "models" / folder).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))

"""Names that the command line's help shows, so that it needs nothing that takes long to import."""

from __future__ import annotations

from importlib import resources

#: What `deepchem_ead.sampling` knows under these names; "replay" needs an object. Other packages
#: may bring more, which are accepted, too.
SCHEDULES = ("synchronous", "staircase", "adaptive", "settled-first", "random-coin")
REPEAT_RULES = ("literal", "repaint", "hold", "langevin", "renoise")
STEPPERS = (
    "ancestral", "ddim", "dpm++2m", "dpm++2s", "heun", "churn", "rtk", "rtk-ula", "rtk-uld",
    "quotient", "quotient-ddim", "quotient-sde",
    "direct",
)  # fmt: skip

#: The property model that `predict` and `design` ask unless they are told another.
DEFAULT_PREDICTOR = "qm9-properties"
#: The model that generates, edits, finds conformers and perceives bonds unless another is named.
DEFAULT_MODEL = "qm9"
#: The preset that it was trained with, which learns bonds and every task.
JOINT_PRESET = "qm9-joint"
#: Level of noise that leaves neighbours of a molecule: of QM9's, half stay what they are.
VARIATION_LEVEL = 250.0


#: Suffixes of files of SMILES, each also with ".gz"; molecules in 3D are made from them.
SMILES_FILES = (".smi", ".smiles", ".csv", ".tsv")
#: What messages and help texts call the files that molecules are read from.
GEOMETRY_FILES = "SDF, MOL or (extended) XYZ file"
#: What 'generate' writes, and what of that it can go on with.
GENERATED_FILES = ".sdf, .xyz or .smi"
RESUMABLE_FILES = "SDF or XYZ file"
TRAINING_FILES = f"{GEOMETRY_FILES}, or SMILES in a .smi, .csv or .tsv file"


def preset_names(folder: str) -> list[str]:
    """Presets that come with the package: YAML files in FOLDER of the package."""
    files = resources.files("deepchem_ead").joinpath(folder).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))

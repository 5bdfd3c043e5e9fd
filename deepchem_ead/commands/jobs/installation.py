"""What ``deepchem-ead info`` says."""

from __future__ import annotations

import platform
from importlib import metadata

from deepchem_ead.generator import pretrained
from deepchem_ead.generator.config import preset_names
from deepchem_ead.kernels import native, triton
from deepchem_ead.models.property_model import EGNNPropertyModel
from deepchem_ead.molnet.qm9pack import qm9pack_version


def describe_installation() -> str:
    """Versions, what computes, presets, trained models and data, for people and bug reports."""
    packages = ("deepchem_ead", "deepchem", "torch", "rdkit", "numpy")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    qm9 = qm9pack_version()
    rows = {
        "versions": f"{versions}, Python {platform.python_version()}",
        "kernel": native.status(),
        "GPU": triton.status(),
        "presets": ", ".join(preset_names()),
        "trained models": ", ".join(map(_with_aliases, pretrained.names("EADModel"))) or "none",
        "predictor presets": ", ".join(EGNNPropertyModel.preset_names()),
        "trained predictors": ", ".join(pretrained.names("EGNNPropertyModel")) or "none",
        "QM9": f"qm9pack {qm9}, 130,831 molecules"
        if qm9
        else "a sample of 2,000 molecules; `pip install qm9pack==1.0.3` for all 130,831",
    }
    return "\n".join(f"{name:<18}  {value}" for name, value in rows.items())


def _with_aliases(name: str) -> str:
    others = [alias for alias, meant in pretrained.ALIASES.items() if meant == name]
    return f"{name} (also called {', '.join(others)})" if others else name


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a source folder
        return "(not installed)"

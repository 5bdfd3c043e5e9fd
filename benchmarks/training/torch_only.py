"""Import the parts of `deepchem_ead` that need PyTorch only, where DeepChem and RDKit are missing.

The package's ``__init__`` imports DeepChem, that of ``chem`` RDKit, that of ``models`` both. Where
they cannot be imported, `prepare` puts the bare packages into ``sys.modules``: their submodules can
be imported, their ``__init__`` never runs.
"""

from __future__ import annotations

import importlib.util
import sys

PACKAGES = ("deepchem_ead", "deepchem_ead.chem", "deepchem_ead.models")


def prepare() -> None:
    """Call this before anything of `deepchem_ead` is imported."""
    if "deepchem_ead" in sys.modules or _present("deepchem") and _present("rdkit"):
        return
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        sys.modules[name] = importlib.util.module_from_spec(spec)


def _present(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # switched off by an entry None in sys.modules
        return False

"""Make the plugin's classes reachable under DeepChem's own names.

DeepChem has no plugin mechanism, so importing this package sets attributes on its modules. Nothing
of DeepChem's is ever replaced, and ``unregister`` takes everything back.
"""

from __future__ import annotations

import os
import warnings
from types import ModuleType

#: Set to 1 to import the package without adding names to DeepChem.
OPT_OUT = "DEEPCHEM_EAD_NO_REGISTER"

_added: list[tuple[ModuleType, str, object]] = []


def register(entries: dict[str, list[object]]) -> None:
    """Add objects to DeepChem's modules under their own names.

    Parameters
    ----------
    entries : dict of str to list
        Name of a DeepChem submodule ("models", "feat", "molnet", "metrics") to the classes and
        functions it gets.
    """
    if os.environ.get(OPT_OUT, "0") not in ("", "0"):
        return
    import deepchem

    for module_name, objects in entries.items():
        module = getattr(deepchem, module_name)
        for obj in objects:
            name = obj.__name__
            # The module's own dictionary: DeepChem's __getattr__ must not be asked.
            existing = vars(module).get(name)
            if existing is obj:
                continue
            if existing is not None:
                warnings.warn(
                    f"dc.{module_name}.{name} exists already and was left alone; "
                    f"use deepchem_ead.{name}",
                    stacklevel=3,
                )
                continue
            setattr(module, name, obj)
            _added.append((module, name, obj))


def unregister() -> None:
    """Remove from DeepChem's modules what `register` added."""
    while _added:
        module, name, obj = _added.pop()
        if vars(module).get(name) is obj:
            delattr(module, name)

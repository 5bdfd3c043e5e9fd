"""Make the plugin's classes reachable under DeepChem's own names.

DeepChem has no plugin mechanism, so importing this package sets attributes on its modules, and
wraps the featurizing step of its loaders for this package's featurizer (`feat.loaders`). What
DeepChem does with its own classes stays as it is, and ``unregister`` takes everything back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

from deepchem_ead.caller import warn_caller

#: Set to 1 to import the package without adding names to DeepChem.
OPT_OUT = "DEEPCHEM_EAD_NO_REGISTER"

_added: list[tuple[ModuleType, str, object]] = []
_wrapped: list[tuple[type, Callable, Callable]] = []
_STEP = "_featurize_shard"


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
                warn_caller(
                    f"dc.{module_name}.{name} exists already and was left alone; "
                    f"use deepchem_ead.{name}"
                )
                continue
            setattr(module, name, obj)
            _added.append((module, name, obj))


def wrap_loaders(wrappers: dict[str, Callable[[Callable], Callable]]) -> None:
    """Wrap the featurizing step of DeepChem's loaders.

    Parameters
    ----------
    wrappers : dict of str to callable
        Name of a loader in ``dc.data`` to what makes the new step from the present one.
    """
    if os.environ.get(OPT_OUT, "0") not in ("", "0") or _wrapped:
        return
    import deepchem

    for name, wrapper in wrappers.items():
        loader = getattr(deepchem.data, name)
        original = vars(loader).get(_STEP)
        if original is not None:
            wrapped = wrapper(original)
            setattr(loader, _STEP, wrapped)
            _wrapped.append((loader, original, wrapped))


def register_all() -> None:
    """Add everything that the package has for DeepChem's modules."""
    from deepchem_ead.feat.loaders import LIST_LOADER, TABLE_LOADERS, of_list, of_table
    from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer
    from deepchem_ead.metrics import GenerativeMetric
    from deepchem_ead.models import EADModel, EGNNPropertyModel
    from deepchem_ead.molnet import (
        load_conformers,
        load_drugs3d,
        load_file_3d,
        load_geom,
        load_qm9_3d,
    )

    register(
        {
            "models": [EADModel, EGNNPropertyModel],
            "feat": [Molecule3DFeaturizer],
            "molnet": [load_qm9_3d, load_drugs3d, load_geom, load_conformers, load_file_3d],
            "metrics": [GenerativeMetric],
        }
    )
    wrap_loaders({LIST_LOADER: of_list, **dict.fromkeys(TABLE_LOADERS, of_table)})


def unregister() -> None:
    """Remove from DeepChem's modules what was added, and put back what was wrapped."""
    while _wrapped:
        loader, original, wrapped = _wrapped.pop()
        if vars(loader).get(_STEP) is wrapped:
            setattr(loader, _STEP, original)
    while _added:
        module, name, obj = _added.pop()
        if vars(module).get(name) is obj:
            delattr(module, name)

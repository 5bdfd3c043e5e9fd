"""Equivariant asynchronous diffusion of 3D molecules for DeepChem.

``import deepchem_ead, deepchem as dc`` adds ``dc.models.EADModel``,
``dc.models.EGNNPropertyModel``, ``dc.feat.Molecule3DFeaturizer``, ``dc.molnet.load_qm9_3d`` and
``dc.metrics.GenerativeMetric``, and lets DeepChem's loaders leave out what the featurizer skips.
Set ``DEEPCHEM_EAD_NO_REGISTER=1`` to leave DeepChem's modules as they are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from deepchem_ead._start import import_deepchem, is_command, leave_on_interrupt

if TYPE_CHECKING:
    from deepchem_ead import chem, diffusion, feat, metrics, models, molnet, sampling
    from deepchem_ead._register import register, unregister
    from deepchem_ead.chem.molecules import MoleculeBatch
    from deepchem_ead.designs.design import design
    from deepchem_ead.errors import CheckpointError, InUseError, MoleculeError
    from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer
    from deepchem_ead.judging import Report, judge, side_by_side
    from deepchem_ead.metrics import GenerativeMetric, evaluate_molecules
    from deepchem_ead.models import EADModel, EGNNPropertyModel
    from deepchem_ead.models.perceiving import perceive_bonds
    from deepchem_ead.molnet import load_drugs3d, load_file_3d, load_qm9_3d

__version__ = "0.1.0"

#: Where each public name lives; they are imported when they are first asked for.
_HOMES = {
    "CheckpointError": "errors",
    "EADModel": "models",
    "EGNNPropertyModel": "models",
    "GenerativeMetric": "metrics",
    "InUseError": "errors",
    "Molecule3DFeaturizer": "feat.molecule3d",
    "MoleculeBatch": "chem.molecules",
    "MoleculeError": "errors",
    "Report": "judging",
    "design": "designs.design",
    "evaluate_molecules": "metrics",
    "judge": "judging",
    "load_drugs3d": "molnet",
    "side_by_side": "judging",
    "load_file_3d": "molnet",
    "load_qm9_3d": "molnet",
    "perceive_bonds": "models.perceiving",
    "register": "_register",
    "unregister": "_register",
}
_PARTS = (
    "chem", "conformers", "denoisers", "designs", "diffusion", "feat", "generation", "generator",
    "judging", "kernels", "metrics", "models", "molnet", "potentials", "properties", "sampling",
    "training", "viz",
)  # fmt: skip

__all__ = [
    "CheckpointError",
    "EADModel",
    "EGNNPropertyModel",
    "GenerativeMetric",
    "InUseError",
    "Molecule3DFeaturizer",
    "MoleculeBatch",
    "MoleculeError",
    "Report",
    "chem",
    "design",
    "diffusion",
    "evaluate_molecules",
    "feat",
    "judge",
    "load_drugs3d",
    "load_file_3d",
    "load_qm9_3d",
    "metrics",
    "models",
    "molnet",
    "perceive_bonds",
    "register",
    "sampling",
    "side_by_side",
    "unregister",
]


def __getattr__(name: str) -> object:
    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if is_command():
    leave_on_interrupt()
else:
    import_deepchem()
    from deepchem_ead._register import register_all

    register_all()

"""Equivariant asynchronous diffusion of 3D molecules for DeepChem.

``import deepchem as dc, deepchem_ead`` adds ``dc.models.EADModel``,
``dc.models.EGNNPropertyModel``, ``dc.feat.Molecule3DFeaturizer``, ``dc.molnet.load_qm9_3d`` and
``dc.metrics.GenerativeMetric``, and lets DeepChem's loaders leave out what the featurizer skips.
Set ``DEEPCHEM_EAD_NO_REGISTER=1`` to leave DeepChem's modules as they are.
"""

from __future__ import annotations

import logging
import sys


def _import_deepchem() -> None:
    """Import DeepChem without warnings about its optional parts, or say what is missing."""
    log = logging.getLogger("deepchem")
    level = log.level
    if "deepchem" not in sys.modules:
        log.setLevel(logging.ERROR)
    try:
        from deepchem.models import TorchModel  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "deepchem_ead needs deepchem >= 2.8 and torch, and dc.models.TorchModel cannot be "
            f"imported here ({error}). Install them with: pip install 'deepchem>=2.8,<3' torch"
        ) from error
    finally:
        log.setLevel(level)


_import_deepchem()

from deepchem_ead import chem, diffusion, feat, metrics, models, molnet, sampling  # noqa: E402
from deepchem_ead._register import register, unregister, wrap_loaders  # noqa: E402
from deepchem_ead.chem.molecules import MoleculeBatch  # noqa: E402
from deepchem_ead.errors import CheckpointError, MoleculeError  # noqa: E402
from deepchem_ead.feat.loaders import LIST_LOADER, TABLE_LOADERS, of_list, of_table  # noqa: E402
from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer  # noqa: E402
from deepchem_ead.metrics import GenerativeMetric, evaluate_molecules  # noqa: E402
from deepchem_ead.models import EADModel, EGNNPropertyModel  # noqa: E402
from deepchem_ead.models.design import design  # noqa: E402
from deepchem_ead.molnet import load_file_3d, load_qm9_3d  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "EADModel",
    "EGNNPropertyModel",
    "GenerativeMetric",
    "Molecule3DFeaturizer",
    "MoleculeBatch",
    "MoleculeError",
    "chem",
    "design",
    "diffusion",
    "evaluate_molecules",
    "feat",
    "load_file_3d",
    "load_qm9_3d",
    "metrics",
    "models",
    "molnet",
    "register",
    "sampling",
    "unregister",
]

register(
    {
        "models": [EADModel, EGNNPropertyModel],
        "feat": [Molecule3DFeaturizer],
        "molnet": [load_qm9_3d, load_file_3d],
        "metrics": [GenerativeMetric],
    }
)
wrap_loaders({LIST_LOADER: of_list, **dict.fromkeys(TABLE_LOADERS, of_table)})

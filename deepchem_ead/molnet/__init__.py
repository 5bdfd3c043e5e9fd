"""Datasets of molecules in 3D as DeepChem datasets."""

from deepchem_ead.molnet.conformer_sets import ConformerSet, load_conformers
from deepchem_ead.molnet.datasets import DATASETS, DatasetInfo, find_dataset
from deepchem_ead.molnet.drugs3d import load_drugs3d
from deepchem_ead.molnet.drugs3d_table import Drugs3DTable
from deepchem_ead.molnet.files import load_file_3d
from deepchem_ead.molnet.geom import load_geom
from deepchem_ead.molnet.geom_files import read_geom
from deepchem_ead.molnet.qm9 import load_qm9_3d
from deepchem_ead.molnet.splits import EDMSplitter, MurckoSplitter, edm_halves

__all__ = [
    "DATASETS",
    "ConformerSet",
    "DatasetInfo",
    "Drugs3DTable",
    "EDMSplitter",
    "MurckoSplitter",
    "edm_halves",
    "find_dataset",
    "load_conformers",
    "load_drugs3d",
    "load_file_3d",
    "load_geom",
    "load_qm9_3d",
    "read_geom",
]

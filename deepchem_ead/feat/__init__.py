"""DeepChem featurizers for molecules in 3D."""

from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer

__all__ = ["Molecule3DFeaturizer"]

"""Numbers of sets of molecules, a file each, registered by name."""

from deepchem_ead.metrics.sets import distributions, diversity, edm, fcd, features, kinds, shapes
from deepchem_ead.metrics.sets.number import SETS, BaseNumbers, SetNumbers, bootstrap, jackknife
from deepchem_ead.metrics.sets.sample import FEATURES, Sample

__all__ = [
    "FEATURES",
    "SETS",
    "BaseNumbers",
    "Sample",
    "SetNumbers",
    "bootstrap",
    "distributions",
    "diversity",
    "edm",
    "fcd",
    "features",
    "jackknife",
    "kinds",
    "shapes",
]

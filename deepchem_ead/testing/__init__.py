"""Contract tests to inherit from: any part, ours or yours, is held to the same promises."""

from deepchem_ead.testing.denoisers import DenoiserTests
from deepchem_ead.testing.equivariance import assert_equivariant, equivariance_error
from deepchem_ead.testing.metrics import MetricTests
from deepchem_ead.testing.samplers import SamplerTests

__all__ = [
    "DenoiserTests",
    "MetricTests",
    "SamplerTests",
    "assert_equivariant",
    "equivariance_error",
]

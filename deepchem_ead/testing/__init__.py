"""Contract tests to inherit from: any denoiser, ours or yours, is held to the same promises."""

from deepchem_ead.testing.denoisers import DenoiserTests
from deepchem_ead.testing.equivariance import assert_equivariant, equivariance_error

__all__ = ["DenoiserTests", "assert_equivariant", "equivariance_error"]

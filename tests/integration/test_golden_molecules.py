"""The shipped weights compute what they computed when they were shipped."""

from __future__ import annotations

import numpy as np
import pytest
from golden_cases import CASES, stored

# Backends round differently, and twelve steps of sampling amplify it.
TOLERANCES = {"positions": 1e-3, "values": 1e-3, "loss": 1e-4, "norms": 1e-3}


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_written(case):
    found, expected = CASES[case](), stored()[case]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if name in TOLERANCES:
            scale = TOLERANCES[name] * max(1.0, float(np.abs(values).max()))
            np.testing.assert_allclose(found[name], values, rtol=0, atol=scale, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)

"""The learning rate in the course of a run."""

from __future__ import annotations

import pytest

from deepchem_ead.optim.rate import rate_factor


@pytest.mark.parametrize(
    "decay, expected",
    [
        ("none", [1, 1, 1, 1, 1]),
        ("cosine", [1, 0.853553, 0.5, 0.146447, 0]),
        ("wsd", [1, 1, 1, 0.25 / 0.3, 0]),
    ],
)
def test_rate_over_a_run(decay, expected):
    found = [rate_factor(decay, 0, 1000, progress) for progress in (0, 0.25, 0.5, 0.75, 1.2)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_run_at_constant_rate_is_finished_by_three_sevenths_more():
    """Nothing jumps where "wsd" takes over from "none"."""
    assert rate_factor("wsd", 0, 1000, 0.7) == pytest.approx(rate_factor("none", 0, 1000, 1.0))


def test_warm_up_is_linear_and_joins_the_decay():
    assert [rate_factor("none", 4, step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert rate_factor("cosine", 4, 1, 0.5) == pytest.approx(0.25)

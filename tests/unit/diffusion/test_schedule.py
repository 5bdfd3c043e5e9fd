"""The noise table against EDM's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from deepchem_ead.diffusion import NOISE_SCHEDULES, NoiseSchedule


@pytest.fixture(scope="module")
def golden():
    """Tables written by EDM's own code for polynomial_2, T = 1000, precision 1e-5."""
    with np.load(Path(__file__).parents[2] / "data" / "schedule.npz") as stored:
        return {name: torch.from_numpy(np.asarray(stored[name])) for name in stored}


def test_table_is_edms(golden):
    ours = NoiseSchedule.polynomial_2()
    assert ours.timesteps == 1000
    for name in ("alpha", "sigma", "gamma"):
        table = getattr(ours, name)
        assert table.shape == (1001,) and table.dtype == torch.float64
        assert (table - golden[f"{name}_f64"]).abs().max() < 1e-12
    assert torch.allclose(ours.tau, ours.sigma / ours.alpha, rtol=1e-14)
    assert float(ours.tau[0]) == pytest.approx(float(golden["sigma_x_given_z0"]), rel=1e-5)


def test_table_is_monotone_with_known_ends():
    ours = NoiseSchedule.polynomial_2()
    assert (ours.alpha.diff() < 0).all() and (ours.tau.diff() > 0).all()
    assert float(ours.sigma[0]) == pytest.approx(3.1623e-3, rel=1e-4)
    assert float(ours.alpha[-1]) == pytest.approx(3.1629e-3, rel=1e-4)
    assert float(ours.tau[200]) == pytest.approx(0.2917, abs=5e-5)
    assert torch.allclose(ours.alpha**2 + ours.sigma**2, torch.ones(1001).double(), atol=1e-15)
    assert torch.allclose(ours.gamma, 2 * ours.tau.log(), atol=1e-9)


def test_real_levels_interpolate_log_tau():
    ours = NoiseSchedule.polynomial_2(50)
    levels = torch.arange(51)
    assert torch.equal(ours.tau_at(levels), ours.tau)
    assert torch.equal(ours.tau_at(levels.double()), ours.tau)
    assert torch.allclose(ours.alpha_at(levels.double()), ours.alpha, rtol=1e-12)
    middle = ours.tau_at(torch.tensor([10.0, 10.5, 50.0], dtype=torch.float64))
    assert float(middle[1]) == pytest.approx(float((ours.tau[10] * ours.tau[11]) ** 0.5))
    assert middle[2] == ours.tau[50]


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize("timesteps", [1, 2, 10, 4000])
def test_any_number_of_timesteps(timesteps, name):
    table = NOISE_SCHEDULES[name](timesteps, 1e-5).tau
    assert table.shape == (timesteps + 1,)
    assert table.isfinite().all() and (table.diff() > 0).all()


def test_cosine_has_the_papers_middle_and_the_others_ends():
    ours, edms = NOISE_SCHEDULES["cosine"](1000, 1e-5), NoiseSchedule.polynomial_2()
    first, half = (math.cos(math.pi / 2 * (t + 0.008) / 1.008) for t in (0, 0.5))
    assert float(ours.alpha[500]) == pytest.approx(half / first, rel=1e-4)
    assert torch.allclose(ours.alpha[[0, -1]], edms.alpha[[0, -1]], rtol=1e-3)


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_bad_arguments(name):
    with pytest.raises(ValueError, match="timesteps must be at least 1"):
        NOISE_SCHEDULES[name](0, 1e-5)
    with pytest.raises(ValueError, match="precision must lie between"):
        NOISE_SCHEDULES[name](10, 0.6)

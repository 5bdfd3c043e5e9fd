"""Which levels a run visits, by number, by name and as a list."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.commands.options import read_steps
from deepchem_ead.diffusion import NOISE_SCHEDULES, NoiseSchedule
from deepchem_ead.sampling.grids import GRIDS, KERNEL_RATIO, resolve_grid

EDM = NoiseSchedule.polynomial_2()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["even", "geometric", "arcsin:rho=2.5", "arcsin:rho=0.0"]),
    st.sampled_from(list(NOISE_SCHEDULES)),
    st.integers(1, 1000),
)
def test_grids_have_as_many_whole_levels_as_are_asked_for(name, noise, steps):
    separator = "," if ":" in name else ":"
    grid = resolve_grid(f"{name}{separator}steps={steps}", NOISE_SCHEDULES[noise](1000, 1e-5))
    assert len(grid) == steps + 1 and grid[0] == 0 and grid[-1] == 1000
    assert (grid.diff() > 0).all() and torch.equal(grid, grid.round())


def test_the_geometric_grid_has_equal_ratios_and_by_default_the_theorys():
    grid = resolve_grid("geometric", EDM)
    expected = math.ceil(math.log(float(EDM.tau[-1] / EDM.tau[0])) / math.log(KERNEL_RATIO))
    assert len(grid) - 1 == expected == 57
    inner = EDM.tau_at(grid)[20:45]  # elsewhere whole levels are too far apart
    assert torch.allclose(inner[1:] / inner[:-1], torch.tensor(1e5).double() ** (1 / 57), rtol=0.02)


def test_the_arcsin_grid_is_dense_in_the_middle():
    even, arcsin = (resolve_grid(f"{name}:steps=40", EDM) for name in ("geometric", "arcsin"))
    tau_even, tau = (EDM.tau_at(grid).log() for grid in (even, arcsin))
    inside = slice(18, 22)
    slope = 1 - 2 + 4 / math.pi  # of the formula at u = 1/2
    ratio = tau.diff()[inside] / tau_even.diff()[inside]
    assert torch.allclose(ratio, torch.tensor(slope).double(), atol=0.01)
    share = torch.tensor(0.25, dtype=torch.float64)
    w = -share + 4 / math.pi * torch.asin(share.sqrt())
    low, high = EDM.tau[0].log(), EDM.tau[-1].log()
    assert float(tau[10]) == pytest.approx(float(low + w * (high - low)), abs=0.03)


def test_the_coarse_grid_saves_only_above_its_level():
    even, coarse = resolve_grid(100, EDM), resolve_grid("coarse:above=400,every=3", EDM)
    assert torch.equal(coarse[coarse <= 400], even[even <= 400])
    above = coarse[coarse > 400]
    assert len(above) == 20 and (above.diff() == 30).all() and above[-1] == 1000


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("100", 100),
        ("arcsin:steps=50,rho=2.5", "arcsin:steps=50,rho=2.5"),
        ("0, 22.5,1000", [0, 22.5, 1000]),
        ("geometric", "geometric"),
    ],
)
def test_steps_as_text(text, steps):
    assert read_steps(text) == steps
    assert resolve_grid(read_steps(text), EDM)[-1] == 1000


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("arcsine", "did you mean 'arcsin'"),
        ("arcsin:steps=1001", "steps must lie between 1 and 1000"),
        ("arcsin:rho=3.0", "rho must lie between 0 and 2.75"),
        ("coarse:every=0", "every must be at least 1"),
        ([0, 500], "must lead from level 0 to level 1000"),
        ([0, 600, 500, 1000], "increasing"),
        (0, "steps must lie between 1 and 1000"),
    ],
)
def test_what_is_no_grid_is_refused(steps, message):
    with pytest.raises(ValueError, match=message):
        resolve_grid(steps, EDM)


def test_levels_are_found_by_their_noise():
    levels = torch.linspace(0, 1000, 3001, dtype=torch.float64)
    assert torch.allclose(EDM.level_at(EDM.tau_at(levels)), levels, atol=1e-6)
    assert EDM.level_at(torch.tensor([0.0, 1e9])).tolist() == [0, 1000]


def test_all_grids_are_tried_here():
    assert set(GRIDS) == {"even", "coarse", "geometric", "arcsin"}

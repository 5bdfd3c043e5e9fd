"""Algorithm 1: training levels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.diffusion import AtomLayout, sample_levels


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    timesteps=st.integers(1, 1000),
    interval=st.integers(0, 200),
    seed=st.integers(0, 1000),
)
def test_range_and_spread(counts, timesteps, interval, seed):
    layout = AtomLayout.from_counts(counts)
    dummy = torch.rand(layout.n_nodes, generator=generator(seed)) < 0.3
    levels = sample_levels(layout, timesteps, interval, dummy, generator=generator(seed))
    assert levels.dtype == torch.int64 and levels.shape == (layout.n_nodes,)
    assert 0 <= levels.min() and levels.max() <= timesteps
    assert (layout.max(levels) - layout.min(levels) <= 2 * interval).all()


def chi_square(counts, expected):
    return float(((counts - expected) ** 2 / expected).sum())


def test_offsets_are_uniform():
    """Differences of two atoms: the triangular distribution of two uniform offsets."""
    interval, n = 4, 60_000
    levels = sample_levels([2] * n, 1000, interval, generator=generator()).view(n, 2)
    inside = ((levels > 2 * interval) & (levels < 1000 - 2 * interval)).all(1)
    difference = (levels[:, 0] - levels[:, 1])[inside]
    width = 2 * interval + 1
    counts = torch.bincount(difference + 2 * interval, minlength=2 * width - 1).double()
    triangle = (width - torch.arange(-2 * interval, 2 * interval + 1).abs()) / width**2
    # 16 degrees of freedom: 39.3 is the 0.1 % point
    assert chi_square(counts, triangle * inside.sum()) < 39.3


def test_centres_are_uniform_and_both_ends_occur():
    levels = sample_levels([1] * 44_000, 10, 0, generator=generator())
    counts = torch.bincount(levels, minlength=11).double()
    # 10 degrees of freedom: 29.6 is the 0.1 % point
    assert chi_square(counts, torch.full((11,), 4000.0).double()) < 29.6


def test_a_power_draws_low_levels_more_often():
    levels = sample_levels([1] * 44_000, 10, 0, generator=generator(), level_power=1.5)
    counts = torch.bincount(levels, minlength=11).double()
    edges = (torch.arange(12) / 11).double() ** (1 / 1.5)
    # 10 degrees of freedom: 29.6 is the 0.1 % point
    assert chi_square(counts, 44_000 * edges.diff()) < 29.6
    with pytest.raises(ValueError, match="level_power must be positive, not 0"):
        sample_levels([1], level_power=0)


def test_dummies_are_noisier():
    n, interval = 40_000, 8
    dummy = torch.tensor([False, True]).repeat(n)
    levels = sample_levels([2] * n, 1000, interval, dummy, generator=generator()).view(n, 2)
    inside = ((levels > 20) & (levels < 980)).all(1)
    difference = (levels[:, 1] - levels[:, 0])[inside].double()
    # half of the dummies' offsets are U{0..C} with mean C / 2, all other offsets have mean 0
    assert float(difference.mean()) == pytest.approx(interval / 4, abs=5 * 7 / n**0.5)
    # offset of a dummy: 0.5 / (2 C + 1) for negative values, that and 0.5 / (C + 1) for others
    offset = torch.arange(-interval, interval + 1)
    dummy_p = 0.5 / 17 + torch.where(offset >= 0, 0.5 / 9, 0.0)
    atom_p = torch.full((17,), 1 / 17)
    expected = torch.zeros(33).double()
    for i in range(17):
        for j in range(17):
            expected[i - j + 16] += dummy_p[i] * atom_p[j]
    counts = torch.bincount(difference.long() + 16, minlength=33).double()
    # 32 degrees of freedom: 62.5 is the 0.1 % point
    assert chi_square(counts, expected * inside.sum()) < 62.5


def test_p_sync_is_the_share_of_synchronous_molecules():
    layout = AtomLayout.from_counts([12] * 8000)
    levels = sample_levels(layout, 1000, 29, p_sync=0.25, generator=generator())
    equal = layout.max(levels) == layout.min(levels)
    assert float(equal.double().mean()) == pytest.approx(0.25, abs=0.02)
    levels = sample_levels(layout, 1000, 0, generator=generator())
    assert torch.equal(layout.max(levels), layout.min(levels))


def test_bad_arguments():
    with pytest.raises(ValueError, match="interval must not be negative"):
        sample_levels([3], interval=-1)
    with pytest.raises(ValueError, match="p_sync is a probability"):
        sample_levels([3], p_sync=1.5)
    with pytest.raises(ValueError, match="molecule 1 has 0 nodes"):
        sample_levels([3, 0])

"""Atoms on top of each other: the same pairs as from all distances, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from deepchem_ead.chem.overlap import covalent_radii, find_overlaps
from deepchem_ead.molnet.sample import load_sample


def test_real_molecules_have_none():
    table, _ = load_sample()
    assert find_overlaps(table.atomic_numbers, table.coordinates, table.offsets) == []


@pytest.mark.parametrize("sizes", [range(1, 40), [150, 2, 130, 0, 7]])
def test_as_all_distances_say(sizes):
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(list(sizes))])
    numbers = rng.choice([1, 6, 8, 17, 53], offsets[-1])
    x = rng.normal(size=(offsets[-1], 3)) * np.cbrt(np.repeat(sizes, sizes))[:, None]
    x[3] = np.nan
    found = {o.molecule: o for o in find_overlaps(numbers, x, offsets)}
    expected = {}
    for m, (a, b) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        d = np.linalg.norm(x[a:b, None] - x[None, a:b], axis=-1)
        radii = covalent_radii()[numbers[a:b]]
        d[~(np.triu(d < 0.5 * (radii[:, None] + radii), 1))] = np.inf
        if np.isfinite(d).any():
            expected[m] = (divmod(int(d.argmin()), int(b - a)), d.min())
    assert len(expected) > 1 and found.keys() == expected.keys()
    for m, (pair, distance) in expected.items():
        assert found[m].atoms == pair and found[m].distance == pytest.approx(distance)


@pytest.mark.parametrize("spread", [0.0, 300.0])
def test_a_large_molecule_takes_no_square_of_its_size(spread):
    x = np.random.default_rng(1).uniform(size=(40_000, 3)) * spread
    tracemalloc.start()
    found = find_overlaps(np.full(len(x), 6), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 1 and peak < 100e6
    assert found[0].distance == 0 or spread

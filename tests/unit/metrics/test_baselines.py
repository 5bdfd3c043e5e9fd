"""Baselines of conditional generation: exact on small sets, EDM's published rows on QM9."""

from __future__ import annotations

import numpy as np
import pytest

from deepchem_ead.metrics.baselines import (
    atom_count_errors,
    mean_errors,
    shuffled_errors,
)
from deepchem_ead.metrics.property_units import field_errors, field_unit
from deepchem_ead.molnet.qm9 import task_values
from deepchem_ead.molnet.qm9pack import load_qm9pack, qm9pack_version
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.molnet.splits import edm_halves, edm_parts

TASKS = ["alpha", "gap", "homo", "lumo", "mu", "Cv", "Cv_edm"]
# EDM, arXiv:2203.17003, table 3, without plain Cv.
PUBLISHED_ATOMS = [3.86, 866, 426, 813, 1.053, None, 1.971]
PUBLISHED_SHUFFLED = [9.01, 1470, 645, 1457, 1.616, None, 6.857]


def in_field_units(table):
    return np.stack([task_values(table, t) * field_unit(t).factor for t in TASKS], 1)


def test_atom_counts_by_hand():
    counts, y = np.array([3, 3, 5]), np.array([[1.0], [3.0], [10.0]])
    wanted = np.array([[2.5], [9.0], [4.0]])
    # Means: 2 at size 3, 10 at size 5, and so 6 at size 4.
    found = atom_count_errors(counts, y, np.array([3, 5, 4]), wanted)
    assert found == pytest.approx([(0.5 + 1.0 + 2.0) / 3])


def test_shuffling_is_the_mean_over_all_pairs():
    y = np.random.default_rng(0).normal(size=(40, 3))
    pairs = np.abs(y[:, None] - y[None]).mean((0, 1))
    assert shuffled_errors(y) == pytest.approx(pairs)
    assert mean_errors(y[:30], y[30:]) == pytest.approx(np.abs(y[30:] - y[:30].mean(0)).mean(0))


def test_field_units():
    errors = field_errors(
        np.array([[0.1, 2.0], [np.nan, 3.0]]), np.array([[0.11, 2.5], [0.3, 3.0]]), ["gap", "mu"]
    )
    assert errors == pytest.approx({"gap": 272.114, "mu": 0.25})
    assert np.isnan(field_errors(np.array([[np.nan]]), np.zeros((1, 1)), ["gap"])["gap"])
    assert field_unit("solubility").factor == 1


def test_order_of_the_rows_on_the_sample():
    """A few hundred molecules: numbers of atoms say more than the mean, and shuffling says less."""
    table, parts = load_sample()
    train = table.select(np.flatnonzero(parts == 0))
    first, second = (train.select(rows) for rows in edm_halves(len(train)))
    one, two = in_field_units(first), in_field_units(second)
    atoms = atom_count_errors(first.n_atoms, one, second.n_atoms, two)
    mean, shuffled = mean_errors(one, two), shuffled_errors(two)
    assert (atoms < mean).all() and (mean < shuffled).all()
    for k in (0, 1, 2, 3, 4, 6):
        assert atoms[k] == pytest.approx(PUBLISHED_ATOMS[k], rel=0.1)
        assert shuffled[k] == pytest.approx(PUBLISHED_SHUFFLED[k], rel=0.1)


@pytest.mark.slow
def test_rows_of_the_field_on_all_of_qm9():
    """First half of EDM's training part against the second, measured independently before."""
    if qm9pack_version() is None:
        pytest.skip("needs the package qm9pack")
    table = load_qm9pack(None)
    train = np.flatnonzero(edm_parts() == 0)
    first, second = (table.select(train[rows]) for rows in edm_halves())
    one, two = in_field_units(first), in_field_units(second)
    atoms = atom_count_errors(first.n_atoms, one, second.n_atoms, two)
    measured = [3.83459, 867.7221, 427.1888, 813.8915, 1.053666, 1.958913, 1.958967]
    assert atoms == pytest.approx(measured, rel=1e-6)
    # The reference shuffles once, which is this mean up to 0.1 %.
    shuffled = [9.005974, 1470.2562, 648.7167, 1456.4167, 1.618065, 4.551573, 6.876137]
    assert shuffled_errors(two) == pytest.approx(shuffled, rel=2e-3)
    constant = [6.279646, 1075.33645, 440.85429, 1053.13525, 1.168073, 3.200666, 4.895347]
    assert mean_errors(one, two) == pytest.approx(constant, rel=1e-6)

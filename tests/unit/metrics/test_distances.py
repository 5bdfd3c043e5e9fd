"""Distances of distributions from a reference, and their errors by a bootstrap over molecules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.metrics.metric import Views
from deepchem_ead.metrics.sets import SETS, Sample
from deepchem_ead.metrics.sets.distances import Contributions, jensen_shannon, wasserstein
from deepchem_ead.metrics.sets.number import errors_of, jackknife
from deepchem_ead.molnet.sample import load_sample

#: A number of each way that features come: values by kind, counts, lists, one value.
NAMES = ("bond_length_distance", "hybridisation_distance", "group_distance", "size_distance")
FEATURES = ("bond_lengths", "hybridisation", "groups", "n_heavy")


@pytest.fixture(scope="module")
def shipped() -> Sample:
    """Features of a third of the shipped molecules of QM9."""
    table, _ = load_sample()
    atoms = [table.numbers_and_positions(i) for i in range(0, 1998, 3)]
    views = Views.of(MoleculeBatch.from_arrays(*zip(*atoms, strict=True))).each
    return Sample.of(views, FEATURES)


def some(sample: Sample, rows: np.ndarray) -> Sample:
    return Sample({name: [sample[name][i] for i in rows] for name in FEATURES}, len(rows))


def test_wasserstein_is_that_of_scipy_by_kind():
    random = np.random.default_rng(0)
    p = {"a": random.normal(0, 1, 31).round(2).tolist(), "b": [1.0] * 12, "few": [0.0] * 9}
    q = {"a": random.normal(1, 2, 45).round(2).tolist(), "b": [3.0] * 15, "few": [9.0] * 99}
    own, known = (Contributions.of_values([None, each]).pooled() for each in (p, q))
    a = wasserstein_distance(p["a"], q["a"])
    assert wasserstein(own, known) == pytest.approx((45 * a + 15 * 2) / 60)
    both = wasserstein(own, known, fewest=1)
    assert both == pytest.approx((45 * a + 15 * 2 + 99 * 9) / 159)
    assert np.isnan(wasserstein(own, known, fewest=100)).all()


def test_jensen_shannon_is_that_of_scipy():
    p, q = {"x": 3, "y": 5}, {"y": 2, "z": 6, "x": 1}
    own, known = Contributions.of_counts([p]).pooled(), Contributions.of_counts([q, None]).pooled()
    expected = jensenshannon([3, 5, 0], [1, 2, 6], base=2)
    assert jensen_shannon(own, known) == pytest.approx(expected)
    disjoint = Contributions.of_counts([["w", "w"]]).pooled()
    assert jensen_shannon(disjoint, known) == pytest.approx(1)
    assert np.isnan(jensen_shannon(Contributions.of_counts([None]).pooled(), known)).all()


@pytest.mark.parametrize("name", NAMES)
def test_resamples_are_what_the_resampled_molecules_say(shipped, name):
    random = np.random.default_rng(1)
    part, reference = some(shipped, np.arange(60)), some(shipped, np.arange(60, 260))
    number = SETS[name]()
    drawn = random.integers(0, 60, (3, 60))
    times = np.array([np.bincount(rows, minlength=60) for rows in drawn], float)
    own, known = (number._contributions(each) for each in (part, reference))
    found = number.distance(own.pooled(times), known.pooled())
    expected = [number(some(part, rows), reference)[name] for rows in drawn]
    assert found == pytest.approx(expected)


def test_errors_agree_with_the_spread_of_independent_sets(shipped):
    """Of aromatic and of small molecules, which are far from the others."""
    heavy = np.array(shipped["n_heavy"])
    small = np.flatnonzero(heavy < np.sort(heavy)[120])
    aromatic = np.flatnonzero(["C:C" in each for each in shipped["bond_lengths"]])
    n_sets, ratios = 12, []
    for name in NAMES:
        rows, number = small if name == "size_distance" else aromatic, SETS[name]()
        reference = some(shipped, np.setdiff1d(np.arange(len(shipped)), rows))
        sets = [some(shipped, rows[k::n_sets]) for k in range(n_sets)]
        spread = np.std([number(each, reference)[name] for each in sets], ddof=1)
        errors = [number.errors(each, reference)[name] for each in sets]
        ratios.append(np.mean(errors) / spread)
    tolerance = 1 / np.sqrt(2 * (n_sets - 1))  # of one spread
    assert np.abs(np.log(ratios)).max() < 3 * tolerance
    assert abs(np.mean(np.log(ratios))) < 3 * tolerance / np.sqrt(len(NAMES))


def test_errors_depend_on_the_seed_alone(shipped):
    part, reference = some(shipped, np.arange(50)), some(shipped, np.arange(50, 250))
    number = SETS["group_distance"]()
    first = number.errors(part, reference, seed=3)
    assert first == number.errors(some(shipped, np.arange(50)), reference, seed=3)
    other = number.errors(part, reference, seed=4)
    assert other != first and other == pytest.approx(first, rel=0.4)


def test_each_number_has_its_own_kind_of_error(shipped):
    part, reference = some(shipped, np.arange(50)), some(shipped, np.arange(50, 250))
    distance, distinct = SETS["size_distance"](), SETS["atom_stability"]()
    assert errors_of(distance, part, reference) == distance.errors(part, reference)
    assert errors_of(distance, some(part, np.arange(1)), reference)["size_distance"] != 0
    part = Sample({"stable_atoms": [1, 2, 4], "n_atoms": [4, 4, 4]}, 3)
    expected = jackknife(lambda rows: distinct(part.take(rows), None), 3)
    assert errors_of(distinct, part, reference) == expected
    assert expected["atom_stability"] > 0

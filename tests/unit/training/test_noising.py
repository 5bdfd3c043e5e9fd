"""What is drawn for a batch: sizes with dummy atoms, hidden properties, levels and noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.training.noising import (
    evaluation_nodes,
    evaluation_noise,
    training_conditions,
    training_nodes,
    training_noise,
)

RANDOM = EADConfig(dummy_padding="random", p_fixed_size=0.3, max_atoms=29)


def test_random_padding_is_uniform_between_the_molecule_and_the_largest():
    counts = np.full(40_000, 21)
    nodes, fixed = training_nodes(counts, RANDOM, step=3)
    assert fixed.mean() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 40_000) ** 0.5)
    assert (nodes[fixed] == 21).all()
    frequency = np.bincount(nodes[~fixed], minlength=30)[21:]
    assert frequency.sum() == (~fixed).sum()  # never below 21 nor above 29
    expected = frequency.sum() / 9
    assert ((frequency - expected) ** 2 / expected).sum() < 26.1  # chi-square, 8 d.o.f., p = 0.001


def test_random_padding_may_be_limited():
    limited = replace(RANDOM, max_dummies=3, max_atoms=40)
    counts = np.repeat([9, 38, 40], 2000)
    nodes, fixed = training_nodes(counts, limited, step=3)
    free = ~fixed
    added = (nodes - counts)[free]
    assert (np.bincount(added[counts[free] == 9], minlength=4)[:4] > 250).all()
    assert added.max() == 3 and nodes.max() == 40 and not added[counts[free] == 40].any()
    with pytest.raises(ValueError, match="max_dummies must not be negative"):
        replace(RANDOM, max_dummies=-1)


def test_full_padding_has_as_many_nodes_as_the_model():
    nodes, fixed = training_nodes(np.array([5, 29, 12]), EADConfig(), step=0)
    assert nodes.tolist() == [29, 29, 29] and not fixed.any()
    nodes, fixed = training_nodes(np.array([5, 29, 12]), EADConfig(p_fixed_size=1.0), step=0)
    assert nodes.tolist() == [5, 29, 12] and fixed.all()


def test_nodes_depend_on_seed_and_step_or_row_only():
    counts = np.full(50, 9)
    drawn = training_nodes(counts, RANDOM, 7)[0]
    assert np.array_equal(drawn, training_nodes(counts, RANDOM, 7)[0])
    assert not np.array_equal(drawn, training_nodes(counts, RANDOM, 8)[0])
    other = EADConfig(dummy_padding="random", seed=1)
    assert not np.array_equal(drawn, training_nodes(counts, other, 7)[0])

    nodes, fixed = evaluation_nodes(counts, RANDOM, np.arange(50))
    for rows in (np.array([3]), np.array([40, 3, 17])):
        some, some_fixed = evaluation_nodes(counts[: len(rows)], RANDOM, rows)
        assert np.array_equal(some, nodes[rows]) and np.array_equal(some_fixed, fixed[rows])


def test_flagged_molecules_have_no_dummies_and_the_network_is_told(qm9_sample):
    encoding = AtomEncoding(RANDOM)
    X = qm9_sample.X[::60][:30]
    counts = encoding.count_atoms(X)
    nodes, fixed = training_nodes(counts, RANDOM, 0)
    encoded = encoding.encode(X, None, nodes)
    assert encoded.layout.counts.tolist() == sorted(nodes.tolist())
    dummies = encoded.layout.sum(encoded.is_dummy.long())
    flags = torch.from_numpy(fixed[encoded.order])
    assert dummies.tolist() == (nodes - counts)[encoded.order].tolist()
    assert not dummies[flags].any() and flags.any() and dummies.any()
    network = EADNetwork(EADConfig(p_fixed_size=0.3, n_layers=1, n_features=8), encoding)
    assert network.context(flags).tolist() == flags.float().unsqueeze(1).tolist()
    # without the option there is nothing to be told
    assert EADNetwork(EADConfig(n_layers=1, n_features=8), encoding).context(flags) is None


def test_atoms_stay_in_place_whatever_the_number_of_nodes(qm9_sample):
    encoding = AtomEncoding(RANDOM)
    X = qm9_sample.X[:4]
    counts = encoding.count_atoms(X)
    for extra in (0, 3):
        encoded = encoding.encode(X, None, counts + extra)
        numbers, positions = encoding.decode(encoded.clean, encoded.layout, sizes_fixed=False)
        for k, row in enumerate(encoded.order):
            assert numbers[k].tolist() == X[row, : counts[row], 3].tolist()
            np.testing.assert_allclose(positions[k], X[row, : counts[row], :3], atol=2e-6)


def test_any_subset_of_the_properties_is_hidden():
    config = EADConfig(conditions="a,b,c", p_uncond=0.1)
    n = 60_000
    seen = training_conditions(n, config, step=5)
    assert seen.shape == (n, 3)
    for subset in product([False, True], repeat=3):
        size = sum(subset)
        # k properties are 1 / k as frequent as one, and all choices of as many are alike
        expected = 0.1 if size == 0 else 0.9 * (6 / 11) / size / (1 if size == 3 else 3)
        share = (seen == subset).all(1).mean()
        assert share == pytest.approx(expected, abs=4 * (expected / n) ** 0.5), subset


def test_one_property_is_hidden_with_p_uncond_only():
    for p in (0.0, 0.25, 1.0):
        seen = training_conditions(20_000, EADConfig(conditions="gap", p_uncond=p), step=0)
        assert 1 - seen.mean() == pytest.approx(p, abs=0.013)


def test_hidden_properties_depend_on_seed_and_step_only():
    config = EADConfig(conditions="a,b")
    seen = training_conditions(64, config, 9)
    assert np.array_equal(seen, training_conditions(64, config, 9))
    assert not np.array_equal(seen, training_conditions(64, config, 10))
    other = EADConfig(conditions="a,b", seed=1)
    assert not np.array_equal(seen, training_conditions(64, other, 9))


def test_noise_of_a_molecule_in_evaluation_does_not_depend_on_the_batch(qm9_sample):
    encoding = AtomEncoding(RANDOM)
    X, rows = qm9_sample.X[100:106], np.arange(100, 106)

    def noise_of(chosen):
        counts = encoding.count_atoms(X[chosen])
        nodes, _ = evaluation_nodes(counts, RANDOM, rows[chosen])
        encoded = encoding.encode(X[chosen], None, nodes)
        levels, eps, _ = evaluation_noise(encoded, RANDOM, rows[chosen])
        parts = encoded.layout.counts.tolist()
        by_row = zip(
            rows[chosen][encoded.order], levels.split(parts), eps.split(parts), strict=True
        )
        return {row: (t, e) for row, t, e in by_row}

    together = noise_of(np.arange(6))
    for chosen in (np.array([4]), np.array([5, 0])):
        for row, (levels, eps) in noise_of(chosen).items():
            assert torch.equal(levels, together[row][0]) and torch.equal(eps, together[row][1])


def test_noise_of_training_depends_on_seed_and_step_only(qm9_sample):
    encoded = AtomEncoding(RANDOM).encode(qm9_sample.X[:3])
    levels, eps, _ = training_noise(encoded, RANDOM, 4)
    again = training_noise(encoded, RANDOM, 4)
    assert torch.equal(levels, again[0]) and torch.equal(eps, again[1])
    assert not torch.equal(eps, training_noise(encoded, RANDOM, 5)[1])

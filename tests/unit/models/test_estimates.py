"""Property models that learn from a generator's estimates, to guide it from high noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from property_data import assert_same_weights, labelled, small_model, weights

from deepchem_ead import EGNNPropertyModel
from deepchem_ead.generation.request import type_probabilities
from deepchem_ead.models.estimates import CleanEstimates

ELEMENTS = "C,F,H,N,O"  # in another order than the generator's
ESTIMATED = {"estimates_of": "qm9-1", "max_tau": 2.0, "learning_rate_decay": "none"}


@pytest.fixture(scope="module")
def data():
    return labelled(["gap", "Cv"], slice(48))


@pytest.mark.parametrize("max_tau", [0.01, 2.0])
def test_estimates_are_of_the_molecules_and_blurred_by_noise(data, max_tau):
    """Checked against what a property model makes of the same rows."""
    model = small_model(["gap"], elements=ELEMENTS)
    clean = model._prepare_batch(([data.X], None, None))[0]
    positions, types, layout = CleanEstimates("qm9-1", ELEMENTS, max_tau)(data.X, data.ids, 0)
    assert torch.equal(layout.counts, clean["layout"].counts)
    torch.testing.assert_close(types.sum(1), torch.ones(len(types)))
    assert types.min() >= 0
    missed = (positions - clean["positions"]).square().sum(1).mean().sqrt()
    right = (types.argmax(1) == clean["types"].argmax(1)).float().mean()
    if max_tau == 0.01:
        assert missed < 0.02 and right == 1
    else:
        assert 0.2 < missed < 2 and 0.7 < right < 1


def test_a_generator_that_knows_bonds_is_told_none(data):
    """Nor charges: what it believes of molecules is asked for, with or without theirs at hand."""
    estimates = CleanEstimates("qm9", ELEMENTS, 0.01)
    positions, types, _ = estimates(data.X, data.ids, 0)
    wide = np.pad(data.X, ((0, 0), (0, 0), (0, 7)), constant_values=1)
    again = estimates(wide, data.ids, 0)
    assert torch.equal(positions, again[0]) and torch.equal(types, again[1])
    clean = small_model(["gap"], elements=ELEMENTS)._prepare_batch(([data.X], None, None))[0]
    assert (types.argmax(1) == clean["types"].argmax(1)).float().mean() > 0.99


def test_estimates_depend_on_seed_and_step(data):
    one, other = (CleanEstimates("qm9-1", ELEMENTS, 2.0, seed) for seed in (0, 1))
    first = one(data.X, data.ids, 5)[0]
    assert torch.equal(first, one(data.X, data.ids, 5)[0])
    assert not torch.equal(first, one(data.X, data.ids, 6)[0])
    assert not torch.equal(first, other(data.X, data.ids, 5)[0])


def test_levels_reach_up_to_the_largest_ratio():
    estimates = CleanEstimates("qm9-1", ELEMENTS, 0.5)
    tau = estimates.generator.model.process.schedule.tau
    assert tau[estimates.highest] <= 0.5 < tau[estimates.highest + 1]


def test_a_generator_of_other_elements_is_refused():
    with pytest.raises(ValueError, match="H,C,N,O,F,S"):
        CleanEstimates("qm9-1", "H,C,N,O,F,S", 1.0)


def test_columns_of_types_are_probabilities_of_elements():
    types = torch.tensor([[0.2, -0.1, 0.2, 9.0], [0.0, 0.0, -1.0, 0.0]])
    found = type_probabilities(types, [2, 0, 3], 4)
    assert torch.equal(found, torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0, 0]]))


def test_training_on_estimates_resumes_bit_for_bit_and_predicts_without_the_generator(
    data, tmp_path, monkeypatch
):
    whole = small_model(["gap", "Cv"], **ESTIMATED)
    whole.fit(data, nb_epoch=2, checkpoint_interval=0)
    plain = small_model(["gap", "Cv"], learning_rate_decay="none")
    plain.fit(data, nb_epoch=2, checkpoint_interval=0)
    with pytest.raises(AssertionError):
        assert_same_weights(weights(whole), weights(plain))
    first = small_model(["gap", "Cv"], tmp_path, **ESTIMATED)
    first.fit(data, nb_epoch=1)
    second = small_model(["gap", "Cv"], tmp_path, **ESTIMATED)
    second.fit(data, nb_epoch=1, restore=True)
    assert_same_weights(weights(whole), weights(second))

    whole.save_pretrained(tmp_path / "model")
    monkeypatch.setattr(CleanEstimates, "__init__", None)  # not needed any more
    again = EGNNPropertyModel.from_pretrained(tmp_path / "model")
    assert again.config.max_tau == 2.0
    assert np.array_equal(again.predict(data), whole.predict(data))


@pytest.mark.parametrize("half", [{"estimates_of": "qm9-1"}, {"max_tau": 1.0}])
def test_generator_and_ratio_go_together(half):
    with pytest.raises(ValueError, match="go together"):
        small_model(["gap"], **half)

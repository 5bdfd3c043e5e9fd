"""Conditions in training: which labels count, what is remembered of them, and warm starts."""

from __future__ import annotations

import warnings

import deepchem as dc
import numpy as np
import pytest
import torch

from deepchem_ead import CheckpointError, EADModel, MoleculeBatch
from deepchem_ead.diffusion import Asked
from deepchem_ead.generation.condition_values import parse_value, requested_values
from deepchem_ead.generator.conditions import N_EMBEDDING, ConditionEmbedding, ConditionStatistics
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.network import output_labels
from deepchem_ead.molnet import load_qm9_3d

SMALL = {"preset": "qm9-small", "n_layers": 1, "n_features": 16, "batch_size": 16}
NAN = float("nan")


@pytest.fixture(scope="module")
def qm9():
    """Training part of the sample with its labels: alpha, gap, homo, lumo, mu, Cv."""
    return load_qm9_3d(source="sample", reload=False)[1][0]


def small_model(tmp_path=None, **changes):
    return EADModel(model_dir=tmp_path, **{**SMALL, "conditions": ["gap", "mu"], **changes})


def fit(model, dataset, **options):
    model.fit(dataset, nb_epoch=1, checkpoint_interval=0, **options)
    return model


def rows_of(dataset, n, y=None, w=None):
    """The first n molecules as a NumpyDataset with other labels."""
    y = dataset.y[:n] if y is None else y
    return dc.data.NumpyDataset(dataset.X[:n], y, np.ones_like(y) if w is None else w, range(n))


def training_conditions(model, dataset):
    """What the network is told about each row in the first step, in the order of the rows."""
    model._ensure_built()
    model._columns = model._condition_columns(dataset)
    batch, _, weights = model._prepare_batch(([dataset.X], [dataset.y], [dataset.w]))
    return batch["conditions"][batch["rank"]].numpy(), weights[0][:, 0]


# ---------------------------------------------------------------------------- labels


def test_columns_are_found_by_name(qm9):
    model = small_model(p_uncond=0.0, conditions="mu")
    data = qm9.select(range(20))
    told, _ = training_conditions(model, data)
    assert told[:, 0].tolist() == data.y[:, 4].tolist()


def test_columns_without_names_are_taken_in_order(qm9):
    y = qm9.y[:10][:, [1, 4]]
    told, _ = training_conditions(small_model(), rows_of(qm9, 10, y))
    known = np.isfinite(told)
    assert known.any() and np.array_equal(told[known], y[known])


@pytest.mark.parametrize(
    "conditions, columns, message",
    [
        (["gap", "logP"], None, "no task 'logP'; it has alpha, gap, homo, lumo, mu, Cv"),
        (["gap", "mu"], 3, "3 columns of labels without names.*gap, mu"),
        (["gap", "mu"], 1, "1 columns of labels without names.*gap, mu"),
    ],
)
def test_missing_labels_are_named(qm9, conditions, columns, message):
    data = qm9.select(range(8))
    if columns is not None:
        data = rows_of(qm9, 8, data.y[:, :columns])
    with pytest.raises(ValueError, match=message):
        fit(small_model(conditions=conditions), data)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda y: y.__setitem__((3, 1), np.inf), r"'mu' is infinite in row 3 \(3\)"),
        (lambda y: y.__setitem__((5, 0), 1e12), r"'gap' is above 1e\+08 in row 5"),
        (lambda y: y.__setitem__((slice(None), 0), 0.3), r"'gap' is 0.3 in all of row 0"),
        (lambda y: y.__setitem__((slice(None), 1), np.nan), "'mu' is missing in every molecule"),
    ],
)
def test_labels_that_would_spoil_training_are_refused(qm9, spoil, message):
    y = qm9.y[:12][:, [1, 4]]
    spoil(y)
    model = small_model()
    with pytest.raises(ValueError, match=message):
        fit(model, rows_of(qm9, 12, y))
    assert model.get_global_step() == 0 and not model.model.statistics.measured


def test_later_data_may_be_constant_but_not_infinite(qm9):
    model = fit(small_model(), rows_of(qm9, 16, qm9.y[:16][:, [1, 4]]))
    y = np.full((16, 2), 0.3)
    fit(model, rows_of(qm9, 16, y))
    y[7, 1] = -np.inf
    with pytest.raises(ValueError, match="'mu' is infinite in row 7"):
        fit(model, rows_of(qm9, 16, y))


@pytest.mark.parametrize("missing", ["NaN", "weight"])
def test_unknown_labels_are_null_and_their_molecules_still_count(qm9, missing):
    y, w = qm9.y[:40][:, [1, 4]].copy(), np.ones((40, 2))
    unknown = np.zeros((40, 2), bool)
    unknown[:10, 0] = unknown[5:20, 1] = True
    if missing == "NaN":
        y[unknown] = np.nan
    else:
        w[unknown] = 0
    model = small_model(p_uncond=0.0)
    data = rows_of(qm9, 40, y, w)
    told, weights = training_conditions(model, data)
    assert np.isnan(told[unknown]).all() and np.isfinite(told).any(0).all()
    assert (weights == 1).all()
    fit(model, data)
    expected = np.nanmean(np.where(unknown, np.nan, qm9.y[:40][:, [1, 4]]), 0)
    np.testing.assert_allclose(model.model.statistics.mean, expected, rtol=1e-12)


def test_evaluation_uses_all_labels_and_none_where_there_are_none(qm9):
    model = fit(small_model(p_uncond=0.5), qm9.select(range(64)))
    data = qm9.select(range(32))
    model.batch_size = 5
    losses = model.predict(data)
    model.batch_size = 32
    assert np.array_equal(losses, model.predict(data))  # nothing is hidden at random
    unknown = rows_of(qm9, 32, np.full((32, 2), np.nan))
    unlabelled = dc.data.NumpyDataset(qm9.X[:32])
    assert np.array_equal(model.predict(unknown), model.predict(unlabelled))
    assert not np.array_equal(losses, model.predict(unlabelled))


# ---------------------------------------------------------------------------- statistics


def test_mean_and_deviation_are_those_of_the_labels_and_survive_files(qm9, tmp_path):
    model = fit(small_model(str(tmp_path / "run")), qm9)
    model.save_checkpoint()
    y = qm9.y[:, [1, 4]]
    statistics = model.model.statistics
    np.testing.assert_allclose(statistics.mean, y.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.mad, np.abs(y - y.mean(0)).mean(0), rtol=1e-12)
    np.testing.assert_array_equal(statistics.edges[:, [0, -1]].T, [y.min(0), y.max(0)])
    assert statistics.sizes.sum((1, 2)).tolist() == [len(qm9)] * 2
    n_atoms = (qm9.X[:, :, 3] > 0).sum(1)
    by_size = statistics.sizes[0].sum(0).numpy()
    assert np.array_equal(by_size, np.bincount(n_atoms, minlength=30))

    model.save_pretrained(tmp_path / "model")
    restored = small_model(str(tmp_path / "run"))
    restored.restore()
    for other in (restored, EADModel.from_pretrained(tmp_path / "model")):
        ours, theirs = statistics.state_dict(), other.model.statistics.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        values = torch.tensor([[0.2, NAN], [0.3, 1.0]], dtype=torch.float64)
        assert torch.equal(model.model.context(None, values), other.model.context(None, values))
        assert np.array_equal(model.predict(qm9.select(range(4))),
                              other.predict(qm9.select(range(4))))  # fmt: skip


def test_normalisation():
    statistics = ConditionStatistics(["a"], 5)
    statistics.measure(np.array([[1.0], [3.0], [NAN], [5.0]]), np.array([1, 2, 3, 4]))
    assert (float(statistics.mean), float(statistics.mad)) == (3.0, pytest.approx(4 / 3))
    out = statistics.normalise(torch.tensor([[3.0], [NAN], [7.0]], dtype=torch.float64))
    assert out[[0, 2], 0].tolist() == [0.0, 3.0] and out[1].isnan() and out.dtype == torch.float32
    far = statistics.normalise(torch.tensor([[1e9], [-1e9]], dtype=torch.float64))
    assert far[:, 0].tolist() == [6.0, -6.0]  # read as a value the network has seen


def test_one_molecule_is_no_distribution(qm9):
    with pytest.raises(ValueError, match="1 known labels of 'gap' are all"):
        fit(small_model(), qm9.select([3]))


def test_sizes_given_one_property_are_the_histogram_of_its_bin():
    rng = np.random.default_rng(0)
    n_atoms = rng.integers(1, 11, 100_000)
    value = n_atoms + rng.normal(0, 0.5, len(n_atoms))
    statistics = ConditionStatistics(["a"], 10)
    statistics.measure(value[:, None], n_atoms)
    counts = np.bincount(n_atoms, minlength=11)
    p = statistics.size_probabilities(np.array([[5.0], [NAN]]), counts)
    np.testing.assert_allclose(p.sum(1), 1)
    edges = statistics.edges[0].numpy()
    k = np.searchsorted(edges, 5.0) - 1
    near = n_atoms[(value >= edges[k]) & (value < edges[k + 1])]
    np.testing.assert_allclose(p[0], np.bincount(near, minlength=11) / len(near), atol=2e-3)
    np.testing.assert_allclose(p[1], counts / counts.sum())  # nothing asked
    assert p[0].argmax() == 5


def test_sizes_given_two_properties_are_bayes_for_independent_ones():
    rng = np.random.default_rng(1)
    n_atoms = rng.integers(1, 4, 200_000)
    values = n_atoms[:, None] + rng.normal(0, [0.8, 1.5], (len(n_atoms), 2))
    statistics = ConditionStatistics(["a", "b"], 3)
    statistics.measure(values, n_atoms)
    counts = np.bincount(n_atoms, minlength=4)
    asked = np.array([[1.6, 3.0]])
    p = statistics.size_probabilities(asked, counts)[0, 1:]
    sizes = np.arange(1, 4)
    exact = np.exp(-0.5 * (((asked[0, :, None] - sizes) / [[0.8], [1.5]]) ** 2).sum(0))
    np.testing.assert_allclose(p, exact / exact.sum(), atol=0.03)


@pytest.mark.parametrize("asked", [-1.0, 0.0, 0.5, 1.0, 7.0])
def test_sizes_are_possible_for_any_value_of_a_property_with_few_values(asked):
    """A number of atoms of one element has three values and 32 bins, most of them empty."""
    rng = np.random.default_rng(2)
    n_atoms = rng.integers(3, 6, 2000)
    values = rng.choice([0.0, 1.0, 2.0], (2000, 1), p=[0.6, 0.25, 0.15])
    statistics = ConditionStatistics(["n_F"], 5)
    statistics.measure(values, n_atoms)
    counts = np.bincount(n_atoms, minlength=6)
    p = statistics.size_probabilities(np.array([[asked]]), counts)[0]
    assert p.sum() == pytest.approx(1) and (p[3:] > 0).all() and not p[:3].any()
    value = min(max(np.floor(asked), 0.0), 2.0)
    near = np.bincount(n_atoms[values[:, 0] == value], minlength=6)
    np.testing.assert_allclose(p, near / near.sum(), atol=0.05)


def test_sizes_are_possible_where_properties_contradict_each_other():
    """No training molecule has both values, at any size; they count for what they are alone."""
    n_atoms = np.repeat([1, 2, 3], 100)
    statistics = ConditionStatistics(["a", "b"], 3)
    statistics.measure(np.column_stack([n_atoms, n_atoms]).astype(float), n_atoms)
    p = statistics.size_probabilities(np.array([[1.0, 3.0]]), np.bincount(n_atoms))[0]
    assert p.sum() == pytest.approx(1)
    assert p[1] == pytest.approx(p[3]) and p[1] > 0.4


def test_values_beyond_the_training_data_warn_with_the_range():
    statistics = ConditionStatistics(["gap"], 5)
    statistics.measure(np.linspace(0.1, 0.4, 1001)[:, None], np.full(1001, 3))
    with pytest.warns(UserWarning, match=r"gap=0\.9 lies outside.*from 0\.1 to 0\.4 \(94% of them"):
        statistics.warn_outside(np.array([[0.2], [0.9]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        statistics.warn_outside(np.array([[0.1], [0.4], [NAN]]))


# ---------------------------------------------------------------------------- embedding


def test_null_is_a_vector_of_its_own_for_each_property():
    embedding = ConditionEmbedding(2)
    rows = embedding(torch.tensor([[NAN, NAN], [0.0, NAN], [NAN, 0.0]])).detach()
    assert rows.shape == (3, 2 * N_EMBEDDING)
    first, second = rows.split(N_EMBEDDING, 1)
    assert torch.equal(first[0], embedding.null[0]) and torch.equal(second[0], embedding.null[1])
    assert torch.equal(first[2], first[0]) and torch.equal(second[1], second[0])
    assert not torch.equal(first[1], first[0]) and not torch.equal(second[2], second[0])
    assert rows[0].abs().min() > 0  # not zero-filled


def test_null_and_values_are_learned(qm9):
    model = small_model(learning_rate=1e-2, warmup_steps=0)
    before = {k: v.clone() for k, v in model.model.embedding.state_dict().items()}
    fit(model, qm9.select(range(64)))
    after = model.model.embedding.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    averaged = model.model.embedding_average.module.state_dict()
    assert all(not torch.equal(before[name], averaged[name]) for name in before)
    assert not torch.equal(after["null"], averaged["null"])


def test_rows_of_context_do_not_depend_on_the_batch(qm9):
    model = fit(small_model(), qm9.select(range(32)))
    values = torch.from_numpy(qm9.y[:300][:, [1, 4]])
    with torch.no_grad():
        together = model.model.context(None, values)
        for chosen in ([0], [299, 7], range(40, 90)):
            assert torch.equal(model.model.context(None, values[chosen]), together[chosen])


# ---------------------------------------------------------------------------- resuming


def test_a_conditional_run_that_broke_off_continues_bit_for_bit(qm9, tmp_path):
    y = qm9.y[:80][:, [1, 4]].copy()
    y[::7, 0] = np.nan
    data = rows_of(qm9, 80, y)
    options = dict(learning_rate_decay="none", variable_size=True, dummy_padding="random",
                   p_fixed_size=0.5)  # fmt: skip

    def break_off(model, step, **kwargs):
        if step == 13:
            raise SystemError("the machine is gone")

    run = tmp_path / "run"
    broken = small_model(str(run), **options)
    with pytest.raises(SystemError):
        broken.fit(data, nb_epoch=1000, checkpoint_interval=5, callbacks=[break_off])
    resumed = small_model(str(run), **options)
    resumed.fit(data, nb_epoch=2, restore=True)
    straight = small_model(str(tmp_path / "straight"), **options)
    straight.fit(data, nb_epoch=resumed.training_position.epoch)
    assert straight.get_global_step() == resumed.get_global_step() > 13
    ours, theirs = straight.model.state_dict(), resumed.model.state_dict()
    assert "embedding.null" in ours and "statistics.mad" in ours
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


# ---------------------------------------------------------------------------- warm start


@pytest.fixture(scope="module", params=["egnn", "attention"])
def unconditional(request, qm9, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    extra = {"n_heads": 2, "level_features": "fourier"} if request.param == "attention" else {}
    model = EADModel(**{**SMALL, "variable_size": True, "denoiser": request.param, **extra},
                     model_dir=str(folder / "run"))  # fmt: skip
    model.fit(qm9.select(range(64)), nb_epoch=2)
    model.save_pretrained(folder / "model")
    return model, folder


@pytest.mark.parametrize("kind", ["folder", "checkpoint"])
def test_a_wider_model_starts_as_exactly_the_narrow_one(unconditional, qm9, kind):
    narrow, folder = unconditional
    source = folder / "model" if kind == "folder" else narrow.get_checkpoints()[0]
    wide = EADModel(initial_weights=source, conditions=["gap", "mu"], batch_size=32)
    assert wide.config.n_features == 16 and wide.config.batch_size == 32
    fit(wide, qm9.select(range(64)), variables=[wide.model.embedding.null])  # only statistics
    data = qm9.select(range(30))
    fresh = EADModel(initial_weights=source, conditions=["gap", "mu"])
    fresh.model.statistics.load_state_dict(wide.model.statistics.state_dict())
    np.testing.assert_allclose(fresh.predict(data), narrow.predict(data), rtol=1e-6)
    # and goes on from there
    state = {k: v.clone() for k, v in fresh.model.denoiser.state_dict().items()}
    fit(fresh, qm9.select(range(64)))
    first = fresh.model.denoiser.embedding.weight
    assert not state["embedding.weight"][:, -2 * N_EMBEDDING :].any()
    assert (first[:, -2 * N_EMBEDDING :] != 0).all()


def test_flag_and_properties_may_be_added_and_properties_appended(unconditional, qm9, tmp_path):
    narrow, folder = unconditional
    source = folder / "model"
    options = dict(p_fixed_size=0.5, dummy_padding="random", max_atoms=40)
    wide = EADModel(initial_weights=source, conditions=["gap"], **options)
    fit(wide, qm9.select(range(64)))
    wide.save_pretrained(tmp_path / "wide")
    wider = EADModel(initial_weights=tmp_path / "wide", conditions=["gap", "alpha"])
    n = len(wide.config.condition_names)
    assert torch.equal(wider.model.statistics.mad[:n], wide.model.statistics.mad)
    data = qm9.select(range(64, 128))
    before = wider.predict(rows_of(data, 20, np.column_stack([data.y[:20, 1], [np.nan] * 20])))
    np.testing.assert_allclose(before, wide.predict(data.select(range(20))), rtol=1e-6)
    fit(wider, data)
    assert torch.equal(wider.model.statistics.mad[:n], wide.model.statistics.mad)
    assert float(wider.model.statistics.edges[0, 0]) == data.y[:, 1].min()  # of the new data


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(n_layers=2), "n_layers is 2 here and 1 there"),
        (dict(elements="H,C,N,O,S"), "elements is 'H,C,N,O,S' here and 'H,C,N,O,F' there"),
        (dict(variable_size=False), "variable_size is False here and True there"),
        (dict(timesteps=500), "timesteps is 500 here"),
    ],
)
def test_other_differences_are_listed(unconditional, change, message):
    _, folder = unconditional
    with pytest.raises(CheckpointError, match=message):
        EADModel(initial_weights=folder / "model", conditions=["gap"], **change)


def test_conditions_may_be_dropped_added_and_reordered(unconditional, qm9, tmp_path):
    _, folder = unconditional
    source = EADModel(initial_weights=folder / "model", conditions=["gap", "mu"], p_fixed_size=0.5)
    fit(source, qm9.select(range(32)))
    source.save_pretrained(tmp_path)
    data = qm9.select(range(32, 52))
    none = EADModel(initial_weights=tmp_path, conditions="")
    unknown = rows_of(data, 20, np.full((20, 2), np.nan))
    np.testing.assert_allclose(none.predict(data), source.predict(unknown), rtol=1e-5)

    other = EADModel(initial_weights=tmp_path, conditions=["mu", "alpha", "gap"])
    fit(other, qm9.select(range(32)), variables=[other.model.embedding.null])  # only statistics
    other = other_with_statistics(other, tmp_path)
    gap, mu = np.random.default_rng(0).normal(size=(2, 20)) * 0.1 + [[0.25], [2.5]]
    told = np.column_stack([mu, np.full(20, np.nan), gap])
    np.testing.assert_allclose(
        other.predict(rows_of(data, 20, told)),
        source.predict(rows_of(data, 20, np.column_stack([gap, mu]))),
        rtol=1e-5,
    )
    with pytest.raises(CheckpointError, match="p_fixed_size is 0.0 here and 0.5 there"):
        EADModel(initial_weights=tmp_path, p_fixed_size=0.0)


def other_with_statistics(model, source):
    """The same conditions from the source anew, with the statistics that this model has taken."""
    fresh = EADModel(initial_weights=source, conditions=list(model.config.condition_names))
    fresh.model.statistics.load_state_dict(model.model.statistics.state_dict())
    return fresh


@pytest.mark.parametrize("elements", ["H,C,N,O,F,S,Cl,Br", "Br,F,S,O,N,C,H,Cl"])
@pytest.mark.parametrize("target", ["noise", "types"])
def test_new_elements_grow_the_vocabulary_and_leave_the_rest(
    unconditional, qm9, target, elements, tmp_path
):
    narrow, folder = unconditional
    source = folder / "model"
    if target == "types":
        narrow = EADModel(**{**narrow.config.to_dict(), "feature_target": "types"})
        narrow.fit(qm9.select(range(32)), nb_epoch=1)
        source = tmp_path / "types"
        narrow.save_pretrained(source)
    wide = EADModel(initial_weights=source, elements=elements, max_atoms=40)
    data = qm9.select(range(20))
    batch = narrow._prepare_batch(next(iter(narrow.default_generator(data, mode="predict"))))[0]
    known = ["H", "C", "N", "O", "F", "dummy", "charge"]
    labels = [label for _, label in output_labels(wide.encoding)]
    places = [labels.index(label) for label in known]
    w = batch["clean"] + 0.3 * torch.randn(batch["clean"].shape)
    grown = torch.zeros(len(w), 3 + wide.encoding.n_features)
    grown[:, :3] = w[:, :3]
    grown[:, [3 + place for place in places]] = w[:, 3:]
    with torch.no_grad():
        rows = wide.model.denoiser.embedding_out.weight
        old = narrow.model.average.module.embedding_out.weight
        assert torch.equal(rows[places], old[: len(known)])
        assert torch.equal(rows[labels.index("S")], old[known.index("O")])
        out, expected = (
            model.model.process._outputs(
                model.model.average.module, Asked(x, batch["levels"], batch["layout"])
            )
            for model, x in ((wide, grown), (narrow, w))
        )
    if target == "noise":  # no evidence, which is shared by all types
        torch.testing.assert_close(out[0], expected[0])
        torch.testing.assert_close(out[1][:, places], expected[1][:, : len(known)])
    sulfane = MoleculeBatch.from_arrays([[16, 1, 1]], [[[0, 0, 0], [1, 0.9, 0], [-1, 0.9, 0]]])
    assert np.isfinite(wide.fit(sulfane.to_dataset(), nb_epoch=1))


def test_networks_with_columns_and_outputs_of_their_own_grow_too(qm9, tmp_path):
    options = {**SMALL, "denoiser": "transformer", "n_heads": 2}
    fit(EADModel(**options), qm9.select(range(16))).save_pretrained(tmp_path)
    same = EADModel(initial_weights=tmp_path).model.denoiser.state_dict()
    grown = EADModel(initial_weights=tmp_path, elements="H,C,N,O,F,S").model.denoiser.state_dict()
    for name, extra in (("embedding.weight", (0, 1)), ("embedding_out.weight", (1, 0))):
        rows, columns = same[name].shape
        assert grown[name].shape == (rows + extra[0], columns + extra[1])
    assert torch.equal(grown["embedding_out.weight"][:3], same["embedding_out.weight"][:3])


def test_a_model_of_other_conditions_is_not_restored(qm9, tmp_path):
    fit(small_model(str(tmp_path)), qm9.select(range(16))).save_checkpoint()
    with pytest.raises(CheckpointError, match="conditions is 'gap' here and 'gap,mu' there"):
        small_model(str(tmp_path), conditions="gap").restore()


def test_conditions_are_a_list_or_a_string():
    assert EADConfig(conditions=["gap", "mu"]) == EADConfig(conditions="gap, mu")
    assert EADConfig(conditions=("gap",)).condition_names == ("gap",)
    assert EADConfig().condition_names == ()
    for wrong in ("gap,gap", ["gap", ""], "gap,"):
        with pytest.raises(ValueError, match="name each property once"):
            EADConfig(conditions=wrong)
    with pytest.raises(ValueError, match="conditions must be of type str"):
        EADConfig(conditions=3)


# ---------------------------------------------------------------------------- requested values


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("gap", "5.4 eV", 5.4 / 27.2114),
        ("gap", "5.4eV", 5.4 / 27.2114),
        ("gap", "5400 meV", 5.4 / 27.2114),
        ("homo", "-0.2 Ha", -0.2),
        ("lumo", "-1e-2Hartree", -0.01),
        ("gap", "0.2", 0.2),
        ("zpve", "627.509474 kcal/mol", 1.0),
        ("alpha", "80 Bohr^3", 80.0),
        ("alpha", "80bohr3", 80.0),
        ("alpha", "10 Angstrom^3", 67.4833),
        ("r2", "1 A^2", 3.571064),
        ("mu", "2.5 D", 2.5),
        ("mu", ".5 Debye", 0.5),
        ("Cv", "30 cal/mol/K", 30.0),
        ("Cv", "30 cal/(mol K)", 30.0),
        ("Cv", "125.52 J / mol / K", 30.0),
        ("logP", "+1.5", 1.5),
        ("gap", 0.2, 0.2),
        ("gap", np.float32(0.25), 0.25),
    ],
)
def test_values_are_read_with_their_units(name, text, value):
    assert parse_value(name, text) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("value", [None, NAN, np.nan])
def test_nothing_is_asked_with_nan_or_none(value):
    assert np.isnan(parse_value("gap", value))


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("gap", "5 MeV", "the unit 'MeV' is none of Hartree, .*eV, meV"),
        ("mu", "2 eV", "the unit 'eV' is none of D, Debye"),
        ("gap", "high", "gap='high' is not a number"),
        ("gap", "nan", "gap='nan' is not a number"),
        ("logP", "2 eV", "no unit is known for 'logP'; give the plain number"),
        ("gap", np.inf, "gap must be a finite number"),
    ],
)
def test_values_that_cannot_be_read_are_explained(name, value, message):
    with pytest.raises(ValueError, match=message):
        parse_value(name, value)


def test_values_are_for_all_molecules_or_for_each():
    names = ("gap", "mu")
    assert np.isnan(requested_values(None, names, 2)).all()
    one = requested_values({"mu": "2 D"}, names, 2)
    assert one[:, 1].tolist() == [2.0, 2.0] and np.isnan(one[:, 0]).all()
    each = requested_values({"gap": ["5.4 eV", None], "mu": np.array([1.0, NAN])}, names, 2)
    assert each[0].tolist() == [pytest.approx(5.4 / 27.2114), 1.0] and np.isnan(each[1]).all()
    with pytest.raises(ValueError, match="mu has 3 values for 2 molecules"):
        requested_values({"mu": [1, 2, 3]}, names, 2)
    with pytest.raises(ValueError, match="no condition 'alpha'; it was trained with gap, mu"):
        requested_values({"alpha": 3}, names, 2)
    with pytest.raises(ValueError, match="no condition 'gap'; it was not trained with conditions"):
        requested_values({"gap": 3}, (), 2)

"""EGNNPropertyModel learns, resumes, ignores missing labels and refuses nonsense."""

from __future__ import annotations

import io

import deepchem as dc
import numpy as np
import pytest
import torch
from property_data import assert_same_weights, labelled, small_model, weights

from deepchem_ead import CheckpointError, EADModel, EGNNPropertyModel, MoleculeBatch, MoleculeError
from deepchem_ead.generator import pretrained
from deepchem_ead.properties.labels import LabelStatistics

MAE = dc.metrics.Metric(dc.metrics.mae_score)


def mean_error(model, data):
    return np.abs(model.predict(data) - data.y).mean(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = small_model(["alpha", "gap"], tmp_path_factory.mktemp("run"))
    model.fit(labelled(["alpha", "gap"], slice(0, 400)), nb_epoch=2, checkpoint_interval=0)
    return model


def test_overfits_a_handful_of_molecules():
    few = labelled(["gap", "mu"], slice(0, 16))
    many = dc.data.NumpyDataset(*(np.concatenate([a] * 16) for a in (few.X, few.y, few.w)))
    model = small_model(["gap", "mu"], n_layers=3, n_features=64, learning_rate=3e-3, ema_decay=0.9)
    model.fit(many, nb_epoch=20, checkpoint_interval=0)
    spread = np.abs(few.y - few.y.mean(0)).mean(0)
    assert (mean_error(model, few) < 0.4 * spread).all()


def test_is_registered_in_deepchem():
    assert dc.models.EGNNPropertyModel is EGNNPropertyModel


def test_composition_explains_most_of_an_extensive_property():
    data = labelled(["alpha"], slice(0, 1000))
    spread = np.abs(data.y - data.y.mean()).mean()
    errors = {}
    for baseline in (True, False):
        model = small_model(["alpha"], composition_baseline=baseline)
        model.fit(data, nb_epoch=1, checkpoint_interval=0)
        with torch.no_grad():  # silence the network: what is left is the baseline
            for parameter in model.model.average.module.graph_read_out.parameters():
                parameter.zero_()
        errors[baseline] = float(mean_error(model, data)[0])
    assert errors[True] < 0.4 * spread
    assert errors[False] > 0.95 * spread


def test_composition_baseline_is_the_least_squares_fit():
    rng = np.random.default_rng(0)
    composition = rng.integers(0, 9, (200, 3))
    y = composition @ [[1.0, -3.0], [2.0, 0.5], [0.25, 4.0]] + [7.0, -1.0]
    w = np.ones_like(y)
    y[:50, 1], w[:50, 1] = 1e6, 0  # labels without weight must not matter
    found = LabelStatistics.fit(y, w, composition, baseline=True)
    assert found.per_atom == pytest.approx(np.array([[1.0, -3.0], [2.0, 0.5], [0.25, 4.0]]))
    assert found.offset == pytest.approx([7.0, -1.0])
    assert found.n_labels.tolist() == [200, 150]
    assert found.mean[1] == pytest.approx(y[50:, 1].mean())
    assert found.mad[1] == pytest.approx(np.abs(y[50:, 1] - y[50:, 1].mean()).mean())
    # The baseline leaves nothing: the unit is then the spread of the labels themselves.
    assert found.scale == pytest.approx(found.mad)
    few = LabelStatistics.fit(y[60:70], w[60:70], composition[60:70], baseline=True)
    assert not few.per_atom.any()


def test_a_run_in_two_parts_equals_one_run(tmp_path):
    data = labelled(["gap"], slice(0, 70))
    whole = small_model(["gap"], tmp_path / "whole", warmup_steps=5)
    whole.fit(data, nb_epoch=3)

    def stop(model, step, **kwargs):
        if step == 7:  # in the middle of the second epoch
            model.stop_training()

    small_model(["gap"], tmp_path / "parts", warmup_steps=5).fit(data, nb_epoch=3, callbacks=stop)
    resumed = small_model(["gap"], tmp_path / "parts", warmup_steps=5)
    resumed.fit(data, nb_epoch=2, restore=True)
    assert resumed.get_global_step() == whole.get_global_step() == 15
    assert_same_weights(weights(whole), weights(resumed))


def test_statistics_of_the_first_labels_stay_with_the_weights():
    model = small_model(["gap"])
    model.fit(labelled(["gap"], slice(0, 200)), nb_epoch=1, checkpoint_interval=0)
    names = ("mean", "mad", "per_atom", "offset", "scale", "n_labels")
    before = {name: getattr(model.model, name).clone() for name in names}
    assert before["per_atom"].any() and before["n_labels"].tolist() == [200]
    model.fit(labelled(["gap"], slice(200, 260)), nb_epoch=1, checkpoint_interval=0)
    for name in names:
        assert torch.equal(getattr(model.model, name), before[name]), name


def test_missing_labels_are_ignored_each_task_for_itself():
    data = labelled(["gap", "mu"], slice(0, 64))
    y_nan, w_zero, y_wrong = data.y.copy(), data.w.copy(), data.y.copy()
    y_nan[:20, 1] = np.nan
    w_zero[:20, 1], y_wrong[:20, 1] = 0, 77.0
    models = [
        small_model(["gap", "mu"]),
        small_model(["gap", "mu"]),
        small_model(["gap", "mu"]),
    ]
    for model, y, w in zip(models, (y_nan, y_wrong, data.y), (data.w, w_zero, data.w), strict=True):
        labels = dc.data.NumpyDataset(data.X, y, w, data.ids)
        model.fit(labels, nb_epoch=2, checkpoint_interval=0)
    assert_same_weights(weights(models[0]), weights(models[1]))
    assert not torch.equal(models[0].model.mean, models[2].model.mean)


def test_a_batch_without_any_label_is_survived():
    data = labelled(["gap"], slice(0, 32))
    y = data.y.copy()
    y[:16] = np.nan
    model = small_model(["gap"])
    labels = dc.data.NumpyDataset(data.X, y, data.w, data.ids)
    model.fit(labels, nb_epoch=1, deterministic=True, checkpoint_interval=0)
    assert np.isfinite(model.predict(data)).all()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            lambda y: y[[3, 5]].fill(0) or y.__setitem__((3, 1), np.inf),
            r"'mu' is infinite in row 3",
        ),
        (lambda y: y.__setitem__((4, 0), 1e12), r"'gap' is above 1e\+08 in row 4"),
        (lambda y: y[:, 1].fill(2.5), r"'mu' is 2.5 in all of row 0"),
        (lambda y: y[:, 0].fill(np.nan), r"'gap' is missing in every molecule"),
    ],
)
def test_labels_that_would_spoil_training_are_named(spoil, message):
    data = labelled(["gap", "mu"], slice(0, 16))
    y = data.y.copy()
    spoil(y)
    model = small_model(["gap", "mu"])
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        model.fit(dc.data.NumpyDataset(data.X, y, data.w, data.ids), nb_epoch=1)
    assert_same_weights(before, weights(model))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: X[3, 0].__setitem__(0, np.nan), r"molecule 3 .*not finite"),
        (lambda X: X[3, 0].__setitem__(3, 92), r"molecule 3 .*atomic number 92.*H,C,N,O,F"),
        (lambda X: X[3, :, 3].fill(0), r"molecule 3 .*no atoms"),
        (lambda X: X[3, 1].__setitem__(3, 6.9), r"molecule 3 .* 6.9 .*atom 1.*transform_X"),
        (lambda X: X[3, 0].__setitem__(3, -1), r"molecule 3 .* -1 .*atom 0.*transform_X"),
    ],
)
def test_bad_molecules_are_named(spoil, message):
    data = labelled(["gap"], slice(0, 8))
    X = data.X.copy()
    spoil(X)
    with pytest.raises(MoleculeError, match=message):
        small_model(["gap"]).fit(dc.data.NumpyDataset(X, data.y, data.w, data.ids), nb_epoch=1)


def test_too_large_a_molecule_is_named():
    with pytest.raises(MoleculeError, match="atoms, but the model holds at most 12"):
        small_model(["gap"], max_atoms=12).fit(labelled(["gap"], slice(0, 50)), nb_epoch=1)


def test_tasks_are_found_by_name_and_never_mistaken(tmp_path):
    data = labelled(["alpha", "gap", "mu"], slice(0, 32))
    disk = dc.data.DiskDataset.from_numpy(
        data.X, data.y, data.w, data.ids, tasks=["alpha", "gap", "mu"], data_dir=str(tmp_path)
    )
    by_name, alone = small_model(["mu", "gap"]), small_model(["mu", "gap"])
    by_name.fit(disk, nb_epoch=1, checkpoint_interval=0)
    columns = dc.data.NumpyDataset(data.X, data.y[:, [2, 1]], data.w[:, [2, 1]], data.ids)
    alone.fit(columns, nb_epoch=1, checkpoint_interval=0)
    assert_same_weights(weights(by_name), weights(alone))
    assert by_name.evaluate(disk, [MAE]) == pytest.approx(alone.evaluate(columns, [MAE]))
    with pytest.raises(ValueError, match="no task 'homo'; it has alpha, gap, mu"):
        small_model(["homo", "gap", "mu"]).fit(disk)
    with pytest.raises(ValueError, match="3 columns of labels without names, the model the tasks"):
        small_model(["gap"]).fit(data)


@pytest.mark.parametrize("tasks", [None, [], ["gap", "gap"], ["gap", ""]])
def test_tasks_must_be_named(tasks):
    with pytest.raises(ValueError, match="name at least one property"):
        EGNNPropertyModel(tasks)


def test_transformers_are_honoured(trained):
    data = labelled(["alpha", "gap"], slice(0, 400))
    transformer = dc.trans.NormalizationTransformer(transform_y=True, dataset=data)
    scaled = transformer.transform(data)
    model = small_model(["alpha", "gap"])
    model.fit(scaled, nb_epoch=2, checkpoint_interval=0)
    # Scaling the labels changes nothing but the unit, in which predictions come back natively.
    some = data.select(range(50))
    native = model.predict(some, [transformer])
    assert native == pytest.approx(trained.predict(some), rel=1e-4)
    assert np.abs(model.predict(some)).max() < 10 < native.max()
    mean, std = model.predict_uncertainty(some, transformers=[transformer])
    expected_mean, expected_std = trained.predict_uncertainty(some)
    assert mean == pytest.approx(expected_mean, rel=1e-4)
    assert std == pytest.approx(expected_std, rel=1e-2)


def test_evaluate_is_deepchems(trained):
    data = labelled(["alpha", "gap"], slice(400, 500))
    error = mean_error(trained, data)
    mean, per_task = trained.evaluate(data, [MAE], per_task_metrics=True)
    assert mean["mae_score"] == pytest.approx(error.mean())
    assert per_task["mae_score"] == pytest.approx(error)
    assert mean == pytest.approx(dc.models.Model.evaluate(trained, data, [MAE]))
    y = data.y.copy()
    y[:30, 1] = np.nan
    missing = dc.data.NumpyDataset(data.X, y, data.w, data.ids)
    _, per_task = trained.evaluate(missing, [MAE], per_task_metrics=True)
    known = np.abs(trained.predict(data) - data.y)[30:, 1].mean()
    assert per_task["mae_score"] == pytest.approx([error[0], known])


@pytest.mark.parametrize("weighted", [False, True])
def test_labels_of_weight_zero_are_not_scored(trained, weighted):
    data = labelled(["alpha", "gap"], slice(400, 460))
    y, w = data.y.copy(), np.ones(data.y.shape)
    w[:40:3, 0], w[20:, 1] = 0, 0
    y[w == 0] = 0  # as the loaders have them
    gaps = dc.data.NumpyDataset(data.X, y, w, data.ids)
    error = np.abs(trained.predict(data) - data.y)
    expected = [error[w[:, k] > 0, k].mean() for k in range(2)]
    metric = dc.metrics.Metric(dc.metrics.mean_absolute_error)
    options = {"per_task_metrics": True, "use_sample_weights": weighted}
    mean, per_task = trained.evaluate(gaps, [metric], **options)
    assert per_task["mean_absolute_error"] == pytest.approx(expected)
    assert mean["mean_absolute_error"] == pytest.approx(np.mean(expected))
    transformer = dc.trans.NormalizationTransformer(transform_y=True, dataset=data)
    output = io.StringIO()
    validate = dc.models.ValidationCallback(gaps, 1, [metric], output_file=output)
    validate(trained, 1)
    assert f"mean_absolute_error={np.mean(expected):g}" in output.getvalue()
    # Rows that a transformer moves from 0 count as little as before.
    scaled = transformer.transform(gaps)
    _, native = trained.evaluate(scaled, [metric], [transformer], **options)
    predicted = transformer.untransform(trained.predict(data))
    for k, rows in enumerate(w.T > 0):
        assert native["mean_absolute_error"][k] == pytest.approx(
            np.abs(predicted - data.y)[rows, k].mean(), rel=1e-5
        )


def test_a_task_without_any_label_is_named(trained):
    data = labelled(["alpha", "gap"], slice(0, 5))
    nothing = dc.data.NumpyDataset(data.X, data.y, np.array([[1.0, 0.0]] * 5), data.ids)
    with pytest.raises(ValueError, match="none of 5 molecules has a label 'gap'"):
        trained.evaluate(nothing, [MAE])


def test_validation_callback_does_not_end_training_mode():
    data = labelled(["gap"], slice(0, 32))
    modes, output = [], io.StringIO()

    def remember(model, step, **kwargs):
        modes.append(model.model.training)

    validate = dc.models.ValidationCallback(data, 1, [MAE], output_file=output)
    small_model(["gap"]).fit(data, nb_epoch=2, callbacks=[validate, remember])
    assert modes == [True] * 4
    assert output.getvalue().count("mae_score=") == 4


def test_predictions_ignore_motions_reflections_and_the_order_of_atoms(trained):
    data = labelled(["alpha", "gap"], slice(0, 20))
    rng = np.random.default_rng(1)
    motion = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    motion *= -np.sign(np.linalg.det(motion))  # a reflection
    X = data.X.copy()
    X[:, :, :3] = X[:, :, :3] @ motion + [1.0, -2.0, 0.5]
    X = X[:, rng.permutation(X.shape[1])]
    moved = trained.predict(dc.data.NumpyDataset(X))
    assert moved == pytest.approx(trained.predict(data), rel=2e-5)


def test_predictions_do_not_depend_on_the_batch(trained):
    data = labelled(["alpha", "gap"], slice(0, 40))
    together = trained.predict(data)
    trained.batch_size = 7
    assert np.array_equal(together, trained.predict(data))
    trained.batch_size = 16


def test_unreadable_molecules_get_nan(trained):
    data = labelled(["alpha", "gap"], slice(0, 3))
    good = MoleculeBatch.from_padded(data.X)
    broken = MoleculeBatch.from_arrays(
        [[], [6, 1], [92, 1], [1] * 30],
        [np.zeros((0, 3)), [[0, 0, 0], [np.nan, 0, 1]], [[0, 0, 0], [0, 0, 1]], np.eye(30, 3)],
    )
    found = trained.predict_molecules(MoleculeBatch.concatenate([good[:1], broken, good[1:]]))
    assert np.isnan(found[1:5]).all()
    assert found[[0, 5, 6]] == pytest.approx(trained.predict(data), rel=1e-6)
    assert trained.predict_molecules(broken).shape == (4, 2)


# ---------------------------------------------------------------------- trained weights


def test_trained_weights_come_back(trained, tmp_path):
    data = labelled(["alpha", "gap"], slice(0, 30))
    trained.save_pretrained(tmp_path)
    loaded = EGNNPropertyModel.from_pretrained(tmp_path)
    assert loaded.tasks == ["alpha", "gap"]
    for one, other in zip(
        loaded.predict_uncertainty(data), trained.predict_uncertainty(data), strict=True
    ):
        assert np.array_equal(one, other)
    assert "EGNNPropertyModel.from_pretrained" in (tmp_path / "README.md").read_text()
    with pytest.raises(CheckpointError, match="n_layers is 3 here and 2 there"):
        EGNNPropertyModel.from_pretrained(tmp_path, n_layers=3)


def test_a_model_of_another_kind_is_refused(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="holds an EGNNPropertyModel, not an EADModel"):
        EADModel.from_pretrained(tmp_path)
    shipped = pretrained.names("EADModel")[0]
    with pytest.raises(CheckpointError, match="holds an EADModel, not an EGNNPropertyModel"):
        EGNNPropertyModel.from_pretrained(shipped)


def test_damaged_weights_are_refused(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        EGNNPropertyModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("preset", EGNNPropertyModel.preset_names())
def test_presets_are_complete(preset):
    assert EGNNPropertyModel(["gap"], preset).config.tasks == "gap"


def test_unknown_options_are_explained():
    with pytest.raises(ValueError, match="no option 'n_layer'; did you mean 'n_layers'"):
        EGNNPropertyModel(["gap"], n_layer=3)
    with pytest.raises(ValueError, match="no preset 'qm9-small'; there are edm-classifier"):
        EGNNPropertyModel(["gap"], "qm9-small")

"""What is asked for is checked before anything is computed, and DeepChem's idioms work."""

from __future__ import annotations

import inspect
import warnings

import deepchem as dc
import numpy as np
import pytest
from property_data import labelled, small_model

from deepchem_ead import (
    EADModel,
    EGNNPropertyModel,
    MoleculeBatch,
    design,
    load_file_3d,
    load_qm9_3d,
)
from deepchem_ead.generation import sizes
from deepchem_ead.metrics import GenerativeMetric
from deepchem_ead.sampling import PropertyGuidance
from deepchem_ead.sampling.guides.properties import DISTIL

TINY = {"n_layers": 1, "n_features": 32, "batch_size": 8}


@pytest.fixture(scope="module")
def generator():
    return EADModel("qm9-small", **TINY)


@pytest.mark.parametrize(
    ("n_atoms", "wrong"),
    [
        (3.5, "not 3.5"), (True, "not True"), ("9", "'9': give a number of atoms"),
        ([5, 6.5], "not 6.5"), ([5, None], "not None"), (["5", "6"], "not '5'"),
        (float("nan"), "not nan"), ([5, float("inf")], "not inf"), ([[5], [6, 7]], "n_atoms"),
        ([True, False], "not True"), ([5, 6, 7], "3 entries for 2"), (0, "at least 1, not 0"),
    ],
)  # fmt: skip
def test_sizes_that_are_no_numbers_of_atoms_are_refused(generator, n_atoms, wrong):
    with pytest.raises(ValueError, match=wrong):
        generator.generate(2, n_atoms=n_atoms, steps=2, progress=False)


@pytest.mark.parametrize(
    "n_atoms", [5, 5.0, np.int32(5), np.float64(5), [5, 5.0], np.array([5, 5])]
)
def test_whole_numbers_of_any_kind_are_sizes(generator, n_atoms):
    molecules = generator.generate(2, n_atoms=n_atoms, steps=2, seed=0, progress=False)
    assert molecules.counts.tolist() == [5, 5]


@pytest.mark.parametrize("n", [2.5, "2", True, None])
def test_a_number_of_molecules_is_whole(generator, n):
    with pytest.raises(ValueError, match="n is a number of molecules"):
        generator.generate(n, n_atoms=5, progress=False)


@pytest.mark.parametrize("preset", ["qm9", "qm9-small"])
def test_what_does_not_fit_into_memory_is_refused(preset):
    model = EADModel(preset, n_layers=1, n_features=32, n_heads=2)
    with pytest.raises(ValueError, match=r"up to 3000000 atoms .* GiB.*ask for at most [\d,]+"):
        model.generate(1, n_atoms=3_000_000, progress=False)


def test_the_largest_size_named_fits(generator, monkeypatch):
    """Of one molecule, or of a batch that is to be computed at once."""
    monkeypatch.setattr(sizes, "total_memory", lambda device: 10**6)
    generate = lambda n, size, **options: generator.generate(  # noqa: E731
        n, n_atoms=size, steps=1, seed=0, progress=False, **options
    )
    for n, options in ((1, {}), (4, {"batch_size": 3})):
        with pytest.raises(ValueError, match="ask for at most") as caught:
            generate(n, 800, **options)
        assert ("smaller batch_size" in str(caught.value)) == (n > 1)
        limit = int(str(caught.value).split("at most ")[1].split(" ")[0].replace(",", ""))
        with pytest.raises(ValueError):
            sizes.check_memory(generator, np.full(n, limit + 1), options.get("batch_size"))
        sizes.check_memory(generator, np.full(n, limit), options.get("batch_size"))
    monkeypatch.setattr(sizes, "total_memory", lambda device: None)
    sizes.check_memory(generator, np.array([10**6]), None)


@pytest.mark.parametrize("keyword", ["n", "n_samples", "protokol"])
def test_a_metrics_keywords_are_checked_at_once(keyword):
    for metric in ("validity", "novelty", lambda samples, reference=None: 0.0):
        with pytest.raises(TypeError, match=f"takes no '{keyword}'"):
            GenerativeMetric(metric, **{keyword: 2})
    assert GenerativeMetric("validity", protocol="strict").kw == {"protocol": "strict"}
    assert GenerativeMetric(lambda samples, **options: 1.0, n=2).compute_metric([]) == 1


def test_save_and_reload(tmp_path):
    data = labelled(["gap"], slice(0, 8))
    model = small_model(["gap"], tmp_path, n_layers=1)
    model.fit(data, nb_epoch=1, checkpoint_interval=0)
    assert model.get_checkpoints() == []
    model.save()
    assert len(model.get_checkpoints()) == 1
    other = small_model(["gap"], tmp_path, n_layers=1)
    other.reload()
    assert np.array_equal(other.predict(data), model.predict(data))
    assert other.get_global_step() == model.get_global_step() == 1


def test_deepchem_searches_hyperparameters(tmp_path):
    """With missing labels in the part that decides."""
    data = labelled(["gap"], slice(0, 24))
    w = np.ones_like(data.y)
    w[::3] = 0
    valid = dc.data.NumpyDataset(data.X, np.where(w > 0, data.y, 0), w, data.ids)
    search = dc.hyper.GridHyperparamOpt(lambda **options: EGNNPropertyModel(["gap"], **options))
    grid = {key: [value] for key, value in TINY.items()} | {"learning_rate": [1e-3, 1e-2]}
    metric = dc.metrics.Metric(dc.metrics.mae_score)
    best, chosen, scores = search.hyperparam_search(
        grid, data, valid, metric, use_max=False, nb_epoch=1
    )
    assert len(scores) == 2 and chosen["learning_rate"] in (1e-3, 1e-2)
    known = w[:, 0] > 0
    expected = np.abs(best.predict(data) - data.y)[known].mean()
    assert min(scores.values()) == pytest.approx(expected)


@pytest.fixture(scope="module")
def regressor():
    """A DeepChem model of fingerprints, its featurizer, and structures with labels."""
    train = labelled(["gap"], slice(0, 40))
    featurizer = dc.feat.CircularFingerprint(size=64)
    features = featurizer.featurize([str(smiles) for smiles in train.ids])
    model = dc.models.MultitaskRegressor(1, 64, layer_sizes=[8])
    model.fit(dc.data.NumpyDataset(features, train.y), nb_epoch=1)
    return model, featurizer, train


@pytest.mark.parametrize(
    "use",
    [
        lambda guide: {"conditions": {"gap": 0.2}, "guide": guide},
        lambda guide: {"guide": PropertyGuidance(guide, {"gap": 0.2})},
    ],
)
def test_a_model_without_gradients_says_what_it_is_good_for(generator, regressor, use):
    with pytest.raises(ValueError, match="a MultitaskRegressor cannot guide: .*design") as caught:
        generator.generate(2, n_atoms=5, progress=False, **use(regressor[0]))
    assert DISTIL in str(caught.value)


def test_the_lines_of_that_message_make_a_guide(generator, regressor):
    names = dict(zip(("regressor", "featurizer", "train"), regressor, strict=True))
    exec(DISTIL.replace("nb_epoch=30", "nb_epoch=1"), names)
    assert names["guide"].mad > 0 and names["guide"].get_global_step() == 1
    molecules = generator.generate(
        2, n_atoms=5, steps=3, conditions={"gap": 0.25}, guide=names["guide"], progress=False
    )
    assert len(molecules) == 2


def test_a_bare_function_is_told_how_it_guides(generator):
    with pytest.raises(ValueError, match=r"by PropertyGuidance\(function, targets, tasks=, mad="):
        generator.generate(1, n_atoms=5, conditions={"gap": 1}, guide=lambda *args: None)


TINY_CONDITIONAL = {"n_layers": 1, "n_features": 32, "batch_size": 64, "conditions": ["gap", "mu"]}


@pytest.mark.parametrize("transformer", ["normalization", "minmax"])
def test_conditions_that_a_loader_has_changed_are_refused(tmp_path, transformer):
    _, (train, valid, _), _ = load_qm9_3d(
        source="sample", tasks=["gap", "mu"], transformers=[transformer], reload=False,
        save_dir=str(tmp_path),
    )  # fmt: skip
    model = EADModel("qm9-small", **TINY_CONDITIONAL)
    for part in (train, valid):
        with pytest.raises(ValueError, match="changed by .*Transformer .* gap, mu asked for later"):
            model.fit(part, nb_epoch=1)
    # Where nothing is asked for they do no harm, and a property model undoes them.
    EADModel("qm9-small", **TINY).fit(valid, nb_epoch=1, checkpoint_interval=0)
    EGNNPropertyModel(["gap"], **TINY).fit(valid, nb_epoch=1, checkpoint_interval=0)


def test_conditions_from_a_file_that_were_changed_are_refused(tmp_path):
    water = [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]
    gap = {"gap": np.arange(4.0)}
    MoleculeBatch.from_arrays([[8, 1, 1]] * 4, [water] * 4, properties=gap).to_sdf(
        tmp_path / "m.sdf"
    )
    options = {"tasks": ["gap"], "splitter": None}
    model = EADModel("qm9-small", **TINY, conditions=["gap"])
    (changed,) = load_file_3d(tmp_path / "m.sdf", transformers=["log"], **options)[1]
    with pytest.raises(ValueError, match="changed by LogTransformer"):
        model.fit(changed, nb_epoch=1)
    (plain,) = load_file_3d(tmp_path / "m.sdf", **options)[1]
    model.fit(plain, nb_epoch=1)


def test_labels_that_look_normalised_are_warned_about():
    data = labelled(["gap", "mu"], slice(0, 64))
    transformer = dc.trans.NormalizationTransformer(transform_y=True, dataset=data)
    model = EADModel("qm9-small", **TINY_CONDITIONAL)
    y = np.stack([data.y[:, 0], transformer.transform(data).y[:, 1]], 1)
    y[::7] = np.nan
    y[:, 1] = (y[:, 1] - np.nanmean(y[:, 1])) / np.nanstd(y[:, 1])
    with pytest.warns(UserWarning, match="the labels 'mu' have the mean .* undo that") as caught:
        model.fit(dc.data.NumpyDataset(data.X, y, np.ones_like(y)), nb_epoch=1)
    assert len([w for w in caught if "the labels" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        EADModel("qm9-small", **TINY_CONDITIONAL).fit(data, nb_epoch=1)


NO_KEYWORDS = [
    ("generate", {"scaffold": "c1ccccc1"}, "model.edit\\(mol, keep=.*docs/limits.md"),
    ("generate", {"fixed_atoms": [0, 1]}, r"kept by model.edit"),
    ("generate", {"formula": "C6H6"}, "no formula can be given"),
    ("generate", {"total_charge": 1}, "no total charge can be asked for"),
    ("generate", {"smiles": "CCO"}, "model.conformers"),
    ("generate", {"template": "CC"}, r"kept by model.edit"),
    ("generate", {"context": {}}, "did you mean 'conditions'"),
    ("generate", {"condition": {}}, "did you mean 'conditions'"),
    ("generate", {"temperature": 0.5}, "did you mean 'noise_scale'"),
    ("generate", {"bath_size": 8}, "did you mean 'batch_size'"),
    ("generate", {"zzz": 8}, "it has n, schedule, n_atoms"),
    ("design", {"linker": "CC"}, r"kept by model.edit"),
    ("design", {"random_state": 1}, "did you mean 'seed'"),
    ("design", {"tolerence": 1}, "did you mean 'tolerance'"),
    ("fit", {"epochs": 3}, "did you mean 'nb_epoch'"),
    ("model", {"pocket": "1abc"}, "no surroundings"),
    ("model", {"modeldir": "runs"}, "did you mean 'model_dir'"),
    ("model", {"hidden_nf": 64}, "did you mean 'n_features'"),
    ("model", {"charge_scales": 1.0}, "did you mean 'charge_scale'"),
    ("property", {"num_layers": 2}, "did you mean 'n_layers'"),
    ("property", {"bonds": True}, "bonds are not given"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "keyword", "answer"), NO_KEYWORDS)
def test_unknown_keywords_are_answered(generator, where, keyword, answer):
    calls = {
        "generate": lambda **more: generator.generate(1, **more),
        "design": lambda **more: design(generator, {"gap": 0.2}, "qm9-guide", **more),
        "fit": lambda **more: generator.fit(None, **more),
        "model": lambda **more: EADModel("qm9-small", **more),
        "property": lambda **more: EGNNPropertyModel(["gap"], **more),
    }
    with pytest.raises(TypeError, match=answer):
        calls[where](**keyword)


def test_wrapped_functions_keep_their_signature():
    assert "closed_shell" in inspect.signature(EADModel.generate).parameters
    assert "guide" in inspect.signature(design).parameters
    assert EADModel.generate.__doc__.startswith("Generate molecules.")


@pytest.mark.parametrize("given", [["CCO"], "CCO", np.zeros((2, 9, 4))])
def test_what_is_no_dataset_is_refused_with_what_makes_one(generator, given):
    for model in (generator, EGNNPropertyModel(["gap"], **TINY)):
        for call in (model.fit, model.predict):
            with pytest.raises(TypeError, match=r"takes a DeepChem dataset, not .*load_file_3d"):
                call(given)


@pytest.mark.parametrize("conditions", [["gap"], "gap=0.2", 0.2, [("gap", 0.2)]])
def test_conditions_are_given_by_name(conditions):
    model = EADModel("qm9-small", **TINY_CONDITIONAL)
    with pytest.raises(ValueError, match=r"give the wanted values by name, \{'gap': value\}"):
        model.generate(1, conditions=conditions, n_atoms=5, progress=False)

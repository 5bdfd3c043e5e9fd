"""Transformers of labels know the labels there are, each task's own."""

from __future__ import annotations

import deepchem as dc
import numpy as np
import pytest
from deepchem.molnet.load_function.molnet_loader import TransformerGenerator

from deepchem_ead import MoleculeBatch, load_file_3d
from deepchem_ead.molnet.names import find_transformers
from deepchem_ead.molnet.transforms import fit_transformer

Y = np.array([[100.0, 3.0], [0, 5], [104, 0], [108, 7], [90, 0], [0, 11]])
W = np.array([[1.0, 1], [0, 1], [0.5, 0], [2, 1], [1, 0], [0, 1]])
KNOWN = [Y[W[:, k] > 0, k] for k in range(2)]


def dataset(w=W):
    return dc.data.NumpyDataset(np.zeros((len(Y), 1)), Y, w)


@pytest.mark.parametrize(
    ("name", "attributes", "statistics"),
    [
        ("normalization", ("y_means", "y_stds"), (np.mean, np.std)),
        ("minmax", ("y_min", "y_max"), (np.min, np.max)),
    ],
)
def test_missing_labels_do_not_count(name, attributes, statistics):
    (generator,) = find_transformers(name)
    transformer = fit_transformer(generator, dataset())
    for attribute, statistic in zip(attributes, statistics, strict=True):
        expected = [statistic(values) for values in KNOWN]
        assert getattr(transformer, attribute) == pytest.approx(expected)
    changed = transformer.transform(dataset())
    back = transformer.untransform(changed.y)
    assert back[W > 0] == pytest.approx(Y[W > 0]) and np.array_equal(changed.w, W)


def test_complete_labels_are_deepchems():
    (generator,) = find_transformers("normalization")
    complete = dataset(np.ones((len(Y), 1)))
    ours, theirs = fit_transformer(generator, complete), generator.create_transformer(complete)
    assert np.array_equal(ours.y_means, theirs.y_means)
    assert np.array_equal(ours.y_stds, theirs.y_stds)


@pytest.mark.parametrize(
    ("transformer", "w", "message"),
    [
        (dc.trans.NormalizationTransformer, W * [1, 0], "none of 6 .* a label '1'"),
        (dc.trans.CDFTransformer, W, "CDFTransformer cannot leave out missing labels"),
    ],
)
def test_what_cannot_be_fitted_is_named(transformer, w, message):
    generator = TransformerGenerator(transformer, transform_y=True)
    with pytest.raises(ValueError, match=message):
        fit_transformer(generator, dataset(w))


def test_a_file_with_gaps_is_normalised_by_its_training_labels(tmp_path):
    water = [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]
    mu = np.array([1.0, np.nan, 2.0, 4.0, np.nan, 6.0, 9.0, 1.5, 2.5, 3.0])
    molecules = MoleculeBatch.from_arrays([[8, 1, 1]] * 10, [water] * 10, properties={"mu": mu})
    molecules.to_sdf(tmp_path / "m.sdf")
    _, (train, *_), (transformer,) = load_file_3d(
        tmp_path / "m.sdf", ["mu"], splitter="index", allow_missing=True,
        transformers=["normalization"],
    )  # fmt: skip
    known = mu[:8][np.isfinite(mu[:8])]
    assert transformer.y_means == pytest.approx([known.mean()])
    assert transformer.y_stds == pytest.approx([known.std()])
    assert train.y[train.w > 0].mean() == pytest.approx(0, abs=1e-6)

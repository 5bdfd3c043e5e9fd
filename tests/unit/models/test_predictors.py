"""Any DeepChem model can judge generated molecules."""

from __future__ import annotations

import deepchem as dc
import numpy as np
import pytest
from property_data import labelled, small_model

from deepchem_ead import Molecule3DFeaturizer, MoleculeBatch
from deepchem_ead.models import Predictor, as_predictor


@pytest.fixture(scope="module")
def molecules():
    """Twelve molecules of QM9; the fourth is torn apart, so that it has no valid SMILES."""
    batch = MoleculeBatch.from_padded(labelled(["gap"], slice(0, 12)).X)
    positions = [p.copy() for p in batch.positions]
    numbers = [n.copy() for n in batch.numbers]
    numbers[3], positions[3] = np.array([1, 1, 1]), np.eye(3) * 0.5  # three H in a bunch
    broken = MoleculeBatch.from_arrays(numbers, positions)
    assert [i for i, text in enumerate(broken.smiles) if text is None] == [3]
    return broken


def fingerprints(molecules, tasks=1):
    featurizer = dc.feat.CircularFingerprint(size=256)
    known = [text for text in molecules.smiles if text is not None]
    X = featurizer.featurize(known)
    y = X[:, :16] @ np.random.default_rng(0).normal(size=(16, tasks)) + 50
    return featurizer, dc.data.NumpyDataset(X, y)


def test_multitask_regressor_on_fingerprints_of_the_smiles(molecules, capfd):
    featurizer, data = fingerprints(molecules, tasks=2)
    transformer = dc.trans.NormalizationTransformer(transform_y=True, dataset=data)
    model = dc.models.MultitaskRegressor(2, 256, layer_sizes=[16], dropouts=0.0)
    model.fit(transformer.transform(data), nb_epoch=2)
    judge = as_predictor(model, featurizer, tasks=["a", "b"], transformers=[transformer])
    assert isinstance(judge, Predictor) and judge.tasks == ["a", "b"]
    capfd.readouterr()
    found = judge.predict(molecules)
    assert "DEPRECATION" not in capfd.readouterr().err  # RDKit's, a line for each molecule
    assert np.isnan(found[3]).all()
    good = np.arange(len(molecules)) != 3
    expected = model.predict(data, [transformer]).reshape(-1, 2)
    assert found[good] == pytest.approx(expected)
    assert 40 < found[good].mean() < 60  # native units, not normalised ones


def test_coulomb_matrices_see_the_generated_coordinates(molecules):
    featurizer = dc.feat.CoulombMatrixEig(max_atoms=29)
    model = dc.models.MultitaskRegressor(1, 29, layer_sizes=[16], dropouts=0.0)
    judge = as_predictor(model, featurizer, tasks=["gap"])
    first = judge.predict(molecules)
    assert np.isfinite(first).all()  # needs no bonds, so a bunch of atoms is judged as well
    stretched = MoleculeBatch.from_arrays(molecules.numbers, [1.1 * p for p in molecules.positions])
    assert (judge.predict(stretched) != first).all()
    # The features are those of the atoms' charges and distances, written out.
    numbers, x = molecules.atoms(0)
    z = numbers.astype(float)
    distance = np.linalg.norm(x[:, None] - x[None], axis=2) * 1.8897261
    matrix = np.outer(z, z) / (distance + np.eye(len(z)))
    matrix[np.diag_indices(len(z))] = 0.5 * z**2.4
    eigenvalues = np.linalg.eigvalsh(matrix)
    _, features = judge._featurize(molecules[0])
    ours = np.sort(np.abs(features.X.ravel()))[-len(z) :]
    assert ours == pytest.approx(np.sort(np.abs(eigenvalues)), rel=1e-3)


def test_too_large_molecules_get_nan(molecules):
    model = dc.models.MultitaskRegressor(1, 9, layer_sizes=[4])
    found = as_predictor(model, dc.feat.CoulombMatrixEig(max_atoms=9), ["gap"]).predict(molecules)
    assert (np.isnan(found[:, 0]) == (molecules.counts > 9)).all()


def test_feature_transformers_are_applied(molecules):
    featurizer, data = fingerprints(molecules)
    transformer = dc.trans.NormalizationTransformer(transform_X=True, dataset=data)
    model = dc.models.MultitaskRegressor(1, 256, layer_sizes=[16], dropouts=0.0)
    judge = as_predictor(model, featurizer, ["a"], [transformer])
    good = np.arange(len(molecules)) != 3
    expected = model.predict(transformer.transform(data)).reshape(-1, 1)
    assert judge.predict(molecules)[good] == pytest.approx(expected)


def test_models_of_sklearn(molecules):
    from sklearn.linear_model import Ridge

    featurizer, data = fingerprints(molecules)
    model = dc.models.SklearnModel(Ridge())
    model.fit(data)
    judge = as_predictor(model, featurizer, ["a"])
    assert judge.predict(molecules)[0] == pytest.approx(data.y[0], abs=2)


def test_uncertainty_of_deepchem_models(molecules):
    featurizer, data = fingerprints(molecules)
    sure = dc.models.MultitaskRegressor(1, 256, layer_sizes=[16], uncertainty=True, dropouts=0.1)
    judge = as_predictor(sure, featurizer, ["a"])
    assert judge.has_uncertainty
    mean, std = judge.predict_with_uncertainty(molecules)
    good = np.arange(len(molecules)) != 3
    assert mean.shape == std.shape == (12, 1)
    assert (std[good] > 0).all() and np.isnan(std[3]).all()
    plain = as_predictor(dc.models.MultitaskRegressor(1, 256), featurizer, ["a"])
    assert not plain.has_uncertainty
    with pytest.raises(ValueError, match="was not made to predict its uncertainty"):
        plain.predict_with_uncertainty(molecules)


def test_property_models_read_the_structure(molecules):
    model = small_model(["gap", "mu"])
    model.fit(labelled(["gap", "mu"], slice(0, 64)), nb_epoch=1, checkpoint_interval=0)
    judge = as_predictor(model)
    assert judge.tasks == ["gap", "mu"] and judge.has_uncertainty
    assert np.array_equal(judge.predict(molecules), model.predict_molecules(molecules))
    assert np.array_equal(
        as_predictor(model, tasks=["mu"]).predict(molecules), judge.predict(molecules)[:, 1:]
    )
    mean, std = judge.predict_with_uncertainty(molecules)
    assert (std > 0).all() and np.array_equal(mean, judge.predict(molecules))
    assert as_predictor(judge) is judge
    with pytest.raises(ValueError, match="predicts gap, mu, not 'homo'"):
        as_predictor(model, tasks=["homo"])


def test_a_deepchem_model_on_our_features_is_a_predictor_too(molecules):
    class Counter:
        tasks = ["atoms"]

        def predict(self, dataset, transformers=()):
            return (dataset.X[:, :, 3] > 0).sum(1)

    judge = as_predictor(Counter(), Molecule3DFeaturizer(max_atoms=29))
    assert judge.predict(molecules)[:, 0].tolist() == molecules.counts.tolist()


def test_ones_own_predictor_passes_through(molecules):
    class Atoms:
        tasks = ["atoms"]

        def predict(self, molecules):
            return molecules.counts[:, None].astype(float)

    own = Atoms()
    assert as_predictor(own) is own


def test_no_molecules_give_an_empty_table(molecules):
    featurizer = dc.feat.CircularFingerprint(size=256)
    model = dc.models.MultitaskRegressor(1, 256)
    assert as_predictor(model, featurizer, ["a"]).predict(molecules[:0]).shape == (0, 1)


def test_what_is_missing_is_said(molecules):
    model = dc.models.MultitaskRegressor(2, 256)
    featurizer = dc.feat.CircularFingerprint(size=256)
    with pytest.raises(ValueError, match="pass featurizer="):
        as_predictor(model, tasks=["a", "b"])
    with pytest.raises(ValueError, match="pass tasks="):
        as_predictor(model, featurizer)
    with pytest.raises(ValueError, match="predicts 2 values a molecule, but the tasks are a"):
        as_predictor(model, featurizer, ["a"]).predict(molecules)

"""Any DeepChem model as a judge of generated molecules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import deepchem as dc
import numpy as np
from deepchem.trans import undo_transforms
from rdkit import Chem, rdBase

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer
from deepchem_ead.models.property_ensemble import PropertyEnsemble
from deepchem_ead.models.property_model import EGNNPropertyModel

#: Featurizers that read coordinates, and get the generated ones instead of SMILES.
READS_COORDINATES = (
    Molecule3DFeaturizer,
    dc.feat.AtomicCoordinates,
    dc.feat.BPSymmetryFunctionInput,
    dc.feat.CoulombMatrix,
    dc.feat.CoulombMatrixEig,
)


@runtime_checkable
class Predictor(Protocol):
    """What can judge molecules.

    Attributes
    ----------
    tasks : list of str
        Names of the predicted properties.
    """

    tasks: list[str]

    def predict(self, molecules: MoleculeBatch) -> np.ndarray:
        """Predictions (N, T) float64 in native units; NaN where a molecule cannot be judged."""
        ...


def as_predictor(
    model: Any,
    featurizer: dc.feat.Featurizer | None = None,
    tasks: Sequence[str] | None = None,
    transformers: Sequence[dc.trans.Transformer] = (),
    structures: bool | None = None,
) -> Predictor:
    """Make a predictor of molecules from a model of datasets.

    Parameters
    ----------
    model : EGNNPropertyModel, PropertyEnsemble, Predictor, or any object with ``predict(dataset)``
        The last kind needs a featurizer: dc.models.MultitaskRegressor, SklearnModel...
    featurizer : dc.feat.Featurizer, optional
        The one the model was trained with.
    tasks : sequence of str, optional
        Names of the model's outputs, if it does not know them itself.
    transformers : sequence of dc.trans.Transformer
        Those of the training set: of features applied, of labels undone.
    structures : bool, optional
        Feed the featurizer with the generated coordinates (RDKit molecules without bonds) instead
        of the SMILES that follow from them. By default True for featurizers known to read
        coordinates (`READS_COORDINATES`).

    Returns
    -------
    Predictor

    Raises
    ------
    ValueError
        If the featurizer or the names of the tasks are missing.

    Examples
    --------
    >>> import deepchem as dc
    >>> from deepchem_ead.models.predictors import as_predictor
    >>> model = dc.models.MultitaskRegressor(1, 1024, layer_sizes=[8])
    >>> as_predictor(model, dc.feat.CircularFingerprint(size=1024), tasks=["gap"]).tasks
    ['gap']
    """
    if isinstance(model, (EGNNPropertyModel, PropertyEnsemble)):
        return StructurePredictor(model, tasks, transformers)
    if isinstance(model, (StructurePredictor, FeaturizedPredictor)):
        return model
    if featurizer is None:
        if isinstance(model, Predictor) and not isinstance(model, dc.models.Model):
            return model
        raise ValueError(
            f"a {type(model).__name__} predicts from features: pass featurizer=, the one it was "
            "trained with"
        )
    names = getattr(model, "tasks", None) if tasks is None else tasks
    if names is None:
        raise ValueError(f"a {type(model).__name__} does not name its outputs: pass tasks=")
    if structures is None:
        structures = isinstance(featurizer, READS_COORDINATES)
    return FeaturizedPredictor(model, featurizer, list(names), list(transformers), structures)


class StructurePredictor:
    """A model that reads elements and coordinates; see `as_predictor`."""

    has_uncertainty = True

    def __init__(
        self,
        model: EGNNPropertyModel | PropertyEnsemble,
        tasks: Sequence[str] | None = None,
        transformers: Sequence[dc.trans.Transformer] = (),
    ) -> None:
        self.model = model
        self.transformers = list(transformers)
        self.tasks = list(model.tasks if tasks is None else tasks)
        unknown = [task for task in self.tasks if task not in model.tasks]
        if unknown:
            raise ValueError(f"the model predicts {', '.join(model.tasks)}, not {unknown[0]!r}")
        self._columns = [model.tasks.index(task) for task in self.tasks]

    def predict(self, molecules: MoleculeBatch) -> np.ndarray:
        """Predictions (N, T); NaN where the model cannot read a molecule."""
        return self.predict_with_uncertainty(molecules)[0]

    def predict_with_uncertainty(self, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and standard deviations, (N, T) each."""
        mean, std = self.model.predict_molecules_uncertainty(molecules)
        mean, std = _native(mean, std, self.transformers)
        return mean[:, self._columns], std[:, self._columns]


class FeaturizedPredictor:
    """A model of features, the featurizer and the transformers; see `as_predictor`."""

    def __init__(
        self,
        model: Any,
        featurizer: dc.feat.Featurizer,
        tasks: list[str],
        transformers: list[dc.trans.Transformer],
        structures: bool,
    ) -> None:
        self.model, self.featurizer, self.tasks = model, featurizer, tasks
        self.transformers, self.structures = transformers, structures

    @property
    def has_uncertainty(self) -> bool:
        """Whether the model can tell how sure it is."""
        return bool(getattr(self.model, "_variance_outputs", None))

    def predict(self, molecules: MoleculeBatch) -> np.ndarray:
        """Predictions (N, T); NaN where a molecule has no SMILES or cannot be featurized."""
        rows, dataset = self._featurize(molecules)
        out = np.full((len(molecules), len(self.tasks)), np.nan)
        if len(rows):
            out[rows] = self._table(self.model.predict(dataset, self.transformers), len(rows))
        return out

    def predict_with_uncertainty(self, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and standard deviations, (N, T) each.

        Raises
        ------
        ValueError
            If the model has none (`has_uncertainty`): DeepChem's are made with
            ``uncertainty=True``.
        """
        if not self.has_uncertainty:
            raise ValueError(
                f"this {type(self.model).__name__} was not made to predict its uncertainty; "
                "DeepChem's models are with uncertainty=True, or use an EGNNPropertyModel"
            )
        rows, dataset = self._featurize(molecules)
        out = np.full((2, len(molecules), len(self.tasks)), np.nan)
        if len(rows):
            parts = self.model.predict_uncertainty(dataset)
            mean, std = (self._table(part, len(rows)) for part in parts)
            out[:, rows] = _native(mean, std, self.transformers)
        return out[0], out[1]

    def _featurize(
        self, molecules: MoleculeBatch
    ) -> tuple[np.ndarray, dc.data.NumpyDataset | None]:
        """Rows that could be featurized, and their features as the model reads them."""
        if self.structures:
            inputs = [
                _bond_free(numbers, positions) if np.isfinite(positions).all() else None
                for numbers, positions in zip(molecules.numbers, molecules.positions, strict=True)
            ]
        else:
            inputs = molecules.smiles
        given = [i for i, item in enumerate(inputs) if item is not None]
        with rdBase.BlockLogs():  # a deprecation line a molecule with DeepChem's fingerprints
            features = list(self.featurizer.featurize([inputs[i] for i in given])) if given else []
        usable = [np.asarray(feature).size > 0 for feature in features]
        X = [feature for feature, ok in zip(features, usable, strict=True) if ok]
        rows = np.array([i for i, ok in zip(given, usable, strict=True) if ok], dtype=np.int64)
        if not len(rows):
            return rows, None
        dataset = dc.data.NumpyDataset(np.asarray(X))
        for transformer in self.transformers:
            if transformer.transform_X:
                dataset = transformer.transform(dataset)
        return rows, dataset

    def _table(self, predictions: Any, n: int) -> np.ndarray:
        table = np.asarray(predictions, np.float64).reshape(n, -1)
        if table.shape[1] != len(self.tasks):
            raise ValueError(
                f"the model predicts {table.shape[1]} values a molecule, but the tasks are "
                f"{', '.join(self.tasks)}"
            )
        return table


def _bond_free(numbers: np.ndarray, positions: np.ndarray) -> Chem.Mol | None:
    if not len(numbers):
        return None
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(numbers))
    for i, (number, position) in enumerate(zip(numbers.tolist(), positions.tolist(), strict=True)):
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)  # without bonds, RDKit would fill every valence with hydrogen
        mol.AddAtom(atom)
        conformer.SetAtomPosition(i, position)
    mol.AddConformer(conformer)
    Chem.FastFindRings(mol)
    mol.UpdatePropertyCache(strict=False)
    return mol.GetMol()


def _native(
    mean: np.ndarray, std: np.ndarray, transformers: list[dc.trans.Transformer]
) -> tuple[np.ndarray, np.ndarray]:
    """Undo transformers of labels; standard deviations to first order."""
    if not transformers:
        return mean, std
    native = undo_transforms(mean, transformers)
    return native, np.abs(undo_transforms(mean + std, transformers) - native)

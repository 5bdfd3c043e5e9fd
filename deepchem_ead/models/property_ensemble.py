"""Several property models as one: their disagreement is part of the uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from deepchem.data import Dataset
from torch import Tensor

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.models.property_model import EGNNPropertyModel


class PropertyEnsemble:
    r"""Mean and spread of independently trained models of the same tasks.

    Mean of the models' predictions; variance = mean of the variances each model predicts for its
    own errors + variance of their predictions (Lakshminarayanan et al., arXiv:1612.01474, eq. 3-4).

    Parameters
    ----------
    models : sequence of EGNNPropertyModel
        Trained with other seeds, widths or data, on labels in the same unit.

    Raises
    ------
    ValueError
        If there are fewer than two models, or their tasks or elements differ.

    Examples
    --------
    >>> from deepchem_ead import EGNNPropertyModel
    >>> from deepchem_ead.models import PropertyEnsemble
    >>> small = {"tasks": ["gap"], "n_layers": 1, "n_features": 32}
    >>> PropertyEnsemble([EGNNPropertyModel(seed=seed, **small) for seed in (0, 1)]).tasks
    ['gap']
    """

    def __init__(self, models: Sequence[EGNNPropertyModel]) -> None:
        self.models = list(models)
        if len(self.models) < 2:
            raise ValueError(f"an ensemble needs at least two models, not {len(self.models)}")
        for name in ("tasks", "elements"):
            found = {getattr(model.config, name) for model in self.models}
            if len(found) > 1:
                raise ValueError(f"the models differ in {name}: {' and '.join(sorted(found))}")

    @property
    def tasks(self) -> list[str]:
        """Names of the predicted properties."""
        return self.models[0].tasks

    @property
    def elements(self) -> str:
        """The elements the models know, comma separated."""
        return self.models[0].elements

    @property
    def mean(self) -> np.ndarray:
        """Means (T,) of the training labels, those of the first model."""
        return self.models[0].mean

    @property
    def mad(self) -> np.ndarray:
        """Mean absolute deviations (T,) of the first model's training labels."""
        return self.models[0].mad

    def predict(self, dataset: Dataset, transformers: Sequence = ()) -> np.ndarray:
        """Mean prediction (N, T); as `EGNNPropertyModel.predict`."""
        return self.predict_uncertainty(dataset, transformers=transformers)[0]

    def predict_uncertainty(
        self, dataset: Dataset, masks: int = 1, transformers: Sequence = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, (N, T); as `EGNNPropertyModel.predict_uncertainty`."""
        return _combine(
            [m.predict_uncertainty(dataset, transformers=transformers) for m in self.models]
        )

    def predict_molecules(self, molecules: MoleculeBatch) -> np.ndarray:
        """Mean prediction (N, T); NaN for molecules that the models cannot read."""
        return self.predict_molecules_uncertainty(molecules)[0]

    def predict_molecules_uncertainty(
        self, molecules: MoleculeBatch
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, (N, T); NaN for molecules that the models cannot read."""
        return _combine([model.predict_molecules_uncertainty(molecules) for model in self.models])

    def property_of(
        self,
        positions: Tensor,
        type_probabilities: Tensor,
        layout: AtomLayout,
        normalised: bool = False,
    ) -> Tensor:
        """Mean of the models' differentiable properties (B, T).

        See `PropertyNetwork.property_of`; normalised by the first model's labels.
        """
        values = [m.property_of(positions, type_probabilities, layout) for m in self.models]
        mean = torch.stack(values).mean(0)
        if normalised:
            labels = self.models[0].model
            mean = ((mean - labels.mean) / labels.mad).to(mean.dtype)
        return mean


def _combine(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    means, stds = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return means.mean(0), np.sqrt((stds**2).mean(0) + means.var(0))

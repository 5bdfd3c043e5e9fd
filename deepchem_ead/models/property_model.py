"""EGNNPropertyModel: molecular properties from 3D structures as a DeepChem model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from deepchem.data import Dataset, NumpyDataset
from deepchem.models.optimizers import AdamW
from deepchem.trans import undo_transforms
from deepchem.utils.evaluate import _process_metric_input
from torch import Tensor

from deepchem_ead.chem.formal_charges import warn_of_charges
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import AtomLayout, channel
from deepchem_ead.generator import pretrained
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.models.charges import IGNORED, warn_of_ignored_charges
from deepchem_ead.models.estimates import CleanEstimates
from deepchem_ead.properties.config import PropertyConfig
from deepchem_ead.properties.labels import select_labels, task_columns
from deepchem_ead.properties.network import PropertyNetwork, property_loss
from deepchem_ead.properties.scores import check_known, error_factor, task_scores
from deepchem_ead.training.batches import ShuffledBatches
from deepchem_ead.training.given_data import check_dataset
from deepchem_ead.training.optimizer import take_rate_schedule
from deepchem_ead.training.resumable import ResumableModel
from deepchem_ead.training.state import check_config
from deepchem_ead.training.survey import prepare_predictor


class EGNNPropertyModel(ResumableModel):
    """Properties of molecules from elements and coordinates, with their uncertainty.

    EDM's property classifier: an EGNN whose coordinates stay fixed, a sum over atoms and a small
    network on it, trained by L1 on normalised labels. It shares the denoiser's fast edge kernel and
    reads the same X as `EADModel`. Labels that are NaN or have the weight 0 are left out, each task
    for itself. Statistics of the labels are fitted in the first call of ``fit`` and stay with the
    weights.

    Parameters
    ----------
    tasks : sequence of str, optional
        Names of the properties. A dataset that names its tasks must have these among them; one that
        does not must have one column for each, in this order.
    preset : str or Path, optional
        "edm-classifier", "oracle-small", or a YAML file with fields of `PropertyConfig`.
    model_dir : str, optional
        Folder of checkpoints; a temporary one by default.
    device : torch.device or str, optional
        A GPU if there is one by default.
    optimizer : dc.models.optimizers.Optimizer, optional
        AdamW with the configured learning rate by default.
    log_frequency, tensorboard, wandb_logger : optional
        As in `TorchModel`.
    **overrides
        Any field of `PropertyConfig`, for example ``n_layers=4, batch_size=32``.

    Examples
    --------
    >>> import deepchem as dc, deepchem_ead
    >>> mols = deepchem_ead.MoleculeBatch.from_arrays(
    ...     [[8, 1, 1], [1, 1]], [[[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]],
    ...                           [[0, 0, 0], [0.74, 0, 0]]], properties={"mu": [1.85, 0.0]})
    >>> model = dc.models.EGNNPropertyModel(tasks=["mu"], n_layers=1, n_features=32)
    >>> _ = model.fit(mols.to_dataset(tasks=["mu"]), nb_epoch=1)
    >>> model.predict_molecules(mols).shape
    (2, 1)

    References
    ----------
    EDM, Hoogeboom et al., arXiv:2203.17003, sec. 5.2; EGNN, Satorras et al., arXiv:2102.09844.
    """

    def __init__(
        self,
        tasks: Sequence[str] | str | None = None,
        preset: str | Path | None = None,
        *,
        model_dir: str | None = None,
        device: torch.device | str | None = None,
        optimizer=None,
        log_frequency: int = 100,
        tensorboard: bool = False,
        wandb_logger=None,
        **overrides,
    ) -> None:
        overrides = PropertyConfig.flat(overrides)
        optimizer = take_rate_schedule(overrides, optimizer)
        if tasks is not None:
            overrides["tasks"] = tasks
        config = PropertyConfig.load(preset, **overrides)
        self.tasks = config.task_names
        # Plain one-hot types: powers of the charge beside them, as in EDM's classifier, span the
        # same functions of the first linear map.
        self.encoding = AtomEncoding(
            EADConfig(
                elements=config.elements, max_atoms=config.max_atoms, variable_size=False,
                include_charge=False, type_scale=1.0,
            )
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = PropertyNetwork(config, self.encoding.n_features)
        super().__init__(
            config,
            network,
            property_loss,
            # Without amsgrad, which EDM's denoiser uses: it learns faster here.
            optimizer or AdamW(config.learning_rate, weight_decay=config.weight_decay),
            output_types=["prediction", "variance", "loss"],
            model_dir=model_dir,
            device=device,
            log_frequency=log_frequency,
            tensorboard=tensorboard,
            wandb_logger=wandb_logger,
        )
        self._columns: list[int] = []
        self._estimates: CleanEstimates | None = None

    @staticmethod
    def preset_names() -> list[str]:
        """The presets that come with the package."""
        return PropertyConfig.preset_names()

    # ------------------------------------------------------------------ training

    def _before_training(self, dataset: Dataset) -> None:
        config = self.config
        if config.estimates_of and self._estimates is None:
            self._estimates = CleanEstimates(
                config.estimates_of, config.elements, config.max_tau, config.seed,
                config.precision, self.device,
            )  # fmt: skip
        self._columns = task_columns(dataset, self.tasks)
        warn_of_ignored_charges(dataset)
        prepare_predictor(
            self.model, self.tasks, self.encoding, dataset, self._columns,
            config.composition_baseline,
        )  # fmt: skip

    def default_generator(
        self,
        dataset: Dataset,
        epochs: int = 1,
        mode: str = "fit",
        deterministic: bool = True,
        pad_batches: bool = False,
    ) -> Iterable[tuple[list, list, list]]:
        """Batches ``([X], [y], [w])``, never padded; to train, shuffled by seed and epoch."""
        if mode == "fit":
            self._columns = task_columns(dataset, self.tasks)
            batches = ShuffledBatches(dataset, self.batch_size, self.config.seed, not deterministic)
            for epoch in range(epochs):
                for batch in batches.epoch(epoch):
                    self._batch_ids = batch.ids
                    yield [batch.X], [batch.y], [batch.w]
            return
        check_dataset(dataset)
        warn_of_ignored_charges(dataset)
        for X, y, w, ids in dataset.iterbatches(self.batch_size, deterministic=True):
            self._batch_ids = ids
            yield [X], [y], [w]

    def _prepare_batch(self, batch):
        """Encode molecules and normalise their labels (see `PropertyNetwork.forward`)."""
        inputs, labels, weights = batch
        encoded = self.encoding.encode(inputs[0], self._ids_of(inputs[0]))
        order = encoded.order
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(rank))
        prepared = {
            "positions": channel(encoded.clean, "positions").contiguous(),
            "types": channel(encoded.clean, "kinds").contiguous(),
            "layout": encoded.layout,
            "rank": torch.from_numpy(rank),
        }
        prepared = {k: v.to(self.device) for k, v in prepared.items()}
        if labels is None:
            return prepared, [], []
        if self._estimates is not None:
            estimated = self._estimates(inputs[0], self._ids_of(inputs[0]), self._global_step)
            prepared["positions"], prepared["types"], prepared["layout"] = estimated
        y, w = select_labels(labels[0], weights[0], self._columns)
        sorted_y = torch.from_numpy(y[order]).to(self.device)
        target = self.model.normalise_labels(sorted_y, prepared["types"], prepared["layout"])
        target = target[prepared["rank"]].float()
        return prepared, [target], [torch.from_numpy(w).to(self.device)]

    # ------------------------------------------------------------------ prediction

    def predict_molecules(self, molecules: MoleculeBatch) -> np.ndarray:
        """Predictions (N, T) for generated or read molecules, in the unit of the training labels.

        Molecules the model cannot read (no atoms, coordinates that are not finite, unknown
        elements, too many atoms) get NaN.
        """
        return self._predict_batch(molecules)[0]

    def predict_molecules_uncertainty(
        self, molecules: MoleculeBatch
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and standard deviations, (N, T) each; see `predict_molecules`."""
        return self._predict_batch(molecules)

    def _predict_batch(self, molecules: MoleculeBatch) -> tuple[np.ndarray, np.ndarray]:
        out = np.full((2, len(molecules), len(self.tasks)), np.nan)
        readable = self.encoding.readable(molecules)
        names = molecules.ids or [f"molecule {i}" for i in range(len(molecules))]
        warn_of_charges(molecules.charges, names, IGNORED)
        if len(readable):
            X = molecules[readable].to_padded()
            out[:, readable] = self.predict_uncertainty(NumpyDataset(X))
        return out[0], out[1]

    def predict_uncertainty(
        self, dataset: Dataset, masks: int = 1, transformers: Sequence = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and their standard deviations.

        The standard deviation is that of the Laplace distribution the model learned for the errors
        it makes on such molecules, times the factor of `calibrate`. It knows nothing about
        molecules unlike any in the training set; `PropertyEnsemble` adds the disagreement of
        several models, which does.

        Parameters
        ----------
        dataset : dc.data.Dataset
        masks : int
            Accepted for DeepChem's signature: there is no dropout, one pass is exact.
        transformers : list of dc.trans.Transformer
            As in ``predict``.

        Returns
        -------
        mean, std : ndarray, (N, T) float64
            In the unit of the training labels, or the native one if transformers are given.
        """
        generator = self.default_generator(dataset, mode="uncertainty")
        ((mean, variance),) = self._predict(generator, [], True, None)
        std = np.sqrt(variance)
        if not len(transformers):
            return mean, std
        native = undo_transforms(mean, list(transformers))
        return native, np.abs(undo_transforms(mean + std, list(transformers)) - native)

    def calibrate(self, dataset: Dataset) -> np.ndarray:
        """Scale the predicted standard deviations to the errors made on held-out molecules.

        Parameters
        ----------
        dataset : dc.data.Dataset
            Labelled molecules that were not trained on.

        Returns
        -------
        ndarray, (T,)
            The factors by which the standard deviations were multiplied: mean absolute error over
            mean predicted absolute error. 1 for a task without a label.
        """
        self._ensure_built()
        columns = task_columns(dataset, self.tasks)
        y, w = select_labels(dataset.y, dataset.w, columns)
        factor = error_factor(y, w, *self.predict_uncertainty(dataset))
        self.model.calibration.mul_(torch.from_numpy(factor).to(self.model.calibration))
        return factor

    @property
    def elements(self) -> str:
        """The elements the model knows, comma separated."""
        return self.config.elements

    @property
    def mean(self) -> np.ndarray:
        """Means (T,) of the training labels."""
        return self.model.mean.cpu().numpy()

    @property
    def mad(self) -> np.ndarray:
        """Mean absolute deviations (T,) of the training labels."""
        return self.model.mad.cpu().numpy()

    def property_of(
        self,
        positions: Tensor,
        type_probabilities: Tensor,
        layout: AtomLayout,
        normalised: bool = False,
    ) -> Tensor:
        """Properties (B, T) as a differentiable function of positions and soft atom types.

        See `PropertyNetwork.property_of`; the columns of ``type_probabilities`` are
        ``config.elements`` in order.
        """
        self._ensure_built()
        return self.model.property_of(positions, type_probabilities, layout, normalised)

    def evaluate(
        self,
        dataset: Dataset,
        metrics,
        transformers: Sequence = (),
        per_task_metrics: bool = False,
        use_sample_weights: bool = False,
        n_classes: int = 2,
    ):
        """Score predictions against labels by DeepChem metrics, as `dc.models.Model.evaluate` does.

        Labels of tasks that are not the model's are left aside, and so are missing ones (NaN, or of
        the weight 0), each task for itself, with or without ``use_sample_weights``.

        Parameters
        ----------
        dataset : dc.data.Dataset
        metrics : dc.metrics.Metric, function, or list of them
        transformers, per_task_metrics, use_sample_weights, n_classes
            As in `dc.models.Model.evaluate`.

        Returns
        -------
        dict, or pair of dicts with ``per_task_metrics``
            Mean over the tasks of each metric by name; and its list of values.

        Raises
        ------
        ValueError
            If a task is not in the dataset or has no label there, or the transformers belong to
            other tasks as well.
        """
        columns = task_columns(dataset, self.tasks)
        if len(transformers) and len(columns) < len(dataset.get_task_names()):
            raise ValueError(
                "the transformers belong to all tasks of the dataset, the model has only "
                f"{', '.join(self.tasks)}; load the dataset with these tasks"
            )
        y, w = select_labels(dataset.y, dataset.w, columns)
        check_known(w > 0, self.tasks)
        y, predictions = undo_transforms(y, list(transformers)), self.predict(dataset, transformers)
        mean, per_task = task_scores(
            _process_metric_input(metrics), y, w, predictions, n_classes, use_sample_weights
        )
        return (mean, per_task) if per_task_metrics else mean

    # ------------------------------------------------------------------ trained weights

    def save_pretrained(self, directory: str | Path, card: str | None = None) -> None:
        """Write what prediction needs: averaged weights, label statistics, configuration, checksum.

        Parameters
        ----------
        directory : str or Path
            Receives ``model.safetensors``, ``config.json`` and ``README.md``.
        card : str, optional
            Text of the model card; a short one is written by default.
        """
        self._ensure_built()
        tensors = self.model.averaged_tensors()
        pretrained.save(
            directory, tensors, self.config, self._global_step, card, model_type=type(self).__name__
        )

    @classmethod
    def from_pretrained(cls, name: str | Path, **options) -> EGNNPropertyModel:
        """A model with trained weights.

        Parameters
        ----------
        name : str or Path
            A folder written by ``save_pretrained``, the name of weights that come with the package
            (`deepchem_ead.generator.pretrained.names`), or a Hugging Face Hub repository (needs
            ``huggingface-hub``).
        **options
            Arguments that do not change the meaning of the weights, for example ``model_dir``,
            ``device`` or ``batch_size``.

        Raises
        ------
        CheckpointError
            If there is no such model, it is of another kind, or its files are damaged.
        """
        tensors, config = pretrained.load(name, cls.__name__, PropertyConfig)
        model = cls(**{**config.to_dict(), **PropertyConfig.flat(options)})
        check_config(model.config, config.to_dict(), name)
        model.model.load_averaged(tensors, str(name))
        return model

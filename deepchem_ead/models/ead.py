"""EADModel: equivariant asynchronous diffusion as a DeepChem model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from deepchem.data import Dataset

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.job import GenerationSettings, generate_batches
from deepchem_ead.generation.options import SamplingOptions, describes_options
from deepchem_ead.generation.request import Request
from deepchem_ead.generator import pretrained
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.generator.warm_start import TrainedWeights
from deepchem_ead.keywords import check_keywords
from deepchem_ead.models.charges import warn_of_ignored_charges
from deepchem_ead.models.editing import StartsFromMolecules
from deepchem_ead.models.evaluation import evaluate_model
from deepchem_ead.models.guides import remark_on_missing_guide, with_guide
from deepchem_ead.properties.labels import select_labels, task_columns
from deepchem_ead.sampling import Guide, PropertyGuidance
from deepchem_ead.training.batches import ShuffledBatches, check_fits, row_weights
from deepchem_ead.training.given_data import check_dataset
from deepchem_ead.training.host_batch import Noising
from deepchem_ead.training.optimizer import take_rate_schedule
from deepchem_ead.training.placement import Placement, ResidentPlacement
from deepchem_ead.training.resident_data import DoesNotFitError, ResidentMolecules
from deepchem_ead.training.resumable import ResumableModel
from deepchem_ead.training.state import check_config
from deepchem_ead.training.step import weighted_mean
from deepchem_ead.training.survey import prepare_generator

logger = logging.getLogger(__name__)


class EADModel(StartsFromMolecules, ResumableModel):
    """Equivariant asynchronous diffusion over atom types and 3D coordinates.

    Every atom has its own noise level ``t_i``. Training draws them by Algorithm 1 of the paper and
    minimises ``|eps_hat(w, t) - eps|^2``; generation lowers them (see `deepchem_ead.sampling`). The
    denoiser is EDM's E(3)-equivariant EGNN, or an attention network with the same symmetries.

    Parameters
    ----------
    preset : str or Path, optional
        "qm9", "qm9-conditional", "qm9-joint", "qm9-small", "drugs", "drugs-small",
        "conformers-qm9", "conformers-qm9-direct", "conformers-drugs", "paper-qm9", "paper-geom", or
        a YAML file of `EADConfig`.
    initial_weights : str or Path, optional
        Start from a trained model instead of random weights: a folder or name as in
        ``from_pretrained``, or a checkpoint file. Without a preset its configuration is the
        default. The new model may have more conditions, a flag for fixed sizes and another
        ``max_atoms``; all weights for what the old one was not told begin as zeros, so that
        training starts from exactly what the old one computes. This is how an unconditional model
        becomes a conditional one, or is tuned to data of your own.
    model_dir : str, optional
        Folder of checkpoints; a temporary one by default.
    device : torch.device or str, optional
        A GPU if there is one by default.
    optimizer : dc.models.optimizers.Optimizer, optional
        AdamW with the configured learning rate by default.
    log_frequency, tensorboard, wandb_logger : optional
        As in `TorchModel`.
    **overrides
        Any field of `EADConfig`, for example ``n_layers=4, batch_size=32``, or
        ``conditions=["gap", "mu"]`` for a model that generates molecules with asked-for properties;
        also by section, ``training={"batch_size": 32}``.

    Notes
    -----
    A conditional model reads the properties from y, in their own units: do not transform y. What
    the loaders of this package have transformed is refused, what looks normalised warned about. A
    dataset that names its tasks must have the conditions among them, one that does not must have
    one column for each, in their order. A label that is NaN or has the weight 0 is unknown; the
    molecule is still trained on. Mean, mean absolute deviation and range of each property are kept
    with the weights.

    Examples
    --------
    >>> import deepchem as dc, deepchem_ead
    >>> mols = deepchem_ead.MoleculeBatch.from_arrays(
    ...     [[8, 1, 1]], [[[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]])
    >>> model = dc.models.EADModel(preset="qm9-small", n_layers=1, n_features=32)
    >>> _ = model.fit(mols.to_dataset(), nb_epoch=1)
    >>> len(model.generate(2, steps=5, seed=0, progress=False))
    2

    References
    ----------
    EAD, arXiv:2603.10093; EDM, Hoogeboom et al., arXiv:2203.17003.
    """

    def __init__(
        self,
        preset: str | Path | None = None,
        *,
        initial_weights: str | Path | None = None,
        model_dir: str | None = None,
        device: torch.device | str | None = None,
        optimizer=None,
        log_frequency: int = 100,
        tensorboard: bool = False,
        wandb_logger=None,
        **overrides,
    ) -> None:
        overrides = EADConfig.flat(overrides)
        optimizer = take_rate_schedule(overrides, optimizer)
        initial = None if initial_weights is None else TrainedWeights.read(initial_weights)
        if initial is not None and preset is None:
            overrides = {**initial.config.to_dict(), **overrides}
        self.config = EADConfig.load(preset, **overrides)
        self.config.warn_of_inexact_frame()
        self.encoding = AtomEncoding(self.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = EADNetwork(self.config, self.encoding)
        if initial is not None:
            initial.load_into(network, self.config)
        self._columns: list[int] = []
        #: A weak version of this model, for autoguidance (see `generate`).
        self.weak_model: EADModel | None = None
        super().__init__(
            self.config,
            network,
            weighted_mean,
            optimizer,
            model_dir=model_dir,
            device=device,
            log_frequency=log_frequency,
            tensorboard=tensorboard,
            wandb_logger=wandb_logger,
        )

    # ------------------------------------------------------------------ training

    def default_generator(
        self,
        dataset: Dataset,
        epochs: int = 1,
        mode: str = "fit",
        deterministic: bool = True,
        pad_batches: bool = False,
    ) -> Iterable[tuple[list, list, list]]:
        """Batches ``([X], [y], [w])``; for prediction ``([X, row index, properties], [y], [w])``.

        The row index gives each molecule its own random numbers, so that predictions do not
        depend on the batch size. Batches are never padded.
        """
        if mode == "fit":
            self._columns = self._condition_columns(dataset)
            batches = ShuffledBatches(dataset, self.batch_size, self.config.seed, not deterministic)
            for epoch in range(epochs):
                for batch in batches.epoch(epoch):
                    self._batch_ids = batch.ids
                    yield [batch.X], [batch.y], [batch.w]
            return
        check_dataset(dataset)
        first = 0
        columns = self._condition_columns(dataset, allow_unlabelled=True)
        for X, y, w, ids in dataset.iterbatches(self.batch_size, deterministic=True):
            self._batch_ids = ids
            properties = self._properties(y, w, columns)
            yield [X, np.arange(first, first + len(X)), properties], [y], [w]
            first += len(X)

    def _condition_columns(self, dataset: Dataset, allow_unlabelled: bool = False) -> list[int]:
        names = self.config.condition_names
        if not names or (allow_unlabelled and not np.any(dataset.w)):
            return []
        return task_columns(dataset, names)

    def _properties(self, y, w, columns: Sequence[int]) -> np.ndarray:
        """Properties (B, P) of the molecules, NaN where unknown."""
        if not columns:
            return np.full((len(y), len(self.config.condition_names)), np.nan)
        y, w = select_labels(y, w, columns)
        return np.where(w > 0, y, np.nan)

    def _prepare_batch(self, batch):
        """Encode molecules and draw their levels and noise (see `EADNetwork.forward`)."""
        inputs, labels, weights = batch
        X, ids = inputs[0], self._ids_of(inputs[0])
        training = len(inputs) == 1
        conditions = None
        if self.config.condition_names:
            known = self._properties
            conditions = known(*labels, *weights, self._columns) if training else inputs[2]
        noising = Noising(self.config, self.encoding, self.model.denoiser.equivariant)
        if training:
            prepared = noising.training(X, ids, conditions, self._global_step, self._batch_rows)
        else:
            prepared = noising.evaluation(X, ids, conditions, inputs[1])
        prepared = {k: v if v is None else v.to(self.device) for k, v in prepared.items()}
        if weights is None:
            return prepared, [], []
        weight = row_weights(weights[0])
        if self.config.condition_names:
            weight = np.where(weight > 0, weight, np.float32(1))  # 0: no property is known
        return prepared, [], [torch.from_numpy(weight).to(self.device).unsqueeze(1)]

    def _placement(self, dataset: Dataset, deterministic: bool) -> Placement:
        """In ``config.placement``; "auto": on a GPU if they fit, and where a run began."""
        wanted, position = self.config.placement, self.training_position
        if wanted == "auto" and not position.finished:
            wanted = position.placement
        elif wanted == "auto" and self.device.type == "cpu":
            wanted = "host"
        try:
            found = None if wanted == "host" else self._resident(dataset, deterministic)
        except DoesNotFitError as error:
            if self.config.placement == "resident":
                raise
            logger.info("the molecules stay on the host: %s", error)
            found = None
        position.placement = "host" if found is None else "resident"
        return found or super()._placement(dataset, deterministic)

    def _resident(self, dataset: Dataset, deterministic: bool) -> ResidentPlacement:
        """All molecules on the device, if they fit there."""
        check_fits(dataset, deterministic, labelled=bool(self.config.condition_names))
        molecules = ResidentMolecules(
            dataset.X, self.encoding, self.config, self.device,
            self._properties(dataset.y, dataset.w, self._columns), dataset.ids,
        )  # fmt: skip
        return ResidentPlacement(molecules, self.config, self.model.denoiser.equivariant)

    def _before_training(self, dataset: Dataset) -> None:
        self._columns = self._condition_columns(dataset)
        warn_of_ignored_charges(dataset, known=self.encoding.has_charges)
        prepare_generator(self.model, self.config, self.encoding, dataset, self._columns)

    # ------------------------------------------------------------------ evaluation

    def evaluate(self, dataset: Dataset, metrics, transformers: Sequence = (), **options):
        """Score the model: denoising loss on a dataset, metrics of generated molecules, or both.

        Parameters
        ----------
        dataset : dc.data.Dataset
            Molecules whose denoising loss is computed, and the reference for novelty.
        metrics : str, GenerativeMetric, DenoisingLoss, or list of them
            "denoising_loss" or `DenoisingLoss` (mean over molecules; levels and noise are fixed by
            the seed), or metrics of generated molecules ("molecule_stability", "validity", "fcd",
            ...), or all numbers of a suite of `deepchem_ead.judge` ("fast", "standard", "full").
        transformers : list
            Accepted for DeepChem's callbacks; labels are not used.
        **options
            ``n_samples`` (100 by default) and any argument of ``generate``.

        Returns
        -------
        dict of str to float
        """
        return evaluate_model(self, dataset, metrics, **options)

    # ------------------------------------------------------------------ generation

    @check_keywords()
    @describes_options
    def generate(
        self,
        n: int,
        schedule=None,
        n_atoms: int | Sequence[int] | str | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        steps: int | str | Sequence[float] | None = None,
        progress: bool = True,
        callback: Callable[[dict], None] | None = None,
        *,
        conditions: Mapping[str, object] | None = None,
        guidance_scale: float = 0.0,
        guide: PropertyGuidance | Guide | str | Path | None = None,
        autoguidance_scale: float | None = None,
        weak_model: EADModel | str | Path | None = None,
        guidance_levels: str | Sequence[float] | None = None,
        stepper=None,
        noise_scale: float | None = None,
        repeat_rule=None,
        closed_shell: bool | None = None,
        start: Given | None = None,
        record_levels: bool = False,
        options: SamplingOptions | None = None,
    ) -> MoleculeBatch:
        """Generate molecules.

        Molecule i is determined by the seed and i alone, whatever the batch size.

        Parameters
        ----------
        n : int
            Number of molecules.
        progress : bool
            Show a progress bar.
        callback : callable, optional
            Called after each step with a dict: ``step``, ``n_steps``, ``levels`` (A,), ``w`` and
            ``x_hat`` (A, 3 + F), ``layout``, and ``molecules`` (B,), the numbers i of the layout's
            molecules. Molecules that entered the batch together share their calls; if n is
            larger than the batch, calls for several such groups take turns.
        conditions : mapping of str to value or sequence of values, optional
            Wanted properties that the model or its guide knows, of all or of each molecule: numbers
            in the unit of the training labels, or for QM9's properties text with a unit,
            ``{"gap": "5.4 eV", "mu": 2.5}``. NaN and None leave a property open.
        options : SamplingOptions, optional
            All of the following as one object, in their place.
        {options}

        Returns
        -------
        MoleculeBatch
            Its ``info`` holds seed, settings, seconds, the true number of network evaluations of
            each molecule (``evaluations``) and the largest of them (``n_evaluations``), and that
            they are ``sampled``: several fragments then count as debris.

        Raises
        ------
        ValueError
            For arguments out of range, properties or units that are not known, guidance to nothing,
            and where sizes or properties are needed from data that the model has not seen.
        """
        options = SamplingOptions.among(locals(), options)
        began = time.perf_counter()
        settings = GenerationSettings.resolve(self.config, options)
        unguided = options.guide is None  # and not "none"
        options = with_guide(options, self)
        request = Request(self, n, conditions, options)
        if conditions and unguided and options.guidance_scale == 0:
            remark_on_missing_guide(conditions)
        watched = {"progress": progress, "callback": callback}
        parts = list(generate_batches(self, n, settings, request=request, **watched))
        molecules = MoleculeBatch.concatenate([part.molecules for part in parts])
        info = {"sampled": True} | settings.describe() | request.describe()
        info["evaluations"] = [int(k) for part in parts for k in part.n_evaluations]
        info["n_evaluations"] = max(info["evaluations"], default=0)
        info["seconds"] = time.perf_counter() - began
        if options.record_levels:
            info["levels"] = [trace for part in parts for trace in part.levels]
        return replace(molecules, info=info)

    # ------------------------------------------------------------------ trained weights

    def save_pretrained(
        self, directory: str | Path, card: str | None = None, half: bool = False
    ) -> None:
        """Write what generation needs: averaged weights, configuration and checksum.

        Parameters
        ----------
        directory : str or Path
            Receives ``model.safetensors``, ``config.json`` and ``README.md``; a weak model for
            autoguidance, if there is one, goes to the folder ``weak`` below.
        card : str, optional
            Text of the model card; a short one is written by default.
        half : bool
            Weights are stored in half precision; they are computed with in single precision.
        """
        self._ensure_built()
        tensors = self.model.averaged_tensors()
        pretrained.save(directory, tensors, self.config, self._global_step, card, half=half)
        if self.weak_model is not None:
            self.weak_model.save_pretrained(Path(directory) / pretrained.WEAK, half=half)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options) -> EADModel:
        """A model with trained weights.

        Parameters
        ----------
        name : str or Path
            A folder written by ``save_pretrained``, the name of weights that come with the package
            (`deepchem_ead.generator.pretrained.names`), or a Hugging Face Hub repository (needs
            ``huggingface-hub``).
        **options
            Arguments of `EADModel` that do not change the meaning of the weights, for example
            ``model_dir``, ``device`` or ``learning_rate``.

        Raises
        ------
        CheckpointError
            If there is no such model, or its files are damaged.
        """
        weights = TrainedWeights.from_pretrained(name)
        model = cls(**{**weights.config.to_dict(), **EADConfig.flat(options)})
        check_config(model.config, weights.config.to_dict(), name)
        weights.load_into(model.model, model.config)
        weights.load_counts_into(model.model)
        weak = pretrained.find(name) / pretrained.WEAK
        if (weak / pretrained.CONFIG).is_file():
            model.weak_model = cls.from_pretrained(weak, device=model.device)
        return model

"""EADModel: equivariant asynchronous diffusion as a DeepChem model."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from deepchem.data import Dataset
from deepchem.models.torch_models import TorchModel
from torch import Tensor

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import EDMFrame
from deepchem_ead.errors import CheckpointError
from deepchem_ead.models import pretrained
from deepchem_ead.models.batches import ShuffledBatches, row_weights
from deepchem_ead.models.checkpoint import (
    check_shapes,
    flatten_optimizer,
    prefixed,
    read_tensors,
    unflatten_optimizer,
    without_prefix,
    write_tensors,
)
from deepchem_ead.models.config import EADConfig
from deepchem_ead.models.encoding import AtomEncoding
from deepchem_ead.models.evaluation import evaluate_model
from deepchem_ead.models.generation import GenerationSettings, generate_batches
from deepchem_ead.models.network import EADNetwork
from deepchem_ead.models.noising import evaluation_noise, training_noise
from deepchem_ead.models.optimizer import EADOptimizer, default_optimizer, rate_factor
from deepchem_ead.models.progress import TrainingProgress
from deepchem_ead.models.run import TrainingPosition, TrainingRun

logger = logging.getLogger(__name__)


class EADModel(TorchModel):
    """Equivariant asynchronous diffusion over atom types and 3D coordinates.

    Every atom has its own noise level ``t_i``. Training draws them by Algorithm 1 of the paper and
    minimises ``|eps_hat(w, t) - eps|^2``; generation lowers them with a schedule that may look at
    the molecule (see `deepchem_ead.sampling`). The denoiser is EDM's E(3)-equivariant EGNN.

    Parameters
    ----------
    preset : str or Path, optional
        "paper-qm9", "qm9-small", "paper-geom", or a YAML file with fields of `EADConfig`.
    model_dir : str, optional
        Folder of checkpoints; a temporary one by default.
    device : torch.device or str, optional
        A GPU if there is one by default.
    optimizer : dc.models.optimizers.Optimizer, optional
        AdamW with the configured learning rate by default.
    log_frequency, tensorboard, wandb_logger : optional
        As in `TorchModel`.
    **overrides
        Any field of `EADConfig`, for example ``n_layers=4, batch_size=32``.

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
        model_dir: str | None = None,
        device: torch.device | str | None = None,
        optimizer=None,
        log_frequency: int = 100,
        tensorboard: bool = False,
        wandb_logger=None,
        **overrides,
    ) -> None:
        # DeepChem passes a schedule of the learning rate as learning_rate; it is not a setting.
        rate = overrides.get("learning_rate")
        if rate is not None and not isinstance(rate, (int, float)):
            optimizer = optimizer or default_optimizer(overrides.pop("learning_rate"), 1e-12)
        self.config = EADConfig.load(preset, **overrides)
        self._warn_about_frame()
        self.encoding = AtomEncoding(self.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = EADNetwork(self.config, self.encoding.n_features)
        inner = optimizer or default_optimizer(self.config.learning_rate, self.config.weight_decay)
        super().__init__(
            network,
            loss=weighted_mean,
            batch_size=self.config.batch_size,
            model_dir=None if model_dir is None else str(model_dir),
            optimizer=EADOptimizer(network, inner, self._rate_factor),
            tensorboard=tensorboard,
            wandb_logger=wandb_logger,
            log_frequency=log_frequency,
            device=None if device is None else torch.device(device),
        )
        self.training_position = TrainingPosition()
        self._run: TrainingRun | None = None
        self._batch_ids: Sequence = ()
        self.last_loss = float("nan")

    def _warn_about_frame(self) -> None:
        config = self.config
        error = EDMFrame.error_estimate(config.interval, config.timesteps)
        if config.frame == EDMFrame.name and error > 0.1:
            logger.warning(
                'frame="edm" neglects about %.2f standard deviations of noise at interval=%d: it '
                'is meant for reproduction, frame="quotient" is exact',
                error,
                config.interval,
            )

    # ------------------------------------------------------------------ training

    def fit(
        self,
        dataset: Dataset,
        nb_epoch: int = 10,
        max_checkpoints_to_keep: int = 5,
        checkpoint_interval: int = 1000,
        deterministic: bool = False,
        restore: bool = False,
        variables=None,
        loss=None,
        callbacks: Callable | Sequence[Callable] = (),
        all_losses: list[float] | None = None,
        minutes: float | None = None,
        progress: bool = False,
    ) -> float:
        """Train on a dataset of molecules.

        Shuffling and noise depend on the model's seed and the step only, so a run that was killed
        and continued from its checkpoint gives bit for bit the weights of one that was not.

        Parameters
        ----------
        dataset : dc.data.Dataset
            X (N, atoms, 4) as `Molecule3DFeaturizer` makes it.
        nb_epoch : int
            Epochs to work on. An epoch that a restored checkpoint had begun is finished from where
            it stopped and counts as one.
        restore : bool
            Continue from the newest checkpoint in ``model_dir``.
        callbacks : callable or list of callables
            Called as ``callback(model, step)`` after each step.
        minutes : float, optional
            Stop after this time of training (counted over a restored run's earlier parts).
        progress : bool
            Show a progress bar with steps, loss, molecules per second and the time left.
        max_checkpoints_to_keep, checkpoint_interval, deterministic, variables, loss, all_losses
            As in `TorchModel.fit`.

        Returns
        -------
        float
            The average loss over the last steps.

        Raises
        ------
        ValueError
            If the dataset is empty or a molecule in it cannot be used.
        FloatingPointError
            If the loss is not a finite number; the message names the molecules of the batch. No
            step is taken and no checkpoint written.
        """
        if len(dataset) == 0:
            raise ValueError("the dataset is empty; there is nothing to fit")
        if nb_epoch < 0:
            raise ValueError(f"nb_epoch must not be negative, not {nb_epoch}")
        if restore:
            self.restore()
        if nb_epoch == 0:
            return 0.0
        self._ensure_built()
        batches = ShuffledBatches(dataset, self.batch_size, self.config.seed, not deterministic)
        run = TrainingRun(self.training_position, batches, nb_epoch, self._global_step, minutes)
        self._run = run
        self._count_sizes(dataset)
        callbacks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
        bar = TrainingProgress(self, run.total_steps, run.seconds) if progress else None
        try:
            with warnings.catch_warnings():
                # DeepChem averages losses without detaching them.
                warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
                return self.fit_generator(
                    self._training_batches(run),
                    max_checkpoints_to_keep,
                    checkpoint_interval,
                    False,
                    variables,
                    loss or self._checked_loss,
                    callbacks + [bar] * (bar is not None),
                    all_losses,
                )
        finally:
            if bar is not None:
                bar.close()

    def stop_training(self) -> None:
        """End the running ``fit`` after the current step, with a checkpoint to go on from."""
        if self._run is not None:
            self._run.stop()

    def default_generator(
        self,
        dataset: Dataset,
        epochs: int = 1,
        mode: str = "fit",
        deterministic: bool = True,
        pad_batches: bool = False,
    ) -> Iterable[tuple[list, list, list]]:
        """Batches ``([X], [y], [w])``; for prediction ``([X, row index], [y], [w])``.

        The row index gives each molecule its own random numbers, so that predictions do not
        depend on the batch size. Batches are never padded.
        """
        if mode == "fit":
            batches = ShuffledBatches(dataset, self.batch_size, self.config.seed, not deterministic)
            for epoch in range(epochs):
                for batch in batches.epoch(epoch):
                    self._batch_ids = batch.ids
                    yield [batch.X], [batch.y], [batch.w]
            return
        first = 0
        for X, y, w, ids in dataset.iterbatches(self.batch_size, deterministic=True):
            self._batch_ids = ids
            yield [X, np.arange(first, first + len(X))], [y], [w]
            first += len(X)

    def _training_batches(self, run: TrainingRun):
        for batch in run:
            self._batch_ids = batch.ids
            yield [batch.X], [batch.y], [batch.w]

    def _prepare_batch(self, batch):
        """Encode molecules and draw their levels and noise (see `EADNetwork.forward`)."""
        inputs, _, weights = batch
        encoded = self.encoding.encode(inputs[0], self._ids_of(inputs[0]))
        if len(inputs) == 1:
            levels, eps = training_noise(encoded, self.config, self._global_step)
        else:
            levels, eps = evaluation_noise(encoded, self.config, inputs[1])
        node_weight = None
        if encoded.is_dummy is not None and self.config.dummy_weight != 1:
            node_weight = torch.where(encoded.is_dummy, self.config.dummy_weight, 1.0)
        rank = np.empty(len(encoded.order), np.int64)
        rank[encoded.order] = np.arange(len(rank))
        prepared = {
            "clean": encoded.clean,
            "levels": levels,
            "eps": eps,
            "layout": encoded.layout,
            "node_weight": node_weight,
            "rank": torch.from_numpy(rank),
        }
        prepared = {k: v if v is None else v.to(self.device) for k, v in prepared.items()}
        if weights is None:
            return prepared, [], []
        weight = torch.from_numpy(row_weights(weights[0])).to(self.device)
        return prepared, [], [weight.unsqueeze(1)]

    def _ids_of(self, X: np.ndarray) -> Sequence | None:
        return self._batch_ids if len(self._batch_ids) == len(X) else None

    def _checked_loss(self, outputs, labels, weights) -> Tensor:
        loss = weighted_mean(outputs, labels, weights)
        self.last_loss = float(loss.detach())
        if not np.isfinite(self.last_loss):
            shown = ", ".join(map(str, self._batch_ids[:8]))
            raise FloatingPointError(
                f"the loss is {self.last_loss} at step {self._global_step}; no step was taken. "
                f"Lower the learning rate, or look at the molecules of this batch: {shown}, ..."
            )
        return loss

    def _rate_factor(self) -> float:
        config, step = self.config, self._global_step
        return rate_factor(
            config.learning_rate_decay,
            config.warmup_steps,
            step - self.training_position.start_step,
            0.0 if self._run is None else self._run.progress(step),
        )

    def _count_sizes(self, dataset: Dataset) -> None:
        counts = self.model.size_counts
        if counts.any():
            return
        sizes = torch.zeros_like(counts, device="cpu")
        for X, _, _, ids in dataset.iterbatches(4096, deterministic=True):
            n_atoms = torch.from_numpy((X[:, :, 3] > 0).sum(1))
            if int(n_atoms.max()) >= len(sizes):
                self.encoding.encode(X, ids)  # raises, naming the molecule
            sizes += torch.bincount(n_atoms, minlength=len(sizes))
        counts.copy_(sizes)

    # ------------------------------------------------------------------ prediction

    def _predict(self, generator, transformers, uncertainty, other_output_types):
        # TorchModel leaves the network in evaluation mode, which would end training silently
        # when a validation callback runs during fit.
        training = self.model.training
        ids = self._batch_ids
        try:
            with torch.no_grad():
                return super()._predict(generator, transformers, uncertainty, other_output_types)
        finally:
            self.model.train(training)
            self._batch_ids = ids

    def evaluate(self, dataset: Dataset, metrics, transformers: Sequence = (), **options):
        """Score the model: denoising loss on a dataset, metrics of generated molecules, or both.

        Parameters
        ----------
        dataset : dc.data.Dataset
            Molecules whose denoising loss is computed, and the reference for novelty.
        metrics : str, GenerativeMetric, DenoisingLoss, or list of them
            "denoising_loss" or `DenoisingLoss` (mean over molecules; levels and noise are fixed by
            the seed), or metrics of generated molecules ("molecule_stability", "validity", ...).
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

    def generate(
        self,
        n: int,
        schedule="adaptive",
        n_atoms: int | Sequence[int] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        steps: int | None = None,
        progress: bool = True,
        callback: Callable[[dict], None] | None = None,
        *,
        stepper="ancestral",
        repeat_rule=None,
        record_levels: bool = False,
    ) -> MoleculeBatch:
        """Generate molecules.

        Molecule i is determined by the seed and i alone, whatever the batch size.

        Parameters
        ----------
        n : int
            Number of molecules.
        schedule : str or schedule object
            "adaptive", "synchronous", "staircase", "random-coin" or an object of
            `deepchem_ead.sampling`.
        n_atoms : int or sequence of int, optional
            Number of atoms of all or of each molecule. By default the model finds it itself, or
            draws it from the training set's histogram if it has no dummy atoms.
        seed : int, optional
            Drawn at random by default and reported in ``info["seed"]``.
        batch_size : int, optional
            Molecules computed at once; changes speed only.
        steps : int, optional
            Steps of the level grid, all ``timesteps`` by default.
        progress : bool
            Show a progress bar.
        callback : callable, optional
            Called after each step with a dict of step, levels, states and estimates.
        stepper : str or stepper object
            "ancestral" (EDM's posterior), "ddim", or "dpm++2m".
        repeat_rule : str, optional
            What a stalled atom does: "literal", "repaint", "hold", "langevin" or "renoise"; the
            configuration's by default.
        record_levels : bool
            Keep every atom's level at every step in ``info["levels"]``.

        Returns
        -------
        MoleculeBatch
            Its ``info`` holds seed, settings, seconds and the true number of network evaluations.
        """
        began = time.perf_counter()
        settings = GenerationSettings.resolve(
            self.config, schedule, stepper, repeat_rule, steps, seed, batch_size, record_levels
        )
        parts = list(
            generate_batches(self, n, settings, n_atoms, progress=progress, callback=callback)
        )
        molecules = MoleculeBatch.concatenate([part.molecules for part in parts])
        info = settings.describe()
        info["n_evaluations"] = max((part.n_evaluations for part in parts), default=0)
        info["seconds"] = time.perf_counter() - began
        if record_levels:
            info["levels"] = [trace for part in parts for trace in part.levels]
        return replace(molecules, info=info)

    # ------------------------------------------------------------------ checkpoints

    def save_checkpoint(
        self, max_checkpoints_to_keep: int = 5, model_dir: str | None = None
    ) -> None:
        """Write the whole state of training to ``model_dir/checkpoint-<step>.safetensors``."""
        if max_checkpoints_to_keep == 0:
            return
        self._ensure_built()
        folder = Path(model_dir or self.model_dir)
        optimizer, groups = flatten_optimizer(self._pytorch_optimizer.state_dict())
        tensors = prefixed("model", self.model.state_dict()) | prefixed("optimizer", optimizer)
        data = {
            "config": self.config.to_dict(),
            "global_step": self._global_step,
            "position": asdict(self.training_position),
            "optimizer_groups": groups,
            "rate_schedule": self._lr_schedule.state_dict() if self._lr_schedule else None,
        }
        write_tensors(folder / f"checkpoint-{self._global_step:09d}.safetensors", tensors, data)
        for old in self.get_checkpoints(str(folder))[max_checkpoints_to_keep:]:
            Path(old).unlink(missing_ok=True)

    def get_checkpoints(self, model_dir: str | None = None) -> list[str]:
        """Checkpoint files, the newest first."""
        files = Path(model_dir or self.model_dir).glob("checkpoint-*.safetensors")
        return [str(f) for f in sorted(files, key=lambda f: (f.stat().st_mtime_ns, f.name))[::-1]]

    def restore(
        self, checkpoint: str | None = None, model_dir: str | None = None, strict: bool = True
    ) -> None:
        """Load model, averages, optimizer and position from a checkpoint.

        Parameters
        ----------
        checkpoint : str, optional
            A file; the newest good one in ``model_dir`` by default. A damaged newest file is
            passed over with a warning.
        model_dir : str, optional
        strict : bool
            Kept for DeepChem's signature; weights must always fit.

        Raises
        ------
        CheckpointError
            If there is no usable checkpoint, or it belongs to another configuration. The model is
            unchanged then.
        """
        self._ensure_built()
        candidates = [checkpoint] if checkpoint else self.get_checkpoints(model_dir)
        if not candidates:
            raise CheckpointError(f"there is no checkpoint in {model_dir or self.model_dir}")
        for k, path in enumerate(candidates):
            try:
                tensors, data = read_tensors(path)
                break
            except CheckpointError as error:
                if k == len(candidates) - 1:
                    raise
                logger.warning("%s; falling back to %s", error, candidates[k + 1])
        self._check_config(data["config"], path)
        weights = without_prefix("model", tensors)
        check_shapes(weights, self.model.state_dict(), path)
        self.model.load_state_dict(weights)
        state = unflatten_optimizer(without_prefix("optimizer", tensors), data["optimizer_groups"])
        self._pytorch_optimizer.load_state_dict(state)
        if self._lr_schedule is not None and data["rate_schedule"] is not None:
            self._lr_schedule.load_state_dict(data["rate_schedule"])
        self._global_step = data["global_step"]
        self.training_position = TrainingPosition(**data["position"])

    def _check_config(self, values: dict, source: str | Path) -> None:
        differences = self.config.structural_differences(EADConfig.from_dict(values))
        if differences:
            listed = "; ".join(
                f"{k} is {mine!r} here and {theirs!r} there"
                for k, (mine, theirs) in differences.items()
            )
            raise CheckpointError(f"{source} belongs to another configuration: {listed}")

    def save_pretrained(self, directory: str | Path, card: str | None = None) -> None:
        """Write what generation needs: averaged weights, configuration and checksum.

        Parameters
        ----------
        directory : str or Path
            Receives ``model.safetensors``, ``config.json`` and ``README.md``.
        card : str, optional
            Text of the model card; a short one is written by default.
        """
        self._ensure_built()
        weights = self.model.sampling_denoiser.state_dict()
        tensors = prefixed("denoiser", weights) | {"size_counts": self.model.size_counts}
        pretrained.save(directory, tensors, self.config, self._global_step, card)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options) -> EADModel:
        """A model with trained weights.

        Parameters
        ----------
        name : str or Path
            A folder written by ``save_pretrained``, the name of weights that come with the package
            (`deepchem_ead.models.pretrained.names`), or a Hugging Face Hub repository (needs
            ``huggingface-hub``).
        **options
            Arguments of `EADModel` that do not change the meaning of the weights, for example
            ``model_dir``, ``device`` or ``learning_rate``.

        Raises
        ------
        CheckpointError
            If there is no such model, or its files are damaged.
        """
        tensors, config = pretrained.load(name)
        settings = {**config.to_dict(), **options}
        model = cls(**settings)
        model._check_config(config.to_dict(), name)
        weights = without_prefix("denoiser", tensors)
        check_shapes(weights, model.model.denoiser.state_dict(), str(name))
        model.model.denoiser.load_state_dict(weights)
        model.model.average.module.load_state_dict(weights)
        model.model.size_counts.copy_(tensors["size_counts"])
        return model


def weighted_mean(outputs, labels, weights) -> Tensor:
    """Weighted mean of the molecules' losses, (B, 1) each."""
    (loss,), (weight,) = outputs, weights
    return (loss * weight).sum() / weight.sum()

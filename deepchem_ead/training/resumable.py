"""A DeepChem TorchModel whose training can be killed and continued bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepchem.data import Dataset
from deepchem.models.optimizers import LearningRateSchedule
from deepchem.models.torch_models import TorchModel
from torch import Tensor, nn

from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator.checkpoint import checkpoint_files
from deepchem_ead.keywords import check_keywords
from deepchem_ead.locks import hold
from deepchem_ead.optim.rate import rate_factor
from deepchem_ead.training.batches import RawBatch, ShuffledBatches
from deepchem_ead.training.curve import summary_writer_type
from deepchem_ead.training.given_data import check_dataset, refuse_uneven
from deepchem_ead.training.log import LossLog, Watched
from deepchem_ead.training.optimizer import EADOptimizer, default_optimizer
from deepchem_ead.training.own_folder import temporary_folder_of
from deepchem_ead.training.placement import Batch, HostPlacement, Placement
from deepchem_ead.training.position import TrainingPosition
from deepchem_ead.training.progress import TrainingProgress
from deepchem_ead.training.run import TrainingRun, train
from deepchem_ead.training.state import TrainingState, kept_estimates, load_estimates
from deepchem_ead.training.step import TrainingStep
from deepchem_ead.training.world import World


class ResumableModel(Watched, TorchModel):
    """What the models of this package share: training, its position, and checkpoints.

    A subclass prepares batches (``default_generator``, ``_prepare_batch``) and may look at the data
    first (``_before_training``). Everything random must depend on the configuration's seed and the
    global step alone.

    Parameters
    ----------
    config : EADConfig or PropertyConfig
        With the training settings (seed, batch size, learning rate and its decay...), ``to_dict``,
        ``from_stored`` and ``structural_differences``.
    network : nn.Module
        Its ``before_optimizer_step`` and ``after_optimizer_step`` are called.
    loss : callable
        ``loss(outputs, labels, weights)``, a number.
    optimizer : dc.models.optimizers.Optimizer or None
        AdamW with the configured learning rate if None.
    output_types, model_dir, device, log_frequency, tensorboard, wandb_logger
        As in `TorchModel`.

    Notes
    -----
    A copy (``copy.deepcopy``, pickle, joblib, ``torch.save``) goes on training where the original
    is, bit for bit. It has a temporary folder of its own if the original has one, without
    checkpoints, and logs to nobody's Weights & Biases run.
    """

    def __init__(
        self,
        config,
        network: nn.Module,
        loss: Callable[..., Tensor],
        optimizer=None,
        *,
        output_types: list[str] | None = None,
        model_dir: str | None = None,
        device: torch.device | str | None = None,
        log_frequency: int = 100,
        tensorboard: bool = False,
        wandb_logger=None,
    ) -> None:
        self.config = config
        inner = optimizer or default_optimizer(
            config.learning_rate, config.weight_decay, config.amsgrad
        )
        self._folder_is_temporary = model_dir is None
        if model_dir is not None:  # DeepChem's way fails where two processes do it at once
            Path(model_dir).mkdir(parents=True, exist_ok=True)
        super().__init__(
            network,
            loss=loss,
            output_types=output_types,
            batch_size=config.batch_size,
            model_dir=temporary_folder_of(self) if model_dir is None else str(model_dir),
            optimizer=EADOptimizer(network, inner, self._rate_factor),
            tensorboard=tensorboard,
            wandb_logger=wandb_logger,
            log_frequency=log_frequency,
            device=None if device is None else torch.device(device),
        )
        self.training_position = TrainingPosition()
        #: The processes that train this model together: set it before ``fit``, alike in all.
        self.world = World()
        self._run: TrainingRun | None = None
        self._batch_ids: Sequence = ()
        self._batch_rows: np.ndarray | None = None
        self._step: TrainingStep | None = None
        self.history = []

    # ------------------------------------------------------------------ copies

    def __getstate__(self) -> dict:
        state = self.__dict__ | {"_run": None, "_batch_ids": (), "_batch_rows": None, "_step": None}
        state["wandb_logger"] = None
        state.pop("_summary_writer", None)
        # Optimisers lose their hooks when they are copied, and rates may be functions: both are
        # made anew from what a checkpoint would hold of them.
        state["_optimizer_for_vars"] = {}
        for name in ("_pytorch_optimizer", "_lr_schedule") if self._built else ():
            part = state.pop(name)
            state[name] = None if part is None else part.state_dict()
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if self._folder_is_temporary:
            self.model_dir = temporary_folder_of(self)
        if self.tensorboard:
            self._summary_writer = summary_writer_type()(self.model_dir)
        if self._built:
            step, self._built = self._global_step, False
            self._ensure_built()
            self._global_step = step
            self._load_optimizer(state["_pytorch_optimizer"], state["_lr_schedule"])

    def _load_optimizer(self, optimizer: dict, schedule: dict | None) -> None:
        self._pytorch_optimizer.load_state_dict(optimizer)
        if self._lr_schedule is not None and schedule is not None:
            self._lr_schedule.load_state_dict(schedule)

    # ------------------------------------------------------------------ training

    @check_keywords()
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
            Show a progress bar with steps, loss, norm of gradients, molecules per second and the
            time left.
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
        InUseError
            If another process, or another thread, is training in ``model_dir``.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise ValueError("the dataset is empty; there is nothing to fit")
        refuse_uneven(dataset)
        if nb_epoch < 0:
            raise ValueError(f"nb_epoch must not be negative, not {nb_epoch}")
        with self._folder_held(checkpoint_interval):
            if restore:
                self.restore()
            if nb_epoch == 0:
                return 0.0
            self._ensure_built()
            self._before_training(dataset)
            self.model.train()
            placement = self._placement(dataset, deterministic)
            self._run = run = TrainingRun(
                self.training_position, placement.n_batches, nb_epoch, self._global_step, minutes
            )
            optimizer, schedule = self._optimizer_of(variables)
            self._step = step = self._training_step(placement, optimizer, loss)
            callbacks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
            bar = TrainingProgress(self, run.total_steps, run.seconds) if progress else None
            log = LossLog(self, all_losses)
            self.history = log.rows

            def look(global_step: int) -> None:
                self._global_step = global_step
                if schedule is not None:
                    schedule.step()
                log(global_step, step.loss)
                if checkpoint_interval > 0 and (global_step + 1) % checkpoint_interval == 0:
                    self.save_checkpoint(max_checkpoints_to_keep)
                for callback in callbacks + [bar] * (bar is not None):
                    callback(self, global_step)

            try:
                train(run, step, self._global_step, look)
            finally:
                self._batch_rows = None
                if bar is not None:
                    bar.close()
            mean = log.close()
            if checkpoint_interval > 0:
                self.save_checkpoint(max_checkpoints_to_keep)
            return mean

    def _placement(self, dataset: Dataset, deterministic: bool) -> Placement:
        """Where the data of a call of ``fit`` lie."""
        batches = ShuffledBatches(dataset, self.batch_size, self.config.seed, not deterministic)

        def prepare(rows: RawBatch) -> Batch:
            self._batch_ids, self._batch_rows = rows.ids, rows.rows
            return self._prepare_batch(([rows.X], [rows.y], [rows.w]))

        return HostPlacement(batches.epoch, len(batches), prepare)

    def _optimizer_of(self, variables) -> tuple[torch.optim.Optimizer, Any]:
        """The optimiser of all or of some weights, and DeepChem's schedule of its rate if any."""
        if variables is None:
            return self._pytorch_optimizer, self._lr_schedule
        key = tuple(variables)
        if key not in self._optimizer_for_vars:
            optimizer, schedule = self.optimizer._create_pytorch_optimizer(key), None
            if isinstance(self.optimizer.learning_rate, LearningRateSchedule):
                schedule = self.optimizer.learning_rate._create_pytorch_schedule(optimizer)
            self._optimizer_for_vars[key] = optimizer, schedule
        return self._optimizer_for_vars[key]

    def _training_step(
        self, placement: Placement, optimizer: torch.optim.Optimizer, loss
    ) -> TrainingStep:
        compute = loss or self._loss_fn

        def loss_of(outputs, labels: list, weights: list) -> Tensor:
            outputs = [outputs] if isinstance(outputs, Tensor) else outputs
            if self._loss_outputs is not None:
                outputs = [outputs[i] for i in self._loss_outputs]
            return compute(outputs, labels, weights)

        return TrainingStep(
            self.model, optimizer, loss_of, placement, self.world, self._refuse_loss
        )

    def _folder_held(self, checkpoint_interval: int) -> AbstractContextManager[None]:
        if checkpoint_interval == 0 or self.world.rank > 0:  # nothing is written
            return nullcontext()
        Path(self.model_dir).mkdir(parents=True, exist_ok=True)
        return hold(self.model_dir, "training in it")

    def get_global_step(self) -> int:
        """Steps of training so far."""
        self._ensure_built()  # DeepChem's has no number before that
        return super().get_global_step()

    @property
    def run(self) -> TrainingRun | None:
        """The call of ``fit`` that is under way, or was last."""
        return self._run

    def stop_training(self) -> None:
        """End the running ``fit`` after the current step, with a checkpoint to go on from."""
        if self._run is not None:
            self._run.stop()

    def _ids_of(self, X: np.ndarray) -> Sequence | None:
        return self._batch_ids if len(self._batch_ids) == len(X) else None

    def _refuse_loss(self, loss: float, placement: Placement) -> None:
        if not np.isfinite(loss):
            shown = ", ".join(map(str, placement.ids()[:8]))
            raise FloatingPointError(
                f"the loss is {loss} at step {self._global_step}; no step was taken. Lower the "
                f"learning rate, or look at the molecules of this batch: {shown}, ..."
            )

    def _before_training(self, dataset: Dataset) -> None:
        """Look at the data before the first step; refuse what would spoil the run."""

    def _rate_factor(self) -> float:
        config, step = self.config, self._global_step
        return rate_factor(
            config.learning_rate_decay,
            config.warmup_steps,
            step - self.training_position.start_step,
            0.0 if self._run is None else self._run.progress(step),
        )

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

    # ------------------------------------------------------------------ checkpoints

    def save_checkpoint(
        self, max_checkpoints_to_keep: int = 5, model_dir: str | None = None
    ) -> None:
        """Write the whole state of training to ``model_dir/checkpoint-<step>.safetensors``.

        Of several processes that train together the first one writes.
        """
        if max_checkpoints_to_keep == 0 or self.world.rank > 0:
            return
        self._ensure_built()
        state = TrainingState(
            self._global_step,
            self.training_position,
            self.model.state_dict(),
            self._pytorch_optimizer.state_dict(),
            self._lr_schedule.state_dict() if self._lr_schedule else None,
            kept_estimates(self.model),
        )
        state.write(model_dir or self.model_dir, self.config, max_checkpoints_to_keep)

    def save(self) -> None:
        """Write a checkpoint, as DeepChem's searches of hyperparameters ask a model to."""
        self.save_checkpoint()

    def reload(self) -> None:
        """Load the newest checkpoint in ``model_dir``; see `restore`."""
        self.restore()

    def get_checkpoints(self, model_dir: str | None = None) -> list[str]:
        """Checkpoint files, the newest first."""
        return [str(file) for file in checkpoint_files(model_dir or self.model_dir)]

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
        state = TrainingState.read(candidates, self.config, self.model)
        self.model.load_state_dict(state.weights)
        load_estimates(self.model, state.estimates)
        self._load_optimizer(state.optimizer, state.rate_schedule)
        self._global_step, self.training_position = state.global_step, state.position

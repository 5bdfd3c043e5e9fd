"""EADModel: equivariant asynchronous diffusion as a DeepChem model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from deepchem.data import Dataset
from torch import Tensor

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.diffusion import EDMFrame
from deepchem_ead.models import pretrained
from deepchem_ead.models.batches import ShuffledBatches, row_weights
from deepchem_ead.models.checkpoint import (
    check_shapes,
    prefixed,
    without_prefix,
)
from deepchem_ead.models.config import EADConfig
from deepchem_ead.models.encoding import AtomEncoding
from deepchem_ead.models.evaluation import evaluate_model
from deepchem_ead.models.generation import GenerationSettings, generate_batches
from deepchem_ead.models.network import EADNetwork
from deepchem_ead.models.noising import (
    evaluation_nodes,
    evaluation_noise,
    training_nodes,
    training_noise,
)
from deepchem_ead.models.optimizer import take_rate_schedule
from deepchem_ead.models.resumable import ResumableModel

logger = logging.getLogger(__name__)


class EADModel(ResumableModel):
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
        optimizer = take_rate_schedule(overrides, optimizer)
        self.config = EADConfig.load(preset, **overrides)
        self._warn_about_frame()
        self.encoding = AtomEncoding(self.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = EADNetwork(self.config, self.encoding.n_features)
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

    def _prepare_batch(self, batch):
        """Encode molecules and draw their levels and noise (see `EADNetwork.forward`)."""
        inputs, _, weights = batch
        X, ids = inputs[0], self._ids_of(inputs[0])
        training, key = (True, self._global_step) if len(inputs) == 1 else (False, inputs[1])
        n_nodes = fixed_size = None
        if self.config.variable_size:
            counts = self.encoding.count_atoms(X, ids)
            draw_nodes = training_nodes if training else evaluation_nodes
            n_nodes, fixed_size = draw_nodes(counts, self.config, key)
        encoded = self.encoding.encode(X, ids, n_nodes)
        draw_noise = training_noise if training else evaluation_noise
        levels, eps = draw_noise(encoded, self.config, key)
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
            "fixed_size": None
            if fixed_size is None
            else torch.from_numpy(fixed_size[encoded.order]),
            "rank": torch.from_numpy(rank),
        }
        prepared = {k: v if v is None else v.to(self.device) for k, v in prepared.items()}
        if weights is None:
            return prepared, [], []
        weight = torch.from_numpy(row_weights(weights[0])).to(self.device)
        return prepared, [], [weight.unsqueeze(1)]

    def _before_training(self, dataset: Dataset) -> None:
        self._count_sizes(dataset)

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

    # ------------------------------------------------------------------ evaluation

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

    # ------------------------------------------------------------------ trained weights

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

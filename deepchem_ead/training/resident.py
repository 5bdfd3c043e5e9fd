"""Training with everything on the device: data, noise, optimiser, averages and the loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deepchem_ead.generator import pretrained
from deepchem_ead.generator.checkpoint import checkpoint_files
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.locks import hold
from deepchem_ead.optim.rate import rate_factor
from deepchem_ead.training.position import TrainingPosition
from deepchem_ead.training.resident_data import ResidentMolecules
from deepchem_ead.training.resident_step import ResidentStep
from deepchem_ead.training.state import TrainingState


class ResidentTrainer:
    """Trains the network of an `EADModel` without the host in the loop, for a GPU.

    It is the training of `EADModel.fit` (same network, initial weights, loss, clipping, AdamW,
    averages, rate and checkpoint files) with other means: the molecules stay on the device, batches
    all have one shape (see `ResidentMolecules`), noise comes from the device's generator, and the
    host reads nothing but one mean loss a block of steps. On a GPU the step is captured once as a
    CUDA graph and replayed. It needs PyTorch, NumPy, PyYAML and safetensors, neither DeepChem nor
    RDKit.

    Shuffling and noise depend on seed and step only, so on the CPU a run continued from a
    checkpoint gives bit for bit the weights of one that was not interrupted (a run limited by time
    aside, whose learning rate follows the clock). On a GPU sums over a molecule's atoms are made in
    no fixed order, and it agrees to rounding.

    Parameters
    ----------
    X : ndarray, (M, width, 4)
        Molecules as `Molecule3DFeaturizer` makes them.
    config : EADConfig
    model_dir : str or Path, optional
        Folder of checkpoints; none are written without it.
    device : torch.device or str, optional
        A GPU if there is one by default.
    graph : bool
        Capture a CUDA graph. Where that fails, training goes on without and a warning says why.
    block_steps : int
        Steps between two looks at the loss.
    properties : ndarray, (M, P), optional
        What a conditional model is told, in the order of ``config.condition_names``, in the unit
        of the labels, NaN where unknown.

    Raises
    ------
    ValueError
        If the properties do not fit the configuration.

    Examples
    --------
    >>> import numpy as np
    >>> from deepchem_ead.models import EADConfig
    >>> from deepchem_ead.training.resident import ResidentTrainer
    >>> water = [[[0, 0, 0.12, 8], [0, 0.76, -0.48, 1], [0, -0.76, -0.48, 1]]]
    >>> config = EADConfig(n_layers=1, n_features=32, batch_size=4, variable_size=False)
    >>> trainer = ResidentTrainer(np.array(water * 8), config, device="cpu")
    >>> trainer.fit(epochs=2) > 0
    True
    """

    def __init__(
        self,
        X: np.ndarray,
        config: EADConfig,
        model_dir: str | Path | None = None,
        device: torch.device | str | None = None,
        graph: bool = True,
        block_steps: int = 50,
        properties: np.ndarray | None = None,
    ) -> None:
        expected = (len(X), len(config.condition_names))
        found = (len(X), 0) if properties is None else np.shape(properties)
        if found != expected:
            raise ValueError(
                f"conditions={config.conditions!r} needs properties of the shape {expected}, "
                f"not {found}"
            )
        if block_steps < 1:
            raise ValueError(f"block_steps must be at least 1, not {block_steps}")
        self.config = config
        self.model_dir = None if model_dir is None else Path(model_dir)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.block_steps = block_steps
        encoding = AtomEncoding(config)
        self.molecules = ResidentMolecules(X, encoding, config, self.device, properties)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = EADNetwork(config, encoding)
        sizes = np.bincount(self.molecules.counts, minlength=config.max_atoms + 1)
        network.size_counts.copy_(torch.from_numpy(sizes))
        if network.statistics is not None:
            network.statistics.measure(self.molecules.properties, self.molecules.counts)
        self._step = ResidentStep(network, self.molecules, config, self.device, graph)
        self.network = network
        #: Steps made, and seconds they took.
        self.global_step, self.elapsed = 0, 0.0

    # ------------------------------------------------------------------ running

    def fit(
        self,
        epochs: int | None = None,
        minutes: float | None = None,
        pause_after: float | None = None,
        checkpoint_minutes: float = 2.0,
        report: Callable[[dict], None] | None = None,
    ) -> float:
        """Train until the run is over.

        Parameters
        ----------
        epochs : int, optional
            Epochs of the whole run, from its first step.
        minutes : float, optional
            Time of the whole run, counted over a restored run's earlier parts. The run ends, and
            the rate's decay with it, with the first of the two.
        pause_after : float, optional
            Minutes after which this call returns although the run is not over; ``restore`` and
            ``fit`` with the same arguments continue it.
        checkpoint_minutes : float
            Time between two checkpoints; one is always written at the end.
        report : callable, optional
            Called after each block with a dict of step, epoch, seconds and loss, its mean.

        Returns
        -------
        float
            Mean loss of the last block.

        Raises
        ------
        ValueError
            If neither epochs nor minutes are given.
        FloatingPointError
            If the loss is not a finite number. No checkpoint is written.
        InUseError
            If another process, or another thread, is training in ``model_dir``.
        """
        if epochs is None and minutes is None:
            raise ValueError("give epochs, minutes or both")
        if self.model_dir is None:
            return self._fit(epochs, minutes, pause_after, checkpoint_minutes, report)
        self.model_dir.mkdir(parents=True, exist_ok=True)
        with hold(self.model_dir, "training in it"):
            return self._fit(epochs, minutes, pause_after, checkpoint_minutes, report)

    def _fit(
        self,
        epochs: int | None,
        minutes: float | None,
        pause_after: float | None,
        checkpoint_minutes: float,
        report: Callable[[dict], None] | None,
    ) -> float:
        steps_per_epoch = self.molecules.steps_per_epoch
        total_steps = None if epochs is None else epochs * steps_per_epoch
        began, before, saved = time.perf_counter(), self.elapsed, self.elapsed
        loss = float("nan")
        while not self._over(total_steps, minutes):
            if pause_after is not None and self.elapsed - before >= 60 * pause_after:
                break
            epoch, row = divmod(self.global_step, steps_per_epoch)
            length = min(self.block_steps - row % self.block_steps, steps_per_epoch - row)
            # The last number keeps these seeds apart from others of the same seed and step.
            self._step.begin(epoch, row, (self.config.seed, self.global_step, 3))
            for _ in range(length):
                rate = self.config.learning_rate * self._factor(total_steps, minutes)
                self._step.rate.fill_(rate)
                self._step.advance()
                self.global_step += 1
            loss = float(self._step.loss_sum) / length  # the only wait for the device
            self.elapsed = before + time.perf_counter() - began
            if not np.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in the {length} steps before {self.global_step}; lower "
                    "the learning rate and continue from the last checkpoint"
                )
            if report is not None:
                report(
                    {
                        "step": self.global_step,
                        "epoch": self.global_step / steps_per_epoch,
                        "seconds": self.elapsed,
                        "loss": loss,
                    }
                )
            if self.elapsed - saved >= 60 * checkpoint_minutes:
                self.save_checkpoint()
                saved = self.elapsed
        self.save_checkpoint(finished=self._over(total_steps, minutes))
        return loss

    def _over(self, total_steps: int | None, minutes: float | None) -> bool:
        late = minutes is not None and self.elapsed >= 60 * minutes
        return late or (total_steps is not None and self.global_step >= total_steps)

    def _factor(self, total_steps: int | None, minutes: float | None) -> float:
        config = self.config
        by_steps = 0.0 if total_steps is None else self.global_step / total_steps
        by_time = 0.0 if minutes is None else self.elapsed / (60 * minutes)
        return rate_factor(
            config.learning_rate_decay,
            config.warmup_steps,
            self.global_step,
            max(by_steps, by_time),
        )

    # ------------------------------------------------------------------ files

    def save_checkpoint(self, finished: bool = False, keep: int = 2) -> None:
        """Write a checkpoint that this class and `EADModel.restore` read."""
        if self.model_dir is None:
            return
        optimizer = self._step.optimizer.state_dict()
        # As the optimiser of EADModel.fit has them.
        plain = {"lr": float(self._step.rate), "fused": None, "capturable": False}
        optimizer["param_groups"] = [{**group, **plain} for group in optimizer["param_groups"]]
        n_batches = self.molecules.steps_per_epoch
        epoch, batch = divmod(self.global_step, n_batches)
        position = TrainingPosition(epoch, batch, n_batches, 0, self.elapsed, finished)
        state = TrainingState(self.global_step, position, self.network.state_dict(), optimizer)
        state.write(self.model_dir, self.config, keep)

    def restore(self) -> bool:
        """Continue from the newest good checkpoint of ``model_dir``; False if there is none.

        Raises
        ------
        CheckpointError
            If none of its checkpoints can be read, or the newest good one belongs to another
            configuration.
        """
        candidates = self._checkpoints()
        if not candidates:
            return False
        state = TrainingState.read(candidates, self.config, self.network)
        self.network.load_state_dict(state.weights)
        optimizer = self._step.optimizer
        # Its own groups: the step needs the rate as a tensor, and a graph what can be captured.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({**state.optimizer, "param_groups": groups})
        optimizer.param_groups[0]["lr"] = self._step.rate
        self._step.forget_graph()  # the optimiser has new tensors
        self.global_step, self.elapsed = state.global_step, state.position.elapsed
        return True

    def _checkpoints(self) -> list[Path]:
        return [] if self.model_dir is None else checkpoint_files(self.model_dir)

    def save_pretrained(self, directory: str | Path, card: str | None = None) -> None:
        """Write what generation needs, for `EADModel.from_pretrained`."""
        tensors = self.network.averaged_tensors()
        pretrained.save(directory, tensors, self.config, self.global_step, card)

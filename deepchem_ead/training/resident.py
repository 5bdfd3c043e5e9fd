"""Training with everything on the device: data, noise, optimiser, averages and the loss."""

from __future__ import annotations

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
from deepchem_ead.training.estimates import prepare_estimates
from deepchem_ead.training.gradients import GradientWatch, median_norm
from deepchem_ead.training.hooks import hang_on
from deepchem_ead.training.placement import ResidentPlacement
from deepchem_ead.training.position import TrainingPosition
from deepchem_ead.training.resident_data import ResidentMolecules
from deepchem_ead.training.run import TrainingRun, train
from deepchem_ead.training.state import TrainingState, kept_estimates, load_estimates
from deepchem_ead.training.step import TrainingStep, weighted_mean
from deepchem_ead.training.world import World

#: Epochs of a run that only time ends.
ENDLESS = 10**9


class ResidentTrainer:
    """Trains the network of an `EADModel` without the host in the loop, and without DeepChem.

    It is the training of `EADModel.fit` with ``placement="resident"`` (same loop, batches, noise,
    initial weights, loss, clipping, AdamW, averages, rate and checkpoint files), but the host reads
    nothing but one mean loss a block of steps. On a GPU the step is captured once as a
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
    world : World
        The processes that train together.

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
        world: World = World(),  # noqa: B008  (a record that never changes)
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
            as_given = np.argsort(self.molecules.rows)  # sums in the order of `EADModel.fit`
            network.statistics.measure(
                self.molecules.properties[as_given], self.molecules.counts[as_given]
            )
        prepare_estimates(network, encoding, [(X, None)])
        self.network = network.to(self.device).train()
        on_gpu = self.device.type == "cuda"
        #: Learning rate of the next step: a tensor, which a graph can hold.
        self.rate = torch.tensor(
            config.learning_rate,
            device=self.device,
            dtype=torch.float32 if on_gpu else torch.float64,  # as `EADModel.fit` has it
        )
        optimizer = torch.optim.AdamW(
            [p for p in network.parameters() if p.requires_grad],
            lr=self.rate,
            weight_decay=config.weight_decay,
            amsgrad=config.amsgrad,
            fused=True,
            capturable=on_gpu,
        )
        hang_on(optimizer, network, rate=None)
        placement = ResidentPlacement(self.molecules, config, network.denoiser.equivariant)
        self._step = TrainingStep(
            self.network,
            optimizer,
            weighted_mean,
            placement,
            world,
            graph=placement.generator if graph else None,
        )
        #: Steps made, and how far they are in the run.
        self.global_step, self.position = 0, TrainingPosition()

    @property
    def elapsed(self) -> float:
        """Seconds of training."""
        return self.position.elapsed

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
            Called after each block with a dict of step, epoch, seconds, loss, its mean,
            and gradient_norm, the median of the last 50 steps before clipping.

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
        position = self.position
        if self._over(epochs, minutes):
            return float("nan")
        # The run is the whole one, from the first step, whoever made the steps until now.
        position.epoch, position.batch = divmod(self.global_step, steps_per_epoch)
        position.start_step, position.finished = 0, False
        remaining = ENDLESS if epochs is None else epochs - position.epoch
        run = TrainingRun(position, steps_per_epoch, remaining, self.global_step, minutes)
        began = saved = position.elapsed
        loss, counted, step = float("nan"), 0, self._step
        step.forget_losses()
        watch = GradientWatch(self.network, self.model_dir, self.config.learning_rate)

        def set_rate(global_step: int) -> None:
            config, progress = self.config, run.progress(global_step)
            factor = rate_factor(
                config.learning_rate_decay, config.warmup_steps, global_step, progress
            )
            self.rate.fill_(config.learning_rate * factor)

        def after(global_step: int) -> None:
            nonlocal counted
            self.global_step, counted = global_step, counted + 1
            row = global_step % steps_per_epoch
            if row % self.block_steps == 0 or row == 0:
                look(global_step)

        def look(global_step: int) -> None:
            nonlocal loss, counted, saved
            loss = float(step.loss_sum) / counted  # the only wait for the device
            if not np.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in the {counted} steps before {global_step}; lower the "
                    "learning rate and continue from the last checkpoint"
                )
            step.forget_losses()
            counted = 0
            watch.look(global_step)
            if report is not None:
                report(
                    {
                        "step": global_step,
                        "epoch": global_step / steps_per_epoch,
                        "seconds": position.elapsed,
                        "loss": loss,
                        "gradient_norm": median_norm(self.network),
                    }
                )
            if position.elapsed - saved >= 60 * checkpoint_minutes:
                self.save_checkpoint()
                saved = position.elapsed
            if pause_after is not None and position.elapsed - began >= 60 * pause_after:
                run.stop()

        train(run, step, self.global_step, after, set_rate)
        if counted:  # time ended the run within a block
            look(self.global_step)
        self.save_checkpoint(finished=self._over(epochs, minutes))
        return loss

    def _over(self, epochs: int | None, minutes: float | None) -> bool:
        late = minutes is not None and self.elapsed >= 60 * minutes
        done = epochs is not None and self.global_step >= epochs * self.molecules.steps_per_epoch
        return late or done

    # ------------------------------------------------------------------ files

    def save_checkpoint(self, finished: bool = False, keep: int = 2) -> None:
        """Write a checkpoint that this class and `EADModel.restore` read."""
        if self.model_dir is None:
            return
        optimizer = self._step.optimizer.state_dict()
        # As the optimiser of EADModel.fit has them.
        plain = {"lr": float(self.rate), "fused": None, "capturable": False}
        optimizer["param_groups"] = [{**group, **plain} for group in optimizer["param_groups"]]
        n_batches = self.molecules.steps_per_epoch
        epoch, batch = divmod(self.global_step, n_batches)
        position = TrainingPosition(
            epoch, batch, n_batches, 0, self.elapsed, finished, placement="resident"
        )
        state = TrainingState(
            self.global_step, position, self.network.state_dict(), optimizer,
            estimates=kept_estimates(self.network),
        )  # fmt: skip
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
        load_estimates(self.network, state.estimates)
        optimizer = self._step.optimizer
        # Its own groups: the step needs the rate as a tensor, and a graph what can be captured.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({**state.optimizer, "param_groups": groups})
        optimizer.param_groups[0]["lr"] = self.rate
        self._step.forget_graph()  # the optimiser has new tensors
        self.global_step, self.position = state.global_step, state.position
        return True

    def _checkpoints(self) -> list[Path]:
        return [] if self.model_dir is None else checkpoint_files(self.model_dir)

    def save_pretrained(self, directory: str | Path, card: str | None = None) -> None:
        """Write what generation needs, for `EADModel.from_pretrained`."""
        tensors = self.network.averaged_tensors()
        pretrained.save(directory, tensors, self.config, self.global_step, card)

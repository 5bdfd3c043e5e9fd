"""The whole state of training as one file: the same, wherever data lie and whoever steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator.checkpoint import (
    check_shapes,
    flatten_optimizer,
    prefixed,
    unflatten_optimizer,
    without_prefix,
    write_checkpoint,
)
from deepchem_ead.generator.compact import read_checkpoint
from deepchem_ead.generator.settings import Settings
from deepchem_ead.training.position import TrainingPosition

logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """What a checkpoint holds.

    Attributes
    ----------
    global_step : int
        Steps made.
    position : TrainingPosition
        Where in its run.
    weights : dict of str to Tensor
        State of the network: weights, averages and all else that it keeps.
    optimizer : dict
        State of the PyTorch optimizer.
    rate_schedule : dict, optional
        State of a DeepChem learning rate schedule, where there is one.
    estimates : dict of str to Tensor
        What the network said of each training molecule (`LastEstimates.tensors`), where that is
        kept.
    """

    global_step: int
    position: TrainingPosition
    weights: dict[str, Tensor]
    optimizer: dict
    rate_schedule: dict | None = None
    estimates: dict[str, Tensor] = field(default_factory=dict)

    def write(self, folder: str | Path, config: Settings, keep: int) -> None:
        """Write the newest checkpoint of a folder, which keeps ``keep`` of them."""
        optimizer, groups = flatten_optimizer(self.optimizer)
        tensors = prefixed("model", self.weights) | prefixed("optimizer", optimizer)
        tensors |= prefixed("estimates", self.estimates)
        data = {
            "config": config.to_dict(),
            "global_step": self.global_step,
            "position": asdict(self.position),
            "optimizer_groups": groups,
            "rate_schedule": self.rate_schedule,
        }
        write_checkpoint(folder, self.global_step, tensors, data, keep)

    @classmethod
    def read(
        cls, candidates: Sequence[str | Path], config: Settings, network: nn.Module
    ) -> TrainingState:
        """The first good checkpoint of several, which must fit the network.

        A damaged one is passed over with a warning if others follow.

        Raises
        ------
        CheckpointError
            If none can be read, or the first good one belongs to another configuration.
        """
        for k, path in enumerate(candidates):
            try:
                tensors, data = read_checkpoint(path)
                break
            except CheckpointError as error:
                if k == len(candidates) - 1:
                    raise
                logger.warning("%s; falling back to %s", error, candidates[k + 1])
        check_config(config, data["config"], path)
        weights = without_prefix("model", tensors)
        check_shapes(weights, network.state_dict(), str(path))
        return cls(
            data["global_step"],
            TrainingPosition(**data["position"]),
            weights,
            unflatten_optimizer(without_prefix("optimizer", tensors), data["optimizer_groups"]),
            data["rate_schedule"],
            without_prefix("estimates", tensors),
        )


def check_config(config: Settings, stored: dict, source: str | Path) -> None:
    """Refuse stored weights of another configuration.

    Raises
    ------
    CheckpointError
        Naming every difference that forbids an exchange.
    """
    differences = config.structural_differences(type(config).from_stored(stored))
    if differences:
        listed = "; ".join(
            f"{k} is {mine!r} here and {theirs!r} there"
            for k, (mine, theirs) in differences.items()
        )
        raise CheckpointError(f"{source} belongs to another configuration: {listed}")


def kept_estimates(network: nn.Module) -> dict[str, Tensor]:
    """What a network keeps of what it said of training molecules, if it does."""
    kept = getattr(network, "last_estimates", None)
    return {} if kept is None else kept.tensors()


def load_estimates(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """What `kept_estimates` gave, into a network that keeps some."""
    kept = getattr(network, "last_estimates", None)
    if kept is not None:
        kept.load(tensors)

"""Trained weights, for a model of the same kind or one that is told more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deepchem_ead.errors import CheckpointError
from deepchem_ead.models import pretrained
from deepchem_ead.models.checkpoint import check_shapes, without_prefix
from deepchem_ead.models.compact import read_checkpoint
from deepchem_ead.models.conditions import ConditionEmbedding
from deepchem_ead.models.config import EADConfig
from deepchem_ead.models.encoding import AtomEncoding
from deepchem_ead.models.network import EADNetwork, context_columns, input_columns

#: Fields in which a model may differ from the one it starts from: none of them rescales what the
#: network reads, they only add columns, of context or, behind them, of a previous estimate.
MAY_DIFFER = (
    "max_atoms", "dummy_padding", "p_fixed_size", "conditions", "self_conditioning", "composition",
    "gradient_clipping",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainedWeights:
    """Averaged weights of a trained model.

    Attributes
    ----------
    source : str
        Where they come from.
    config : EADConfig
    denoiser, embedding, statistics : dict of str to Tensor
        State of the parts of an `EADNetwork`; the last two are empty for an unconditional model.
    size_counts : Tensor, (max_atoms + 1,)
    """

    source: str
    config: EADConfig
    denoiser: dict[str, Tensor]
    embedding: dict[str, Tensor]
    statistics: dict[str, Tensor]
    size_counts: Tensor

    @classmethod
    def read(cls, source: str | Path) -> TrainedWeights:
        """Read a checkpoint file, or what `from_pretrained` accepts.

        Raises
        ------
        CheckpointError
            If there is no such model or its files are damaged.
        """
        if not str(source).endswith(".safetensors"):
            return cls.from_pretrained(source)
        tensors, data = read_checkpoint(source)
        state = without_prefix("model", tensors)
        return cls(
            str(source),
            EADConfig.from_stored(data["config"]),
            _below("average.module.", state),
            _below("embedding_average.module.", state),
            _below("statistics.", state),
            state["size_counts"],
        )

    @classmethod
    def from_pretrained(cls, name: str | Path) -> TrainedWeights:
        """Read a folder written by ``save_pretrained``; see `pretrained.load`."""
        tensors, config = pretrained.load(name)
        return cls(
            str(name),
            config,
            without_prefix("denoiser", tensors),
            without_prefix("embedding", tensors),
            _below("statistics.", tensors),
            tensors["size_counts"],
        )

    def load_into(self, network: EADNetwork, config: EADConfig) -> None:
        """Give a network these weights, with zeros for what it is told and this one was not.

        What the first maps of a denoiser read and those of the source do not is multiplied with
        zero to begin with, so that the network computes what the source computes (as long as it is
        given no previous estimate).

        Raises
        ------
        CheckpointError
            If the models differ in anything else; nothing is loaded then.
        """
        differences = {
            name: pair
            for name, pair in config.structural_differences(self.config).items()
            if name not in MAY_DIFFER
        }
        context, theirs = (tuple(context_columns(c)) for c in (config, self.config))
        if context[: len(theirs)] != theirs:
            differences["context"] = (", ".join(context) or "nothing", ", ".join(theirs))
        columns, source_columns = (input_columns(c, AtomEncoding(c)) for c in (config, self.config))
        for name in ("self_conditioning", "composition"):
            if getattr(self.config, name) and not getattr(config, name):
                differences[name] = (False, True)
        if differences:
            listed = "; ".join(
                f"{name} is {mine!r} here and {other!r} there"
                for name, (mine, other) in differences.items()
            )
            raise CheckpointError(
                f"a model cannot start from {self.source}: {listed}. It may only be told more: "
                "conditions after those of the source, or a flag for fixed sizes if the source "
                "has no conditions"
            )
        denoiser = widened(
            self.denoiser, network.denoiser.state_dict(), self.source, source_columns, columns
        )
        for module in (network.denoiser, network.average.module):
            module.load_state_dict(denoiser)
        if not self.embedding:
            return
        n = len(self.config.condition_names)
        with torch.device("meta"):
            check_shapes(self.embedding, ConditionEmbedding(n).state_dict(), self.source)
        for module in (network.embedding, network.embedding_average.module):
            state = module.state_dict()
            state["null"][:n] = self.embedding["null"]
            state.update({k: v for k, v in self.embedding.items() if k != "null"})
            module.load_state_dict(state)
        for name in ("mean", "mad"):
            getattr(network.statistics, name)[:n] = self.statistics[name]

    def load_counts_into(self, network: EADNetwork) -> None:
        """Give a network of the same configuration what was counted in the training data."""
        network.size_counts.copy_(self.size_counts)
        if network.statistics is not None:
            check_shapes(self.statistics, network.statistics.state_dict(), self.source)
            network.statistics.load_state_dict(self.statistics)


def widened(
    found: dict[str, Tensor],
    expected: dict[str, Tensor],
    source: str,
    source_columns: dict[str, int],
    columns: dict[str, int],
) -> dict[str, Tensor]:
    """Weights with zeros in those columns of a network's input that the source does not have.

    Parameters
    ----------
    found, expected : dict of str to Tensor
        The source's weights, and weights of the shapes to come.
    source : str
    source_columns, columns : dict of str to int
        Their inputs' columns, see `input_columns`.

    Raises
    ------
    CheckpointError
        Listing what differs in any other way.
    """
    widths = tuple(sum(c.values()) for c in (source_columns, columns))
    out = {}
    for name, tensor in found.items():
        target = expected.get(name)
        if target is not None and (tensor.shape[-1], target.shape[-1]) == widths:
            parts = dict(
                zip(source_columns, tensor.split(list(source_columns.values()), -1), strict=True)
            )
            zeros = {k: tensor.new_zeros((*tensor.shape[:-1], n)) for k, n in columns.items()}
            tensor = torch.cat([parts.get(k, zeros[k]) for k in columns], -1)
        out[name] = tensor
    check_shapes(out, expected, source)
    return out


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

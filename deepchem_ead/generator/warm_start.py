"""Trained weights, for a model of the same kind or one that is told more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rdkit import Chem
from torch import Tensor, nn

from deepchem_ead.chem.elements import parse_elements, symbol_of
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator import pretrained
from deepchem_ead.generator.checkpoint import check_shapes, without_prefix
from deepchem_ead.generator.compact import read_checkpoint
from deepchem_ead.generator.conditions import ConditionEmbedding
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import (
    FIXED_SIZE,
    EADNetwork,
    Label,
    context_columns,
    input_labels,
    output_labels,
)

#: Maps that read a denoiser's input.
INPUT_MAPS = ("embedding.", "condition.0.")
#: The last map of a denoiser, whose rows say something about types.
OUTPUT_MAP = "embedding_out."
#: What a denoiser learns from tags of centres, and what else reads of the stereo.
STEREO_PART, PAIR_MAPS = "handedness.", (".pair.told", "pair_outputs.told.weight")
#: By how much a new element's logit is below that of its relative: it takes 2 % of the relative's
#: atoms to begin with.
RARER = 4.0


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
        given no previous estimate). Conditions that only the source has count as not known, for
        good. Elements that the source does not know begin as their closest relative that it does
        know (sulfur as oxygen, bromine as fluorine).

        Raises
        ------
        CheckpointError
            If the models differ in anything else; nothing is loaded then.
        """
        differences = {
            name: pair
            for name, pair in config.structural_differences(self.config).items()
            if name not in EADConfig.fields_that("may widen")
        }
        unknown = set(parse_elements(self.config.elements)) - set(parse_elements(config.elements))
        if unknown:
            differences["elements"] = (config.elements, self.config.elements)
        flag, their_flag = (FIXED_SIZE in context_columns(c) for c in (config, self.config))
        if their_flag and not flag:
            differences["p_fixed_size"] = (config.p_fixed_size, self.config.p_fixed_size)
        for name in ("self_conditioning", "composition", "stereo"):
            if getattr(self.config, name) and not getattr(config, name):
                differences[name] = (False, True)
        if differences:
            listed = "; ".join(
                f"{name} is {mine!r} here and {other!r} there"
                for name, (mine, other) in differences.items()
            )
            raise CheckpointError(
                f"a model cannot start from {self.source}: {listed}. It may have more elements, "
                "other conditions, another max_atoms or a flag for fixed sizes, but no other shape"
            )
        nulls = dict(zip(self.config.condition_names, self.embedding.get("null", ()), strict=True))
        denoiser = widened(
            self.denoiser, network.denoiser.state_dict(), self.source, self.config, config, nulls
        )
        for module in (network.denoiser, network.average.module):
            module.load_state_dict(denoiser)
        shared = [name for name in config.condition_names if name in nulls]
        if not shared:
            return
        n = len(nulls)
        with torch.device("meta"):
            check_shapes(self.embedding, ConditionEmbedding(n).state_dict(), self.source)
        for name in shared:
            here, there = (c.condition_names.index(name) for c in (config, self.config))
            for module in (network.embedding, network.embedding_average.module):
                with torch.no_grad():
                    module.null[here] = nulls[name]
                module.values[here].load_state_dict(_below(f"values.{there}.", self.embedding))
            for statistic in ("mean", "mad"):
                getattr(network.statistics, statistic)[here] = self.statistics[statistic][there]

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
    source_config: EADConfig,
    config: EADConfig,
    nulls: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Weights with columns and rows for what the source is not told.

    Parameters
    ----------
    found, expected : dict of str to Tensor
        The source's weights, and weights of the shapes to come.
    source : str
    source_config, config : EADConfig
        Of the source, and of what is to come.
    nulls : dict of str to Tensor
        What the source is told where it does not know a condition.

    Raises
    ------
    CheckpointError
        Listing what differs in any other way.
    """
    encodings = AtomEncoding(source_config), AtomEncoding(config)
    known, wanted = (
        input_labels(c, e) for c, e in zip((source_config, config), encodings, strict=True)
    )
    relatives = _relatives(*encodings)
    columns = _places(known, wanted, relatives)
    rows = _places(*(output_labels(encoding) for encoding in encodings), relatives)
    dropped = {
        known.index((f"context: {name}", 0)): null
        for name, null in nulls.items()
        if name not in config.condition_names
    }
    out = {}
    for name, tensor in found.items():
        target = expected.get(name)
        if target is not None:
            weight = found.get(f"{name.removesuffix('bias')}weight")
            if name.endswith("bias") and _reads(name, weight, known):
                for first, null in dropped.items():
                    tensor = tensor + weight[:, first : first + len(null)] @ null
            elif _reads(name, tensor, known) and _reads(name, target, wanted):
                # What a network adds to its input by itself comes behind it.
                n = len(known)
                tensor = torch.cat([_gathered(tensor[:, :n], columns, -1), tensor[:, n:]], -1)
            if config.stereo and not source_config.stereo and tensor.dim() == 2:
                # What is told of the stereo comes last, of atoms as of pairs.
                more = max(target.shape[1] - tensor.shape[1], 0) * _reads_stereo(name)
                tensor = nn.functional.pad(tensor, (0, more))
            if name.startswith(OUTPUT_MAP):
                # Networks that are not equivariant give the positions' three outputs first.
                n_positions = len(tensor) - len(output_labels(encodings[0]))
                features = _gathered(tensor[n_positions:], rows, 0)
                if name == f"{OUTPUT_MAP}bias":
                    new = [label in relatives for _, label in output_labels(encodings[1])]
                    features[torch.tensor(new)] -= RARER
                tensor = torch.cat([tensor[:n_positions], features])
        out[name] = tensor
    if config.stereo and not source_config.stereo:  # their last maps are zero to begin with
        new = (name for name in expected if name.startswith(STEREO_PART))
        out |= {name: expected[name].clone() for name in new}
    check_shapes(out, expected, source)
    return out


def _reads(name: str, weight: Tensor | None, labels: list[Label]) -> bool:
    """Whether a weight is of a map that reads the denoiser's input."""
    if weight is None or weight.dim() != 2:
        return False
    width = weight.shape[-1]
    return width == len(labels) or (name.startswith(INPUT_MAPS) and width > len(labels))


def _reads_stereo(name: str) -> bool:
    return name.startswith(INPUT_MAPS) or name.endswith(PAIR_MAPS)


def _relatives(source: AtomEncoding, target: AtomEncoding) -> dict[str, str]:
    """New elements and the known one that each of them resembles most."""
    table = Chem.GetPeriodicTable()
    known = [int(z) for z in source.elements]
    relatives = {}
    for z in map(int, target.elements):
        if z not in known:
            electrons = table.GetNOuterElecs(z)
            closest = min(known, key=lambda k: (abs(table.GetNOuterElecs(k) - electrons), k))
            relatives[symbol_of(z)] = symbol_of(closest)
    return relatives


def _places(known: list[Label], wanted: list[Label], relatives: dict[str, str]) -> list[int | None]:
    """Where each wanted column or row is among the known ones; None if nowhere."""
    place = {label: i for i, label in enumerate(known)}
    return [place.get((part, relatives.get(label, label))) for part, label in wanted]


def _gathered(tensor: Tensor, places: list[int | None], dim: int) -> Tensor:
    """Entries at these places along a dimension, zeros for None."""
    absent = torch.tensor([place is None for place in places])
    index = torch.tensor([place or 0 for place in places])
    result = tensor.index_select(dim, index.to(tensor.device))
    return result.index_fill_(dim, absent.nonzero().flatten().to(tensor.device), 0)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

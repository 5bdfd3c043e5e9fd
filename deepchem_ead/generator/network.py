"""The trainable part of an EAD model: denoiser, its running average and the diffusion process."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from deepchem_ead.chem.kinds import format_kind
from deepchem_ead.denoisers import DENOISERS, InputColumns
from deepchem_ead.diffusion import (
    BOND_COLUMNS,
    BOND_KINDS,
    EVIDENCE_COLUMNS,
    FRAMES,
    N_LEVEL_FEATURES,
    SIGMA_COLUMN,
    STEREO_COLUMNS,
    BondNoise,
    DiffusionProcess,
    DirectObjective,
    atoms_only,
    closed_shell,
    feature_target,
    position_target,
    resolve_symmetry,
    state_width,
)
from deepchem_ead.generator.checkpoint import prefixed
from deepchem_ead.generator.conditions import N_EMBEDDING, ConditionEmbedding, ConditionStatistics
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.last_estimates import LastEstimates
from deepchem_ead.optim.average import RunningAverage
from deepchem_ead.optim.clipping import GradientClipper

#: A column's part of an input or output, and what of it.
Label = tuple[str, str | int]

#: Name of the context's column that says "no dummy atoms here".
FIXED_SIZE = "fixed size"


class EADNetwork(nn.Module):
    """Denoiser with exponential moving average; its forward pass is the loss of each molecule.

    Everything a checkpoint must hold besides the optimiser is a parameter or a buffer of this
    module: weights, averaged weights, the histogram of molecule sizes, the statistics of the
    properties it is conditioned on and the history of gradient norms.

    Parameters
    ----------
    config : EADConfig
    encoding : AtomEncoding
        Of the molecules it will see.
    """

    size_counts: Tensor

    def __init__(self, config: EADConfig, encoding: AtomEncoding) -> None:
        super().__init__()
        self.process = DiffusionProcess(
            config.make_noise_schedule(),
            FRAMES[config.frame](config.position_scale),
            feature_target(config.feature_target, encoding.table),
            position_target(config.position_target, config.position_scale),
            config.level_features,
            config.self_conditioning,
            config.composition,
            config.composition_weight,
            resolve_symmetry(config.symmetry),
            config.channel_levels,
            config.bonds,
            config.bond_weight,
            direct_objective(config),
            config.stereo,
            BondNoise(1 / config.type_scale) if config.bond_noise else None,
        )
        self._odd, self._n_elements = encoding.odd, encoding.n_kinds
        #: The context has a column that says "no dummy atoms here".
        self.flags_fixed_size = FIXED_SIZE in context_columns(config)
        n_conditions = len(config.condition_names)
        #: Columns of `context`.
        self.n_context = sum(context_columns(config).values())
        columns = input_columns(config, encoding)
        sigma = None
        if config.level_features in SIGMA_COLUMN:
            before = columns["features"] + columns["evidence"]
            sigma = before + SIGMA_COLUMN[config.level_features]
        labels = tuple(input_labels(config, encoding))
        told = {**self.process.frame.pair_columns}
        told |= BOND_COLUMNS if config.bonds else {}
        told |= EVIDENCE_COLUMNS if config.bond_noise else {}
        told |= STEREO_COLUMNS if config.stereo else {}
        seen = InputColumns(columns, sigma, labels, told, config.stereo)
        network = DENOISERS[config.denoiser]
        says = {"n_pair_outputs": len(BOND_KINDS)} if config.bonds else {}
        self.denoiser = network.build(seen, encoding.n_features, config.network_options, **says)
        self.average = RunningAverage(self.denoiser, config.ema_decay)
        self.embedding = self.embedding_average = self.statistics = None
        if n_conditions:
            self.embedding = ConditionEmbedding(n_conditions)
            self.embedding_average = RunningAverage(self.embedding, config.ema_decay)
            self.statistics = ConditionStatistics(config.condition_names, config.max_atoms)
        self.clipper = GradientClipper(config.clipping_rule) if config.gradient_clipping else None
        #: What it said of each training molecule, with the direct objective.
        self.last_estimates: LastEstimates | None = None
        if self.process.direct is not None:
            self.last_estimates = LastEstimates(state_width(encoding.n_features))
        # Entry n counts the training molecules of n atoms.
        self.register_buffer("size_counts", torch.zeros(config.max_atoms + 1, dtype=torch.int64))

    def _apply(self, fn, recurse: bool = True) -> EADNetwork:
        """Tables follow the weights: on the host they would be copied to the device every time."""
        super()._apply(fn, recurse)
        self.process = self.process.to(self.size_counts.device)
        return self

    @property
    def sampling_denoiser(self) -> nn.Module:
        """The denoiser with averaged weights."""
        return self.average.module

    def sampling_process(self, closed_shells: bool, fixed_size: bool) -> DiffusionProcess:
        """The process with estimates for the molecules that are asked for.

        Parameters
        ----------
        closed_shells : bool
            Molecules have an even number of electrons.
        fixed_size : bool
            Every node is an atom.

        Raises
        ------
        ValueError
            If closed shells are asked for and the network does not predict types.
        """
        features = self.process.features
        if fixed_size:
            features = atoms_only(features, self._n_elements)
        if closed_shells:
            features = closed_shell(features, self._odd.to(self.size_counts.device))
        return replace(self.process, features=features)

    def context(
        self,
        fixed_size: Tensor | None = None,
        conditions: Tensor | None = None,
        averaged: bool = True,
    ) -> Tensor | None:
        """What the denoiser is told about each molecule, (B, K), or None if nothing.

        First, in models that are told, a column that is 1 where every node is an atom; then the
        embedded properties.

        Parameters
        ----------
        fixed_size : Tensor, (B,) bool
            Molecules in which every node is an atom. Only for models that are told.
        conditions : Tensor, (B, P) float64
            Properties in the unit of the training labels, NaN where unknown. Only for models with
            conditions.
        averaged : bool
            Embed properties with the averaged weights, which go with `sampling_denoiser`.
        """
        columns = []
        if self.flags_fixed_size:
            columns.append(fixed_size.to(torch.float32).unsqueeze(1))
        if self.embedding is not None:
            embedding = self.embedding_average.module if averaged else self.embedding
            columns.append(embedding(self.statistics.normalise(conditions)))
        return torch.cat(columns, 1) if columns else None

    def averaged_tensors(self) -> dict[str, Tensor]:
        """What generation needs, by the names of a pretrained model's file."""
        tensors = prefixed("denoiser", self.sampling_denoiser.state_dict())
        tensors["size_counts"] = self.size_counts
        if self.embedding is not None:
            tensors |= prefixed("embedding", self.embedding_average.module.state_dict())
            statistics = self.statistics.state_dict()
            tensors |= {f"statistics.{name}": tensor for name, tensor in statistics.items()}
        return tensors

    def forward(self, batch: dict) -> Tensor:
        """Denoising loss of each molecule, (B, 1), in the order of the input rows.

        Trains on the denoiser's own weights, evaluates the averaged ones.

        Parameters
        ----------
        batch : dict
            ``clean`` (A, 3 + F), ``levels`` (A,), ``eps`` (A, 3 + F), ``layout``, ``node_weight``
            (A,) or None, ``earlier`` (an `EarlierState` or None), ``bonds`` (`Bonds` or None),
            ``stereo`` (`Stereo` or None), ``fixed_size`` (B,) and ``conditions`` (B, P) or None
            (see `context`), and ``rank`` (B,): the layout's molecule of each input row. With the
            direct objective also ``items`` and ``told`` (B,), and ``turns`` (B, 3, 3) or None (see
            `LastEstimates`).
        """
        denoiser = self.denoiser if self.training else self.sampling_denoiser
        earlier, keeps = batch["earlier"], self.last_estimates if self.training else None
        items, layout, turns = batch["items"], batch["layout"], batch["turns"]
        if keeps is not None and items is not None:
            earlier = keeps.of(items, batch["told"], layout, turns)
        loss, found = self.process.loss_and_estimate(
            denoiser,
            batch["clean"],
            batch["levels"],
            batch["eps"],
            layout,
            batch["node_weight"],
            self.context(batch["fixed_size"], batch["conditions"], averaged=not self.training),
            earlier,
            batch["bonds"],
            batch["stereo"],
        )
        if keeps is not None and items is not None and found is not None:
            keeps.propose(items, found, layout, turns)
        return loss[batch["rank"]].unsqueeze(1)

    def before_optimizer_step(self) -> None:
        """Clip the gradients."""
        if self.clipper is not None:
            trained = [module for module in (self.denoiser, self.embedding) if module is not None]
            parameters = [p for module in trained for p in module.parameters()]
            self.clipper(p for p in parameters if p.grad is not None)

    def after_optimizer_step(self) -> None:
        """Update the averaged weights, and keep the estimates of the molecules of the step."""
        if self.last_estimates is not None:
            self.last_estimates.commit()
        self.average.update_parameters(self.denoiser)
        if self.embedding is not None:
            self.embedding_average.update_parameters(self.embedding)


def direct_objective(config: EADConfig) -> DirectObjective | None:
    """What the direct objective is made of; None with another.

    A network that is told of stereo has to tell mirror images apart.
    """
    if config.objective != "direct":
        return None
    return DirectObjective(config.guide_floor, config.huber_width, mirrored=not config.stereo)


def context_columns(config: EADConfig) -> dict[str, int]:
    """What the columns of `EADNetwork.context` say, in their order, and how many say it."""
    flag = {FIXED_SIZE: 1} if config.variable_size and config.p_fixed_size > 0 else {}
    return flag | dict.fromkeys(config.condition_names, N_EMBEDDING)


def input_columns(config: EADConfig, encoding: AtomEncoding) -> dict[str, int]:
    """What the columns of a denoiser's input say, in their order, and how many say it.

    The order is that of `DiffusionProcess.predict_noise` and `EADNetwork.context`.
    """
    target = feature_target(config.feature_target, encoding.table)
    columns = {
        "features": encoding.n_features,
        "evidence": target.n_evidence,
        "level": N_LEVEL_FEATURES[config.level_features],
    }
    if config.channel_levels:
        columns["level of kinds"] = N_LEVEL_FEATURES[config.level_features]
    columns |= {f"context: {name}": n for name, n in context_columns(config).items()}
    if config.self_conditioning:
        columns["previous estimate"] = encoding.n_features + 1
    if config.composition:
        columns["composition"] = target.n_evidence
        if config.self_conditioning:
            columns["estimated composition"] = encoding.n_features
    return columns


def input_labels(config: EADConfig, encoding: AtomEncoding) -> list[Label]:
    """One label for each column of a denoiser's input: its part of `input_columns`, and what of it.

    Columns of an element have its symbol, whatever the order of the vocabulary.
    """
    features, types = _feature_labels(encoding), _feature_labels(encoding)[: encoding.n_types]
    by_element = {
        "features": features,
        "evidence": types,
        "previous estimate": [*features, "known"],
        "composition": types,
        "estimated composition": features,
    }
    return [
        (part, label)
        for part, n in input_columns(config, encoding).items()
        for label in by_element.get(part, range(n))[:n]
    ]


def output_labels(encoding: AtomEncoding) -> list[Label]:
    """One label for each of a denoiser's invariant outputs."""
    return [("output", label) for label in [*_feature_labels(encoding), "unused"]]


def _feature_labels(encoding: AtomEncoding) -> list[str]:
    types = [*map(format_kind, encoding.kinds)] + ["dummy"] * encoding.has_dummies
    return types + ["charge"] * (encoding.n_features - encoding.n_types)

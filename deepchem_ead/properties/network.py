"""The network of a property model: EGNN on fixed coordinates, read-out and label statistics."""

from __future__ import annotations

import math
from dataclasses import asdict, fields

import torch
from torch import Tensor, nn

from deepchem_ead.denoisers.egnn import MessagePass, by_rows
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.generator.checkpoint import check_shapes, prefixed, without_prefix
from deepchem_ead.kernels.egnn_backend import EdgeBackend
from deepchem_ead.optim.average import RunningAverage
from deepchem_ead.optim.clipping import GradientClipper
from deepchem_ead.properties.config import PropertyConfig
from deepchem_ead.properties.labels import LabelStatistics

#: Ranges in Angstrom within which the hidden features of a pair of atoms are on at first.
INITIAL_RANGES = (1.0, 6.0)
INITIAL_SLOPE = 3.0
#: Messages an atom's sum adds up, for its initial scale.
TYPICAL_NEIGHBOURS = 16


class PropertyEGNN(EdgeBackend, nn.Module):
    r"""Invariant network from atoms to properties, in normalised units.

    EDM's classifier (Hoogeboom et al., arXiv:2203.17003, sec. 5.2 and released code)::

        m_ij = mlp_e(h_i, h_j, |x_i - x_j|^2)
        h_i <- h_i + mlp_h(h_i, sum_j sigmoid(w . m_ij + b) m_ij)        n_layers times
        y   =  mlp_g(sum_i mlp_n(h_i))

    and, beside it, the logarithm of the scale b of a Laplace distribution around y. The scale is
    read from the same molecule vector without passing gradients on to it, so that it does not
    change what y learns.

    Parameters
    ----------
    n_types, n_tasks : int
        Atom types read and properties returned.
    n_layers, n_features : int
    backend, precision : str
        As in `EGNN`, whose edge kernel this shares.
    """

    def __init__(
        self,
        n_types: int,
        n_tasks: int,
        n_layers: int,
        n_features: int,
        backend: str = "auto",
        precision: str = "auto",
    ) -> None:
        super().__init__()
        f = n_features
        self._choose_edges(f, backend, precision)
        self.embedding = nn.Linear(n_types, f)
        self.layers = nn.ModuleList(MessagePass(f) for _ in range(n_layers))
        self.node_read_out = nn.Sequential(nn.Linear(f, f), nn.SiLU(), nn.Linear(f, f))
        self.graph_read_out = nn.Sequential(nn.Linear(f, f), nn.SiLU(), nn.Linear(f, n_tasks))
        self.log_scale = nn.Sequential(nn.Linear(f, f), nn.SiLU(), nn.Linear(f, n_tasks))
        for layer in self.layers:
            _initialise(layer, n_layers)
        # A scale of one unit at first: a random one would be exp of a sum over atoms.
        nn.init.zeros_(self.log_scale[2].weight)
        nn.init.zeros_(self.log_scale[2].bias)

    def forward(self, x: Tensor, types: Tensor, layout: AtomLayout) -> tuple[Tensor, Tensor]:
        """Normalised properties (B, T) and logarithms of their Laplace scales (B, T).

        Parameters
        ----------
        x : Tensor, (A, 3)
            Positions in Angstrom; only distances matter.
        types : Tensor, (A, n_types)
            One-hot atom types, or probabilities of them.
        layout : AtomLayout
        """
        messages, _ = self._edge_functions(x)
        h = by_rows(self.embedding, types)
        for layer in self.layers:
            u, v = layer.project(h)
            h = layer.update(h, messages(u, v, x, x, layout, layer.edge_weights()))
        molecules = layout.sum(by_rows(self.node_read_out, h))
        return (
            by_rows(self.graph_read_out, molecules),
            by_rows(self.log_scale, molecules.detach()),
        )


@torch.no_grad()
def _initialise(layer: MessagePass, n_layers: int) -> None:
    """Start from messages that tell distances apart.

    PyTorch's initial weights shrink messages in every layer and give squared distances next to no
    influence; much of a short training goes into undoing that. Here linear maps keep the size of
    what SiLU leaves, and the hidden features of a pair start as ``silu(3 (1 - d^2 / r^2) + ...)``:
    on within a range r of their own, off beyond.
    """
    for linear in (layer.edge_mlp[0], layer.edge_mlp[2], layer.node_mlp[0], layer.node_mlp[2]):
        nn.init.normal_(linear.weight, std=(2 / linear.in_features) ** 0.5)
        nn.init.zeros_(linear.bias)
    f = layer.node_mlp[2].out_features
    layer.node_mlp[0].weight[:, f:] *= TYPICAL_NEIGHBOURS**-0.5  # reads a sum of messages
    layer.node_mlp[2].weight *= n_layers**-0.5  # is added to the features n_layers times
    first = layer.edge_mlp[0]
    ranges = torch.empty(f).uniform_(*INITIAL_RANGES)
    # Two columns: current and input coordinates, which are the same here.
    first.weight[:, 2 * f :] = -0.5 * INITIAL_SLOPE / ranges.square()[:, None]
    nn.init.constant_(first.bias, INITIAL_SLOPE)


class PropertyNetwork(nn.Module):
    """`PropertyEGNN` with its running average and the statistics of the training labels.

    Everything a checkpoint must hold besides the optimiser is a parameter or a buffer.

    Attributes
    ----------
    mean, mad : Tensor, (T,) float64
        Mean and mean absolute deviation of the training labels.
    per_atom : Tensor, (n_types, T) float64
        Contribution of an atom of each element, zero without composition baseline.
    offset, scale : Tensor, (T,) float64
        Mean and mean absolute deviation of what the baseline leaves; the network's own unit.
    calibration : Tensor, (T,) float64
        Factor of the predicted standard deviations.
    """

    mean: Tensor
    mad: Tensor
    per_atom: Tensor
    offset: Tensor
    scale: Tensor
    calibration: Tensor
    n_labels: Tensor

    def __init__(self, config: PropertyConfig, n_types: int) -> None:
        super().__init__()
        n_tasks = len(config.task_names)
        self.egnn = PropertyEGNN(
            n_types, n_tasks, config.n_layers, config.n_features, precision=config.precision
        )
        self.average = RunningAverage(self.egnn, config.ema_decay)
        self.clipper = GradientClipper() if config.gradient_clipping else None
        zeros, ones = torch.zeros(n_tasks).double(), torch.ones(n_tasks).double()
        self.register_buffer("mean", zeros.clone())
        self.register_buffer("mad", ones.clone())
        self.register_buffer("per_atom", torch.zeros(n_types, n_tasks).double())
        self.register_buffer("offset", zeros.clone())
        self.register_buffer("scale", ones.clone())
        self.register_buffer("calibration", ones.clone())
        self.register_buffer("n_labels", torch.zeros(n_tasks, dtype=torch.int64))

    def baseline(self, types: Tensor, layout: AtomLayout) -> Tensor:
        """What the composition alone predicts, (B, T) float64, in native units."""
        return layout.sum(types.double()) @ self.per_atom + self.offset

    def forward(self, batch: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions in the order of the input rows.

        Trains the network's own weights, predicts with the averaged ones.

        Parameters
        ----------
        batch : dict
            ``positions`` (A, 3), ``types`` (A, n_types), ``layout``, and ``rank`` (B,): the
            layout's molecule of each input row.

        Returns
        -------
        prediction, variance : Tensor, (B, T) float64
            In the unit of the labels (squared).
        normalised : Tensor, (B, 2, T)
            What the network itself gives: value and logarithm of the Laplace scale.
        """
        egnn = self.egnn if self.training else self.average.module
        types, layout, rank = batch["types"], batch["layout"], batch["rank"]
        value, log_scale = egnn(batch["positions"], types, layout)
        prediction = self.baseline(types, layout) + self.scale * value.double()
        # A Laplace distribution of scale b has the variance 2 b^2.
        std = math.sqrt(2) * self.calibration * self.scale * log_scale.double().exp()
        normalised = torch.stack([value, log_scale], 1)
        return prediction[rank], std.square()[rank], normalised[rank]

    def normalise_labels(self, y: Tensor, types: Tensor, layout: AtomLayout) -> Tensor:
        """Labels (B, T) float64 of the layout's molecules in the network's own unit."""
        return (y - self.baseline(types, layout)) / self.scale

    def set_statistics(self, statistics: LabelStatistics) -> None:
        """Take over what normalises the labels."""
        for name, values in asdict(statistics).items():
            getattr(self, name).copy_(torch.from_numpy(values))

    def averaged_tensors(self) -> dict[str, Tensor]:
        """What prediction needs, by the names of a pretrained model's file."""
        tensors = prefixed("egnn", self.average.module.state_dict())
        return tensors | prefixed("labels", self._label_buffers())

    def load_averaged(self, tensors: dict[str, Tensor], source: str) -> None:
        """Take over `averaged_tensors` of another network.

        Raises
        ------
        CheckpointError
            If they do not fit; names ``source``.
        """
        weights, labels = without_prefix("egnn", tensors), without_prefix("labels", tensors)
        check_shapes(weights, self.egnn.state_dict(), source)
        check_shapes(labels, self._label_buffers(), source)
        self.egnn.load_state_dict(weights)
        self.average.module.load_state_dict(weights)
        for key, buffer in self._label_buffers().items():
            buffer.copy_(labels[key])

    def _label_buffers(self) -> dict[str, Tensor]:
        names = [field.name for field in fields(LabelStatistics)] + ["calibration"]
        return {name: getattr(self, name) for name in names}

    def property_of(
        self,
        positions: Tensor,
        type_probabilities: Tensor,
        layout: AtomLayout,
        normalised: bool = False,
    ) -> Tensor:
        """Properties as a differentiable function of positions and soft atom types.

        Parameters
        ----------
        positions : Tensor, (A, 3)
            Angstrom.
        type_probabilities : Tensor, (A, n_types)
            Probabilities of the elements in the model's order; rows need not be one-hot.
        layout : AtomLayout
        normalised : bool
            False: in the unit of the training labels. True: minus their mean, over their mean
            absolute deviation.

        Returns
        -------
        Tensor, (B, T)
            Of the type of ``positions``. Gradients reach positions and probabilities; the weights
            (the averaged ones) get none.
        """
        value, _ = self.average.module(positions, type_probabilities, layout)
        out = self.baseline(type_probabilities, layout) + self.scale * value.double()
        if normalised:
            out = (out - self.mean) / self.mad
        return out.to(positions.dtype)

    def before_optimizer_step(self) -> None:
        """Clip the gradients."""
        if self.clipper is not None:
            # The scales learn on their own and must not decide how far the values move.
            self.clipper(
                p
                for name, p in self.egnn.named_parameters()
                if p.grad is not None and not name.startswith("log_scale")
            )

    def after_optimizer_step(self) -> None:
        """Update the averaged weights."""
        self.average.update_parameters(self.egnn)


def property_loss(outputs, labels, weights) -> Tensor:
    """L1 loss of the values plus the Laplace likelihood of their errors, in normalised units.

    ``|y - y*| + |y - y*| / b + log b``, where the second part sees the error as a constant: the
    values are trained by L1 alone, the scales b by the errors the values make. Averaged over the
    labels with their weights; a batch without any label gives zero.
    """
    value, log_scale = outputs[0].unbind(1)
    (target,), (weight,) = labels, weights
    error = (value - target).abs()
    terms = error + error.detach() * torch.exp(-log_scale) + log_scale
    return (terms * weight).sum() / weight.sum().clamp_min(1e-12)

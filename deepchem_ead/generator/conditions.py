"""Property conditions: what the training labels looked like, and how a network is told a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from deepchem_ead.caller import warn_caller
from deepchem_ead.denoisers.egnn import by_rows

#: Columns of the context each property takes.
N_EMBEDDING = 32

#: Normalised values beyond this are read as this: a network extrapolates them to nonsense.
LARGEST_VALUE = 6.0

#: Bins of equal counts in which sizes are counted for each property.
N_BINS = 32


class ConditionEmbedding(nn.Module):
    r"""Normalised property values as rows of context, with a learned null for unknown ones.

    Every property p has a small network and a vector of its own, and the row of a molecule is::

        (e_1, ..., e_P),   e_p = mlp_p(value_p)  if the value is known,  null_p  otherwise

    A learned null lets the network tell "unknown" from any value; a zero would be the mean.

    Parameters
    ----------
    n_conditions : int
        Number P of properties.
    """

    def __init__(self, n_conditions: int) -> None:
        super().__init__()
        d = N_EMBEDDING
        self.values = nn.ModuleList(
            nn.Sequential(nn.Linear(1, d), nn.SiLU(), nn.Linear(d, d)) for _ in range(n_conditions)
        )
        # About the size of an embedded value before training.
        self.null = nn.Parameter(0.3 * torch.randn(n_conditions, d))

    def forward(self, values: Tensor) -> Tensor:
        """Rows of context (B, P N_EMBEDDING) from normalised values (B, P), NaN where unknown."""
        known = values.isfinite()
        filled = values.where(known, 0.0)
        rows = [by_rows(mlp, filled[:, k, None]) for k, mlp in enumerate(self.values)]
        return torch.where(known.unsqueeze(2), torch.stack(rows, 1), self.null).flatten(1)


class ConditionStatistics(nn.Module):
    """What a conditional model remembers of its training labels; part of every checkpoint.

    Parameters
    ----------
    names : sequence of str
        The P properties.
    max_atoms : int
        Largest molecule.

    Attributes
    ----------
    mean, mad : Tensor, (P,) float64
        Mean and mean absolute deviation of the known labels, in the labels' unit.
    edges : Tensor, (P, N_BINS + 1) float64
        Bins with about the same number of labels each; the first and last edge are the extremes.
    sizes : Tensor, (P, N_BINS, max_atoms + 1) int64
        Molecules of each number of atoms in each bin.
    """

    mean: Tensor
    mad: Tensor
    edges: Tensor
    sizes: Tensor

    def __init__(self, names: Sequence[str], max_atoms: int) -> None:
        super().__init__()
        self.names = tuple(names)
        n = len(self.names)
        self.register_buffer("mean", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("mad", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("edges", torch.zeros(n, N_BINS + 1, dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(n, N_BINS, max_atoms + 1, dtype=torch.int64))

    @property
    def measured(self) -> bool:
        """Whether the statistics have been taken."""
        return bool(self.sizes.any())

    def measure(self, values: np.ndarray, n_atoms: np.ndarray) -> None:
        """Take the statistics of training labels.

        A mean and a deviation that are there already (of a model this one was started from) stay,
        because the embedding was trained with them.

        Parameters
        ----------
        values : ndarray, (N, P) float64
            Labels, NaN where unknown.
        n_atoms : ndarray, (N,) int64

        Raises
        ------
        ValueError
            If the labels of a property are all the same.
        """
        quantiles = np.linspace(0, 1, N_BINS + 1)
        for k in range(len(self.names)):
            known = np.isfinite(values[:, k])
            column = values[known, k]
            if not self.mad[k] > 0:
                self.mean[k], self.mad[k] = _mean_and_mad(column, self.names[k])
            # Edges are labels, so that every bin that is not empty in width holds one.
            self.edges[k] = torch.from_numpy(np.quantile(column, quantiles, method="lower"))
            counts = np.zeros(self.sizes.shape[1:], np.int64)
            np.add.at(counts, (self._bins(k, column), n_atoms[known]), 1)
            self.sizes[k] = torch.from_numpy(counts)

    def normalise(self, values: Tensor) -> Tensor:
        """``(value - mean) / MAD`` of values (B, P) float64, as the network takes it, float32.

        Within [-6, 6]: of QM9's labels at most 0.2 % lie outside (dipole moments).
        """
        return ((values - self.mean) / self.mad).clamp(-LARGEST_VALUE, LARGEST_VALUE).float()

    def size_probabilities(self, values: np.ndarray, size_counts: np.ndarray) -> np.ndarray:
        """Probability of each number of atoms given properties, (B, max_atoms + 1).

        ``p(n | c) ~ p(n) prod_k p(bin of c_k | n)`` over the known properties: exact (up to the
        bins) for one, and for several as if they were independent among molecules of one size.
        One virtual molecule of each size, spread like all molecules, keeps sizes possible whose
        few molecules happen to be in other bins.

        Parameters
        ----------
        values : ndarray, (B, P)
            In the labels' unit, NaN where unknown.
        size_counts : ndarray, (max_atoms + 1,)
            Training molecules of each size.
        """
        log_p = np.full((len(values), len(size_counts)), -np.inf)
        log_p[:, size_counts > 0] = np.log(size_counts[size_counts > 0])
        for k in range(len(self.names)):
            counts = self.sizes[k].cpu().numpy().astype(np.float64)
            marginal = counts.sum(1, keepdims=True) / counts.sum()
            given_size = (counts + marginal) / (counts.sum(0) + 1)
            known = np.isfinite(values[:, k])
            log_p[known] += np.log(given_size[self._bins(k, values[known, k])])
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    def warn_outside(self, values: np.ndarray) -> None:
        """Warn about requested values (B, P) beyond those of the training molecules."""
        edges = self.edges.cpu().numpy()
        for k, name in enumerate(self.names):
            column = values[:, k]
            outside = column[(column < edges[k, 0]) | (column > edges[k, -1])]
            if len(outside):
                share = 100 - 200 // N_BINS
                warn_caller(
                    f"{name}={outside[0]:g} lies outside the training data, which reach from "
                    f"{edges[k, 0]:g} to {edges[k, -1]:g} ({share}% of them from {edges[k, 1]:g} "
                    f"to {edges[k, -2]:g}); expect molecules that miss it or fall apart"
                )

    def _bins(self, k: int, values: np.ndarray) -> np.ndarray:
        edges = self.edges[k].cpu().numpy()
        # Clipped, because a value below the least label may belong to a bin without any.
        inside = np.clip(values, edges[0], edges[-1])
        return np.searchsorted(edges[1:-1], inside, side="right")


def _mean_and_mad(values: np.ndarray, name: str) -> tuple[float, float]:
    mean = values.mean()
    mad = np.abs(values - mean).mean()
    # What rounding leaves of equal values is no spread to divide by.
    if not mad > 1e-9 * np.abs(values).max():
        raise ValueError(
            f"the {len(values)} known labels of {name!r} are all {mean:g}: there is nothing to "
            "learn from them; remove the condition"
        )
    return mean, mad

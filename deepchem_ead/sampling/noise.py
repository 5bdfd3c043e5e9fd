"""Random numbers that belong to a molecule, not to the batch it is computed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


class NoiseSource(Protocol):
    """What the sampling loop draws its random numbers from, A nodes in the order of the layout."""

    dtype: torch.dtype

    def normal(self, n_columns: int) -> Tensor:
        """Independent standard normal numbers (A, n_columns)."""

    def uniform(self) -> Tensor:
        """Independent uniform numbers in [0, 1), (A,)."""

    def of_pairs(self) -> NoiseSource:
        """Other numbers: a row for each two nodes of a molecule. Only where bonds have noise."""


class MoleculeNoise:
    """One random generator per molecule, seeded with ``(seed, index of the molecule)``.

    A molecule's numbers depend on nothing but the seed, its index, its number of nodes and what was
    drawn before: it comes out the same whatever it is batched with. The generators are NumPy's,
    whose seeds hold 128 bits (PyTorch's CPU generator uses 32: among 100,000 molecules two would
    very likely share their noise).

    Parameters
    ----------
    seed : int or sequence of int, (B,)
        Not negative; one for all, or one of each molecule.
    indices : sequence of int, (B,)
        Number of each molecule in the whole job, not negative.
    counts : sequence of int or Tensor, (B,)
        Nodes of each molecule.
    dtype : torch.dtype
        float32 or float64: precision of `normal` and hence of the state of the sampler.
    device : torch.device or str, optional
        Where the numbers are put. They are always drawn on the CPU.
    stream : sequence of int
        Other numbers of the same molecules.
    """

    def __init__(
        self,
        seed: int | Sequence[int],
        indices: Sequence[int],
        counts: Sequence[int] | np.ndarray | Tensor,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        *,
        stream: Sequence[int] = (),
    ):
        sizes = np.asarray(counts, dtype=np.int64)
        if len(indices) != len(sizes):
            raise ValueError(f"{len(indices)} molecule indices but {len(sizes)} node counts")
        if dtype not in _NUMPY:
            raise ValueError(f"dtype must be torch.float32 or torch.float64, not {dtype}")
        seeds = [int(seed)] * len(sizes) if isinstance(seed, int | np.integer) else seed
        self._keys, self._sizes = (list(map(int, seeds)), list(map(int, indices))), sizes
        self.dtype = dtype
        self.device = device
        self.n_nodes = int(sizes.sum())
        self._generators = [
            np.random.default_rng(np.random.SeedSequence([*key, *stream]))
            for key in zip(*self._keys, strict=True)
        ]
        ends = np.cumsum(sizes)
        self._rows = list(zip((ends - sizes).tolist(), ends.tolist(), strict=True))

    def normal(self, n_columns: int) -> Tensor:
        """Independent standard normal numbers (A, n_columns) of type ``dtype``."""
        dtype: Any = _NUMPY[self.dtype]
        numbers = np.empty((self.n_nodes, n_columns), dtype)
        for generator, (first, last) in zip(self._generators, self._rows, strict=True):
            generator.standard_normal(dtype=dtype, out=numbers[first:last])
        return torch.from_numpy(numbers).to(self.device)

    def uniform(self) -> Tensor:
        """Independent uniform numbers in [0, 1), (A,) float64."""
        numbers = np.empty(self.n_nodes)
        for generator, (first, last) in zip(self._generators, self._rows, strict=True):
            generator.random(out=numbers[first:last])
        return torch.from_numpy(numbers).to(self.device)

    def of_pairs(self) -> MoleculeNoise:
        """Numbers of a stream of their own: a row for each two nodes of a molecule."""
        pairs = self._sizes * (self._sizes - 1) // 2
        # A stream of zeros would be no other one.
        return MoleculeNoise(*self._keys, pairs, self.dtype, self.device, stream=[1])


_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}

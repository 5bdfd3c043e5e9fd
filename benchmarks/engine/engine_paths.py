"""The ways to compute an EGNN that the engine's benchmarks compare, on real QM9 molecules."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.denoisers import EGNN
from deepchem_ead.denoisers.egnn_plain import plain_forward, to_padded
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native import build
from deepchem_ead.molnet import drugs3d_table
from deepchem_ead.molnet.drugs3d_table import Drugs3DTable
from deepchem_ead.molnet.sample import STEPS_PER_ANGSTROM

N_IN, N_OUT = 7, 6
CEILING_SECONDS = 2.0
# Backend and precision of each path; the plain twin comes first.
PATHS = {
    "plain twin": ("torch", "fp32"),
    "torch": ("torch", "fp32"),
    "native fp32": ("native", "fp32"),
    "native bf16": ("native", "bf16"),
}

Batch = tuple[Tensor, Tensor, AtomLayout]


def real_batch(first: int, n_molecules: int, drugs: bool = False) -> Batch:
    """Noised molecules of QM9, or drug-like ones, sorted by size, from samples in the package."""
    if drugs:
        table = Drugs3DTable.sample()
        counts = table.n_atoms.astype(np.int64)
        positions = table.positions / drugs3d_table.STEPS_PER_ANGSTROM
    else:
        with (files("deepchem_ead") / "molnet/data/qm9_sample.npz").open("rb") as file:
            with np.load(file) as stored:
                counts = stored["n_atoms"].astype(np.int64)
                positions = stored["coordinate_steps"] / STEPS_PER_ANGSTROM
    ends = np.cumsum(counts)
    # The sample is ordered: spread the batch over all of it.
    stride = len(counts) // (2 * n_molecules)
    chosen = sorted(first + stride * np.arange(n_molecules), key=lambda i: counts[i])
    layout = AtomLayout.from_counts([int(counts[i]) for i in chosen])
    x = np.concatenate([positions[ends[i] - counts[i] : ends[i]] for i in chosen])
    generator = torch.Generator().manual_seed(first)
    x = torch.tensor(x, dtype=torch.float32)
    x = layout.center(x + 0.3 * torch.randn(x.shape, generator=generator))
    return x, torch.randn(len(x), N_IN, generator=generator), layout


def random_batch(n_atoms: int, n_molecules: int) -> Batch:
    """Molecules of one size: points in a ball with about 12 cubic Angstrom an atom."""
    layout = AtomLayout.from_counts([n_atoms] * n_molecules)
    generator = torch.Generator().manual_seed(n_atoms)
    directions = torch.randn(layout.n_nodes, 3, generator=generator)
    radius = (12 * n_atoms * 3 / (4 * np.pi)) ** (1 / 3)
    distances = radius * torch.rand(layout.n_nodes, 1, generator=generator) ** (1 / 3)
    x = layout.center(distances * directions / directions.norm(dim=1, keepdim=True))
    return x, torch.randn(len(x), N_IN, generator=generator), layout


def operations(layout: AtomLayout, n_layers: int, n_features: int) -> float:
    """Operations of one forward pass, 2 a multiply-add.

    In each layer and molecule of n atoms, n(n-1) pairs pass two F x F maps (messages, coordinates),
    and n atoms pass the equivalent of seven (4 for the first edge maps, 3 for the node network):
    ``2 F^2 (2 n (n-1) + 7 n)``. A training step takes three times that.
    """
    n = layout.counts.double()
    return float(n_layers * 2 * n_features**2 * (2 * n * (n - 1) + 7 * n).sum())


def ceiling(dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter) -> float:
    """GFLOP/s of the fastest large matrix product: of the shape of the network's, or square."""
    best, end = 0.0, time.perf_counter() + CEILING_SECONDS
    for rows, inner in ((4096, 256), (1536, 1536)):
        a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, inner).to(dtype)
        for _ in range(15):
            elapsed = seconds(lambda a=a, b=b: a @ b, clock)
            best = max(best, 2 * rows * inner**2 / elapsed / 1e9)
            if time.perf_counter() > end:
                break
    return best


def use_instructions(name: str | None) -> None:
    """Use the kernels of this instruction set from now on; of the best one if None.

    Before a kernel is loaded. Products of PyTorch follow its own environment variables.
    """
    if name:
        build.best_instruction_set = lambda: name


def fast_formats() -> tuple[str, ...]:
    """Number formats that this processor multiplies; elsewhere PyTorch emulates bf16."""
    kernel, _ = build.kernel_or_reason()
    return kernel.precisions if kernel else ("fp32",)


def seconds(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Time of one call."""
    start = clock()
    function()
    return clock() - start


class Path:
    """One way to compute the network on a given batch; the same weights for every path.

    Raises
    ------
    RuntimeError
        If the path does not run on this machine.
    """

    def __init__(self, name: str, n_layers: int, n_features: int, batch: Batch) -> None:
        backend, precision = PATHS[name]
        self.name = name
        torch.manual_seed(0)
        self.egnn = EGNN(N_IN, N_OUT, n_layers, n_features, backend=backend, precision=precision)
        self.egnn.active_backend  # noqa: B018  (raises where the backend cannot run)
        self.x, self.h, self.layout = batch
        self.times: list[float] = []
        generator = torch.Generator().manual_seed(1)
        self.target_x = torch.randn(self.x.shape, generator=generator)
        self.target_h = torch.randn(len(self.h), N_OUT, generator=generator)
        if name == "plain twin":
            self.x_padded, self.mask = to_padded(self.x, self.layout)
            self.h_padded, _ = to_padded(self.h, self.layout)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Displacements and features of all atoms."""
        if self.name != "plain twin":
            return self.egnn(Seen(self.x, self.h, self.layout))
        dx, h_out = plain_forward(self.egnn, self.x_padded, self.h_padded, self.mask)
        return dx[self.mask.bool()], h_out[self.mask.bool()]

    def train(self) -> None:
        """Forward and backward of a denoising-like loss."""
        self.egnn.zero_grad()
        dx, h_out = self.forward()
        loss = (dx - self.target_x).square().sum() + (h_out - self.target_h).square().sum()
        (loss / len(self.x)).backward()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """One forward pass without gradients, (A, 3 + N_OUT)."""
        return torch.cat(self.forward(), 1)

    def gradient(self) -> Tensor:
        """All gradients of one training step as one vector."""
        self.train()
        return torch.cat([p.grad.flatten().clone() for p in self.egnn.parameters()])

"""One training step and one network evaluation on real QM9: plain twin against the fast paths.

    python -m benchmarks.engine [--quick] [--layers 9 --features 256] [--repeats 5]

All paths share one set of weights and take turns in one process, so that other load on the machine
meets them alike; compare ratios. A training step is forward and backward of a denoising-like loss
(batch 64), an evaluation is one forward without gradients (batch 100).

GFLOP/s count the factored network, 2 operations a multiply-add: in each layer and molecule of n
atoms, n(n-1) pairs pass two F x F maps (messages, coordinates), and n atoms pass the equivalent of
seven (4 for the first edge maps, 3 for the node network)::

    2 F^2 (2 n (n-1) + 7 n)          times 3 in training

The ceiling is the best F x F matrix product of 4096 rows, measured before and after.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.resources import files
from statistics import median

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.denoisers import EGNN
from deepchem_ead.denoisers.egnn_plain import plain_forward, to_padded
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.molnet.sample import STEPS_PER_ANGSTROM

N_IN, N_OUT = 7, 6


def real_batch(first: int, n_molecules: int) -> tuple[Tensor, Tensor, AtomLayout]:
    """Noised QM9 molecules, sorted by size, from the sample inside the package."""
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


def operations(layout: AtomLayout, n_layers: int, n_features: int) -> float:
    """Operations of one forward pass, by the formula of this module."""
    n = layout.counts.double()
    return float(n_layers * 2 * n_features**2 * (2 * n * (n - 1) + 7 * n).sum())


def ceiling(n_features: int, dtype: torch.dtype) -> float:
    """GFLOP/s of a plain matrix product."""
    a = torch.randn(4096, n_features).to(dtype)
    b = torch.randn(n_features, n_features).to(dtype)
    seconds = min(_seconds(lambda: a @ b) for _ in range(30))
    return 2 * 4096 * n_features**2 / seconds / 1e9


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class Path:
    """One way to compute the network on a given batch."""

    def __init__(self, name: str, egnn: EGNN, batch, forward: Callable) -> None:
        self.name, self.egnn = name, egnn
        self.x, self.h, self.layout = batch
        self.forward = forward
        self.times: list[float] = []
        generator = torch.Generator().manual_seed(1)
        self.target_x = torch.randn(self.x.shape, generator=generator)
        self.target_h = torch.randn(len(self.h), N_OUT, generator=generator)

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


def paths(n_layers: int, n_features: int, batch) -> list[Path]:
    """The plain twin first, then every fast path that runs here; same weights."""
    x, h, layout = batch
    torch.manual_seed(0)
    reference = EGNN(N_IN, N_OUT, n_layers, n_features, backend="torch")
    (x_padded, mask), h_padded = to_padded(x, layout), to_padded(h, layout)[0]
    real = mask.bool()

    def plain() -> tuple[Tensor, Tensor]:
        dx, h_out = plain_forward(reference, x_padded, h_padded, mask)
        return dx[real], h_out[real]

    found = [Path("plain twin", reference, batch, plain)]
    for name, backend, precision in (
        ("torch", "torch", "fp32"),
        ("native fp32", "native", "fp32"),
        ("native bf16", "native", "bf16"),
    ):
        egnn = EGNN(N_IN, N_OUT, n_layers, n_features, backend=backend, precision=precision)
        egnn.load_state_dict(reference.state_dict())
        try:
            print(f"{name}: {egnn.active_backend}")
        except RuntimeError as error:
            print(f"{name}: left out, {error}")
            continue
        found.append(Path(name, egnn, batch, lambda egnn=egnn: egnn(x, h, layout)))
    return found


def compare(title: str, n_layers: int, n_features: int, repeats: int, first: int, n: int) -> None:
    """Time and print one table."""
    batch = real_batch(first, n)
    training = title == "training"
    work = operations(batch[2], n_layers, n_features) * (3 if training else 1)
    candidates = paths(n_layers, n_features, batch)
    expected = candidates[0].evaluate()
    errors = []
    for path in candidates:  # also warms up
        output = float((path.evaluate() - expected).abs().max())
        errors.append([output])
    if training:
        gradient = candidates[0].gradient()
        for path, error in zip(candidates, errors, strict=True):
            error.append(float((path.gradient() - gradient).norm() / gradient.norm()))
    limits = [ceiling(n_features, torch.float32)]
    for _ in range(repeats):
        for path in candidates:
            # The twin is an order of magnitude slower: fewer, but never only one.
            for _ in range(1 if path is candidates[0] else 2):
                path.times.append(_seconds(path.train if training else path.evaluate))
    limits.append(ceiling(n_features, torch.float32))
    limit, limit_bf16 = max(limits), ceiling(n_features, torch.bfloat16)
    base = candidates[0].times
    print(
        f"\n{title}: {n_layers} layers x {n_features} features, {n} molecules, {work / 1e9:.0f} "
        f"GFLOP, fp32 ceiling {limit:.0f} GFLOP/s (bf16 {limit_bf16:.0f}), "
        f"{torch.get_num_threads()} threads"
    )
    columns = f"{'path':<12} {'min s':>8} {'median s':>9} {'ratio min':>9} {'median':>7}"
    columns += f" {'GFLOP/s':>8} {'of fp32':>7} {'output error':>13}"
    print(columns + (f" {'gradient error':>15}" if training else ""))
    for path, error in zip(candidates, errors, strict=True):
        t_min, t_median = min(path.times), median(path.times)
        speed = work / t_min / 1e9
        row = f"{path.name:<12} {t_min:8.3f} {t_median:9.3f} {min(base) / t_min:8.1f}x "
        row += f"{median(base) / t_median:6.1f}x {speed:8.0f} {speed / limit:7.0%} {error[0]:13.1e}"
        print(row + (f" {error[1]:15.1e}" if training else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two repeats, quarter batches")
    arguments = parser.parse_args()
    repeats, part = (2, 4) if arguments.quick else (arguments.repeats, 1)
    size = (arguments.layers, arguments.features)
    compare("training", *size, repeats, 0, 64 // part)
    compare("evaluation", *size, repeats, 1, 100 // part)


if __name__ == "__main__":
    main()

"""The attention denoiser against the time of its node-level matrix products alone.

    python -m benchmarks.attention [--quick] [--layers 6 --features 192 --heads 12]
                                   [--threads 1] [--cpu-time] [--repeats 10] [--seconds 50]
                                   [--instructions avx2] [--drugs]

A training step is forward and backward of a denoising-like loss (batch 64), an evaluation is one
forward without gradients (batch 100), both of real QM9 molecules; with ``--drugs`` of drug-like
ones, a quarter as many. All paths share one set of
weights and take turns in one process, so that other load on the machine meets them alike; compare
ratios of minima. On a busy machine ``--cpu-time`` with one thread counts processor time instead.

"products" multiplies matrices of the sizes that the linear maps of the blocks have, in the number
format, by PyTorch: nothing else of the network, no pairs, no norms, no casts. For F features, H
heads and A atoms, forward and in each layer (in training, each also with its two gradients)::

    (A, F) (F, 3 F + 64)   (A, F + 33 H + 17) (.., F)   (A, F) (F, 3 F)   (A, 3 F) (3 F, F)
    (A, F) (F, H + 1)      2 x (A, 64) (64, 2 F)

Rows "with pairs" are the same network told 22 columns and giving 5 numbers of each pair of atoms,
with a cross-entropy of these in the loss; "to plain" is their time beside the network's without.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks.engine_paths import N_IN, N_OUT, fast_formats, real_batch, use_instructions
from deepchem_ead.denoisers import AttentionDenoiser
from deepchem_ead.diffusion import Seen
from deepchem_ead.kernels.native.build import INSTRUCTION_SETS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PATHS = [
    (backend, precision, with_pairs)
    for precision in DTYPES
    for backend, with_pairs in (("torch", False), ("native", False), ("native", True))
]
N_PAIR_IN, N_PAIR_OUT = 22, 5


class Network:
    """One way to compute the network on a given batch."""

    def __init__(
        self, backend: str, precision: str, size: argparse.Namespace, batch, with_pairs=False
    ) -> None:
        self.plain = f"{backend} {precision}"
        self.name = self.plain + (" with pairs" if with_pairs else "")
        self.precision, self.with_pairs = precision, with_pairs
        torch.manual_seed(0)
        self.denoiser = AttentionDenoiser(
            N_IN, N_OUT, size.layers, size.features, size.heads, N_IN - 1, precision, backend,
            *((N_PAIR_IN, N_PAIR_OUT) if with_pairs else ()),
        )  # fmt: skip
        for block in self.denoiser.blocks:  # a trained network moves its atoms
            block.move.weight.data.mul_(100)
        x, h, layout = batch
        generator = torch.Generator().manual_seed(1)
        self.target = torch.randn(len(x), 3 + N_OUT, generator=generator)
        n_pairs, told = len(layout.pairs.first), None
        if with_pairs:
            told = torch.randn(n_pairs, N_PAIR_IN, generator=generator)
        self.classes = torch.randint(N_PAIR_OUT, (n_pairs,), generator=generator)
        h = torch.cat([h[:, :-1], torch.full((len(h), 1), 0.2)], 1)
        self.seen = Seen(x, h, layout, pairs=told)
        self.parameters = list(self.denoiser.parameters())

    def train(self) -> None:
        """Forward and backward of a denoising-like loss."""
        for parameter in self.parameters:
            parameter.grad = None
        out = self.denoiser(self.seen)
        loss = (torch.cat(out, 1) - self.target).square().sum(1).mean()
        if self.with_pairs:
            loss = loss + torch.nn.functional.cross_entropy(out.pairs, self.classes)
        loss.backward()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """One forward pass without gradients: all outputs as one vector."""
        out = self.denoiser(self.seen)
        found = (*out, out.pairs) if self.with_pairs else out
        return torch.cat([t.flatten() for t in found])

    def gradient(self) -> Tensor:
        """All gradients of one training step as one vector."""
        self.train()
        return torch.cat([p.grad.flatten() for p in self.parameters])


class Products:
    """The matrix products of the node-level maps, and nothing else."""

    def __init__(self, precision: str, size: argparse.Namespace, n_atoms: int) -> None:
        self.name = f"products {precision}"
        self.precision = precision
        f, heads = size.features, size.heads
        maps = [(f, 3 * f + 64), (f + 33 * heads + 17, f), (f, 3 * f), (3 * f, f), (f, heads + 1)]
        maps += [(64, 2 * f)] * 2
        dtype = DTYPES[precision]
        self.matrices = [
            (
                torch.randn(n_atoms, inner).to(dtype),
                torch.randn(outputs, inner).to(dtype),
                torch.randn(n_atoms, outputs).to(dtype),
            )
            for inner, outputs in maps * size.layers
        ]

    def evaluate(self) -> None:
        """Those of a forward pass."""
        for x, w, _ in self.matrices:
            x @ w.T

    def train(self) -> None:
        """Those of forward and backward."""
        self.evaluate()
        for x, w, dy in self.matrices:
            dy @ w
            dy.T @ x


def compare(title: str, size: argparse.Namespace, batch, n: int) -> None:
    """Time and print one table."""
    training = title == "training"
    n_atoms = batch[2].n_nodes
    networks = {}
    for backend, precision, with_pairs in [p for p in PATHS if p[1] in fast_formats()]:
        try:
            network = Network(backend, precision, size, batch, with_pairs)
            network.denoiser.active_backend  # noqa: B018
        except RuntimeError as error:
            print(f"{backend} {precision}: left out, {error}")
            continue
        networks[network.name] = network
    products = {p: Products(p, size, n_atoms) for p in fast_formats()}
    exact = [Network("torch", "fp32", size, batch, with_pairs) for with_pairs in (False, True)]
    expected = [network.evaluate() for network in exact]
    expected_gradient = [network.gradient() for network in exact] if training else []
    candidates: list[Network | Products] = [*products.values(), *networks.values()]
    times: dict[str, list[float]] = {c.name: [] for c in candidates}
    clock = time.process_time if size.cpu_time else time.perf_counter
    for candidate in candidates:  # warms up
        _run(candidate, training)()
    end = time.perf_counter() + size.seconds
    for turn in range(size.repeats):
        if turn and time.perf_counter() > end:
            break
        for candidate in candidates:
            # PyTorch's path is several times slower: fewer, but never only one.
            for _ in range(1 if candidate.name.startswith("torch") else 3):
                begin = clock()
                _run(candidate, training)()
                times[candidate.name].append(clock() - begin)
    kind = "processor time" if size.cpu_time else "wall time"
    print(
        f"\n{title}: {size.layers} layers x {size.features} features, {size.heads} heads, {n} "
        f"molecules, {n_atoms} atoms, {torch.get_num_threads()} threads, {kind}"
    )
    print(
        f"{'path':<23} {'min ms':>8} {'median':>8} {'to products':>12} {'to PyTorch':>11} "
        f"{'to plain':>9} {'output error':>13}" + (f" {'gradient error':>15}" if training else "")
    )
    for candidate in candidates:
        name, precision = candidate.name, candidate.precision
        best = min(times[name])
        row = f"{name:<23} {best * 1e3:8.1f} {median(times[name]) * 1e3:8.1f} "
        row += f"{best / min(times[f'products {precision}']):11.2f}x "
        if isinstance(candidate, Network):
            told = candidate.with_pairs
            to_torch = f"{min(times[f'torch {precision}']) / best:10.1f}x"
            row += f"{'':11} " if told else f"{to_torch} "
            row += f"{best / min(times[candidate.plain]):8.2f}x " if told else f"{'':9} "
            row += f"{_error(candidate.evaluate(), expected[told]):13.1e}"
            if training:
                row += f" {_error(candidate.gradient(), expected_gradient[told]):15.1e}"
        print(row, flush=True)


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _run(candidate: Network | Products, training: bool) -> Callable[[], object]:
    return candidate.train if training else candidate.evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--features", type=int, default=192)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=50.0, help="for each table, at most")
    parser.add_argument("--instructions", choices=INSTRUCTION_SETS, help="other than the best")
    parser.add_argument("--cpu-time", action="store_true", help="with one thread only")
    parser.add_argument("--drugs", action="store_true", help="drug-like molecules, fewer")
    parser.add_argument("--quick", action="store_true", help="two repeats, quarter batches")
    size = parser.parse_args()
    use_instructions(size.instructions)
    if size.threads:
        torch.set_num_threads(size.threads)
    if size.cpu_time and torch.get_num_threads() > 1:
        parser.error("--cpu-time adds up the threads' times: use --threads 1")
    part = (4 if size.quick else 1) * (4 if size.drugs else 1)
    size.repeats = 2 if size.quick else size.repeats
    for first, (title, n) in enumerate((("training", 64 // part), ("evaluation", 100 // part))):
        compare(title, size, real_batch(first, n, size.drugs), n)


if __name__ == "__main__":
    main()

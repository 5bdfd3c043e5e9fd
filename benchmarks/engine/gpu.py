"""Training steps on a GPU: PyTorch against Triton, in three formats, with and without a CUDA graph.

    python -m benchmarks.gpu [--layers 9 --features 256] [--batch 64 256 512] [--quick]
        [--preset qm9] [--sweep] [--data FILE]
    python -m benchmarks.gpu --pairs [--features 192 --heads 12] [--batch 256] [--data FILE]

Needs PyTorch and Triton, neither DeepChem nor RDKit. Everything is what a user's run would do: real
QM9 molecules (the sample inside the package, or a file of `benchmarks.pack_qm9`), batches gathered
and noised on the device, loss, gradients, clipping, AdamW, averages (`ResidentTrainer`). Times are
medians over blocks of steps; the first block, which compiles, is left out. The floor of a step is
its operations (formula of `benchmarks.engine`) at the speed of a large matrix product measured in
the same run.

``--sweep`` times single edge functions for several ways of cutting the kernels into programs; put
the best into ``FORWARD`` and ``BACKWARD`` of `deepchem_ead.kernels.triton.autograd`. ``--pairs``
does the same for the pair operation of the attention denoiser, ``FORWARD``, ``CENTRE`` and
``NEIGHBOUR`` of `deepchem_ead.kernels.triton.attention_autograd`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from benchmarks import torch_only

torch_only.prepare()

from benchmarks.pack_qm9 import unpack  # noqa: E402
from deepchem_ead.denoisers.attention import N_PAIR_FEATURES  # noqa: E402
from deepchem_ead.diffusion import AtomLayout  # noqa: E402
from deepchem_ead.generator.config import EADConfig  # noqa: E402
from deepchem_ead.kernels import edge_torch  # noqa: E402
from deepchem_ead.kernels import triton as fused  # noqa: E402
from deepchem_ead.kernels.edge_weights import EdgeWeights  # noqa: E402
from deepchem_ead.kernels.pair_attention import PairInputs, PairWeights, pair_attention  # noqa: E402
from deepchem_ead.kernels.triton import attention as fused_pairs  # noqa: E402
from deepchem_ead.training.resident import ResidentTrainer  # noqa: E402

SAMPLE = Path(__file__).parents[2] / "deepchem_ead/molnet/data/qm9_sample.npz"
EPOCH = 100_000


class Variant(NamedTuple):
    """A way to train."""

    backend: str
    precision: str  # of the edge functions
    tf32: bool  # in products of float32 matrices
    graph: bool

    def __str__(self) -> str:
        kind = self.precision + (" + tf32" if self.tf32 else "")
        return f"{self.backend} {kind}{', graph' if self.graph else ''}"


VARIANTS = [
    Variant("torch", "fp32", False, False),
    Variant("torch", "fp32", True, False),
    Variant("torch", "fp32", True, True),
    Variant("triton", "fp32", False, False),
    Variant("triton", "fp32", True, False),
    Variant("triton", "bf16", True, False),
    Variant("triton", "fp32", True, True),
    Variant("triton", "bf16", True, True),
]


def operations(sizes: np.ndarray, n_layers: int, n_features: int) -> np.ndarray:
    """Operations of one forward pass of each molecule, as in `benchmarks.engine`."""
    n = sizes.astype(np.float64)
    return n_layers * 2 * n_features**2 * (2 * n * (n - 1) + 7 * n)


#: For a preset, whose denoiser may round to bfloat16 without Triton kernels.
PRESET_VARIANTS = [*VARIANTS, Variant("torch", "bf16", True, True)]


class EnoughBlocks(Exception):
    """Ends a run that is timed."""


def step_seconds(X: np.ndarray, config: EADConfig, variant: Variant, blocks: int) -> float:
    """Median time of a training step."""
    torch.set_float32_matmul_precision("high" if variant.tf32 else "highest")
    trainer = ResidentTrainer(X, config, device="cuda", graph=variant.graph, block_steps=20)
    trainer.network.denoiser.backend = variant.backend
    ends: list[tuple[int, float]] = []

    def look(block: dict) -> None:
        ends.append((block["step"], block["seconds"]))
        if len(ends) > blocks:
            raise EnoughBlocks

    try:
        trainer.fit(minutes=60, report=look)
    except EnoughBlocks:
        pass
    pairs = itertools.pairwise(ends)
    return median((t1 - t0) / (s1 - s0) for (s0, t0), (s1, t1) in pairs)


def ceilings() -> dict[str, float]:
    """Operations a second of a large matrix product, by format."""
    found = {}
    for name, dtype, setting in (
        ("fp32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bf16", torch.bfloat16, "highest"),
    ):
        torch.set_float32_matmul_precision(setting)
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        found[name] = 2 * 8192**3 / milliseconds(lambda a=a, b=b: a @ b) * 1e3
    return found


def milliseconds(function: Callable[[], object], repeats: int = 20) -> float:
    """Median time on the device."""
    times = []
    for k in range(repeats + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        if k >= 3:
            times.append(start.elapsed_time(end))
    return median(times)


def train_table(X: np.ndarray, arguments, limits: dict[str, float]) -> None:
    """Time a training step of every variant and batch size."""
    preset = arguments.preset
    print(f"\n{'variant':<26} {'batch':>5} {'ms/step':>8} {'s/epoch':>8} {'x floor':>8} TFLOP/s")
    variants = VARIANTS if preset is None else PRESET_VARIANTS
    for batch_size, variant in itertools.product(arguments.batch, variants):
        options = {"batch_size": batch_size, "precision": variant.precision}
        if preset is None:
            options |= {"n_layers": arguments.layers, "n_features": arguments.features}
            options |= {"variable_size": False}
        config = EADConfig.load(preset, **options)
        many = np.tile(X, (-(-100 * batch_size // len(X)), 1, 1))
        try:
            seconds = step_seconds(many, config, variant, blocks=3 if arguments.quick else 8)
        except Exception as error:  # one variant that fails must not cost the other timings
            print(f"{variant!s:<26} {batch_size:5} failed: {type(error).__name__}: {error}"[:300])
            continue
        line = f"{variant!s:<26} {batch_size:5} {1e3 * seconds:8.2f} "
        line += f"{seconds * EPOCH / batch_size:8.2f} "
        if preset is None:  # the formula is the EGNN's
            sizes = (X[:, :, 3] > 0).sum(1)
            work = 3 * batch_size * operations(sizes, arguments.layers, arguments.features).mean()
            limit = limits["bf16" if variant.precision == "bf16" else "tf32"]
            line += f"{seconds * limit / work:7.1f}x {work / seconds / 1e12:7.0f}"
        print(line, flush=True)


def sweep(X: np.ndarray, n_features: int, batch_size: int) -> None:
    """Time single edge functions for several launches."""
    from deepchem_ead.kernels.triton import autograd

    counts = np.sort((X[:, :, 3] > 0).sum(1)[:: max(len(X) // batch_size, 1)][:batch_size])
    layout = AtomLayout.from_counts(counts, device="cuda")
    n, f = layout.n_nodes, n_features
    print(f"\nedge functions, {len(counts)} molecules, {int((counts * (counts - 1)).sum())} pairs")
    shapes = [(n, f), (n, f), (n, 3), (n, 3), (f,), (f,), (f, f), (f,), (f,), (1,)]
    tensors = [torch.randn(*s, device="cuda").div_(f**0.5).requires_grad_() for s in shapes]

    def timed(module, attention: bool, **options) -> str:
        parts = tensors if attention else tensors[:9]
        weights = EdgeWeights(*parts[4:], *[None] * (not attention))
        function = module.messages if attention else module.coordinate_updates

        def both() -> None:
            out = function(*parts[:4], layout, weights, **options)
            torch.autograd.grad(out, parts, torch.ones_like(out))

        @torch.no_grad()
        def forward() -> None:
            function(*parts[:4], layout, weights, **options)

        return f"{milliseconds(forward):7.3f} {milliseconds(both):7.3f}"

    print("ms: messages forward, with backward; coordinates forward, with backward")
    print("torch fp32", timed(edge_torch, True), timed(edge_torch, False))
    for precision in ("bf16", "fp32"):
        torch.set_float32_matmul_precision("high")
        for block_e, block_k, warps, stages in (
            (32, 32, 4, 2), (32, 32, 8, 2), (64, 32, 4, 2), (64, 32, 8, 2), (64, 32, 8, 3),
            (64, 64, 8, 2), (128, 32, 8, 2), (64, 32, 16, 2),
        ):  # fmt: skip
            launch = autograd.Launch(block_e, block_k, warps, stages)
            for table in (autograd.FORWARD, autograd.BACKWARD):
                table[precision] = launch
            try:
                times = [
                    timed(fused, attention, precision=precision) for attention in (True, False)
                ]
            except Exception as error:  # too much shared memory, for instance
                times = [f"{type(error).__name__}: {error}"[:80]]
            print(precision, launch, *times, flush=True)
    for megabytes in (24, 48, 96, 192):
        autograd.FORWARD["bf16"] = autograd.BACKWARD["bf16"] = autograd.Launch(64, 32, 8, 2)
        autograd.WORKSPACE_BYTES = megabytes * 2**20
        times = [timed(fused, attention, precision="bf16") for attention in (True, False)]
        print(f"bf16, workspace {megabytes} MiB", *times, flush=True)


def sweep_pairs(X: np.ndarray, n_features: int, n_heads: int, batch_size: int) -> None:
    """Time the pair operation of an attention block in PyTorch and for several launches."""
    from deepchem_ead.kernels.triton import attention_autograd

    counts = np.sort((X[:, :, 3] > 0).sum(1)[:: max(len(X) // batch_size, 1)][:batch_size])
    layout = AtomLayout.from_counts(counts, device="cuda")
    print(f"\npair operation, {len(counts)} molecules, {int((counts * (counts - 1)).sum())} pairs")
    splits = [*[n_features] * 3, *[N_PAIR_FEATURES] * 2]
    nodes = torch.randn(layout.n_nodes, sum(splits), device="cuda", requires_grad=True)
    x = (2 * torch.randn(layout.n_nodes, 3, device="cuda")).requires_grad_()
    weights = PairWeights(N_PAIR_FEATURES, n_heads).cuda()
    leaves = [nodes, x, *weights.parameters()]

    def timed(backend: str) -> str:
        weights.backend = backend

        def forward() -> tuple[torch.Tensor, ...]:
            parts = nodes.split(splits, 1)
            return pair_attention(PairInputs(*parts, x, x.detach(), layout), weights)

        def both() -> None:
            out = forward()
            torch.autograd.grad(out, leaves, [torch.ones_like(t) for t in out])

        with torch.no_grad():
            alone = milliseconds(forward)
        return f"{alone:7.3f} {milliseconds(both):7.3f}"

    print("ms: forward, with backward")
    tables = ("FORWARD", "CENTRE", "NEIGHBOUR")
    chosen = {name: getattr(attention_autograd, name) for name in tables}
    for products in ("highest", "high"):
        torch.set_float32_matmul_precision(products)
        print(products, "torch", timed("torch"), flush=True)
        for name, chunk, atoms in (
            (None, 0, 0),
            *itertools.product(tables, (2, 4, 8), (8, 16, 32)),
        ):
            launch = attention_autograd.Launch(chunk, atoms)
            for table, default in chosen.items():
                setattr(attention_autograd, table, launch if table == name else default)
            try:
                times = timed("triton")
            except Exception as error:  # too much shared memory, for instance
                times = f"{type(error).__name__}: {error}"[:80]
            print(products, name or "as chosen", launch if name else "", times, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--features", type=int, help="default 256; with --pairs 192")
    parser.add_argument("--heads", type=int, default=12, help="with --pairs")
    parser.add_argument("--batch", type=int, nargs="*", default=[64, 256, 512])
    parser.add_argument("--data", default=str(SAMPLE), help="file of benchmarks.pack_qm9")
    parser.add_argument("--preset", help="time this preset instead of an EGNN")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--sweep", action="store_true", help="launches of the kernels instead")
    parser.add_argument("--pairs", action="store_true", help="the pair operation of attention")
    arguments = parser.parse_args()
    if arguments.features is None:
        arguments.features = 192 if arguments.pairs else 256
    if not torch.cuda.is_available():
        print("There is no GPU here: nothing was timed.")
        return
    X, _ = unpack(arguments.data)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if arguments.pairs:
        device = torch.device("cuda", 0)
        reason = fused_pairs.why_not(arguments.features, arguments.heads, N_PAIR_FEATURES, device)
        print(f"Triton kernels of pairs: {reason or 'agree with PyTorch'}", flush=True)
        sweep_pairs(X, arguments.features, arguments.heads, max(arguments.batch))
        return
    for precision in ("fp32", "bf16"):
        torch.set_float32_matmul_precision("highest")
        reason = fused.why_not(arguments.features, torch.device("cuda", 0), precision)
        print(f"Triton kernels, {precision}: {reason or 'agree with PyTorch'}", flush=True)
    if arguments.sweep:
        sweep(X, arguments.features, max(arguments.batch))
        return
    limits = ceilings()
    print(", ".join(f"{name} {speed / 1e12:.0f} TFLOP/s" for name, speed in limits.items()))
    train_table(X, arguments, limits)


if __name__ == "__main__":
    main()

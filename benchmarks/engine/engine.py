"""Training and evaluation of the EGNN on real QM9: plain twin against the fast paths.

    python -m benchmarks.engine [--quick] [--sizes 4x64 6x128 9x256] [--seconds 100] [--memory]
    OMP_NUM_THREADS=1 python -m benchmarks.engine --cpu-time    # on a machine that is busy
    MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 \
        python -m benchmarks.engine --instructions avx2         # on a processor that has more

All paths share one set of weights and take turns in one process, so that other load on the machine
meets them alike; compare ratios. A training step is forward and backward of a denoising-like loss
(batch 64), an evaluation is one forward without gradients (batch 100). "Output error" is the
largest absolute difference from the plain twin, "gradient error" the relative L2 norm over all
parameters. The ceilings are the fastest large matrix products of PyTorch in the number formats of
the paths that run here, measured before and after; GFLOP/s count the factored network
(`benchmarks.engine_paths.operations`), so that the twin, which does more, seems slower than it is.

``--seconds`` is for all tables together: each gets its part of what those before it left over
(larger networks more), and at least one turn of all paths; of a quarter of the molecules where all
of them would take longer. ``--memory`` adds the tables of `benchmarks.memory`.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch

from benchmarks import memory
from benchmarks.engine_paths import (
    PATHS,
    Path,
    ceiling,
    fast_formats,
    operations,
    real_batch,
    seconds,
    use_instructions,
)
from deepchem_ead.kernels.native.build import INSTRUCTION_SETS

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
MOST_TURNS = 20
# Passes of the plain twin that a table of one turn takes, with what the other paths add to it.
PASSES = 3


def runnable(n_layers: int, n_features: int, batch) -> list[Path]:
    """The paths that run on this machine; the plain twin is the first."""
    found = []
    for name in PATHS:
        try:
            found.append(Path(name, n_layers, n_features, batch))
        except RuntimeError as error:
            print(f"{name} left out: {error}")
    return found


def compare(task: str, n_layers: int, n_features: int, n: int, budget: float, clock) -> None:
    """Time and print one table, in `budget` seconds or one turn."""
    begin = time.perf_counter()
    training = task == "training"
    twin = Path("plain twin", n_layers, n_features, real_batch(0 if training else 1, n // 4))
    if 4 * PASSES * seconds(twin.train if training else twin.evaluate) > budget:
        n //= 4
    batch = real_batch(0 if training else 1, n)
    work = operations(batch[2], n_layers, n_features) * (3 if training else 1)
    paths = runnable(n_layers, n_features, batch)
    outputs = [path.evaluate() for path in paths]
    errors = [[float((output - outputs[0]).abs().max())] for output in outputs]
    if training:
        gradients = [path.gradient() for path in paths]
        norm = gradients[0].norm()
        for error, gradient in zip(errors, gradients, strict=True):
            error.append(float((gradient - gradients[0]).norm() / norm))
    limits = {name: ceiling(FORMATS[name], clock) for name in fast_formats()}
    turns, turn, first = 0, 0.0, time.perf_counter()
    while not turns or (turns < MOST_TURNS and time.perf_counter() - begin + turn < budget):
        for path in paths:
            # The twin is an order of magnitude slower: fewer, but never only one.
            for _ in range(1 if path is paths[0] else 2):
                path.times.append(seconds(path.train if training else path.evaluate, clock))
        turns += 1
        turn = (time.perf_counter() - first) / turns
    limits = {name: max(limits[name], ceiling(FORMATS[name], clock)) for name in limits}
    print(
        f"\n{task}: {n_layers} layers x {n_features} features, {n} molecules, {work / 1e9:.3g} "
        f"GFLOP, {turns} turns, {torch.get_num_threads()} threads, ceilings "
        + ", ".join(f"{name} {limit:.0f}" for name, limit in limits.items())
        + " GFLOP/s"
    )
    columns = f"{'path':<12} {'min s':>8} {'median s':>9} {'ratio min':>9} {'median':>7}"
    columns += f" {'GFLOP/s':>8} {'of ceiling':>10} {'output error':>13}"
    print(columns + (f" {'gradient error':>15}" if training else ""))
    base = paths[0].times
    for path, error in zip(paths, errors, strict=True):
        quickest, middle = min(path.times), median(path.times)
        speed = work / quickest / 1e9
        limit = limits[PATHS[path.name][1]]
        row = f"{path.name:<12} {quickest:8.4f} {middle:9.4f} {min(base) / quickest:8.1f}x "
        row += f"{median(base) / middle:6.1f}x {speed:8.0f} {speed / limit:10.0%} {error[0]:13.1e}"
        print(row + (f" {error[1]:15.1e}" if training else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["4x64", "6x128", "9x256"])
    parser.add_argument("--seconds", type=float, default=100.0, help="for all tables together")
    parser.add_argument(
        "--quick", action="store_true", help="as --seconds 0: one turn, quarter batches"
    )
    parser.add_argument("--cpu-time", action="store_true", help="count processor time; one thread")
    parser.add_argument("--memory", action="store_true", help="also the tables of memory (minutes)")
    parser.add_argument("--instructions", choices=INSTRUCTION_SETS, help="other than the best")
    arguments = parser.parse_args()
    use_instructions(arguments.instructions)
    fast_formats()  # compiles the kernels before any time is counted
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes]
    tasks = (("evaluation", 100), ("training", 64))
    tables = [(task, *size, n) for size in sizes for task, n in tasks]
    weights = [n_layers * n_features for _, n_layers, n_features, _ in tables]
    end = time.perf_counter() + (0.0 if arguments.quick else arguments.seconds)
    for k, table in enumerate(tables):
        share = (end - time.perf_counter()) * weights[k] / sum(weights[k:])
        compare(*table, share, clock)
    if arguments.memory:
        memory.tables(arguments.quick, arguments.cpu_time)


if __name__ == "__main__":
    main()

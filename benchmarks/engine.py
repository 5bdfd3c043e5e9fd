"""Training, sampling and memory of the EGNN on real QM9: plain twin against the fast paths.

    python -m benchmarks.engine [--quick] [--sizes 9x256 6x128 4x64] [--seconds 45] [--no-memory]
    OMP_NUM_THREADS=1 python -m benchmarks.engine --cpu-time    # on a machine that is busy

All paths share one set of weights and take turns in one process, so that other load on the machine
meets them alike; compare ratios. A training step is forward and backward of a denoising-like loss
(batch 64), an evaluation is one forward without gradients (batch 100). "Output error" is the
largest absolute difference from the plain twin, "gradient error" the relative L2 norm over all
parameters. The ceilings are the fastest large matrix products of PyTorch in both number formats,
measured before and after; GFLOP/s count the factored network
(`benchmarks.engine_paths.operations`), so that the twin, which does more, seems slower than it is.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch

from benchmarks import memory
from benchmarks.engine_paths import PATHS, Path, ceiling, operations, real_batch, seconds

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def runnable(n_layers: int, n_features: int, batch) -> list[Path]:
    """The paths that run on this machine; the plain twin is the first."""
    found = []
    for name in PATHS:
        try:
            found.append(Path(name, n_layers, n_features, batch))
        except RuntimeError as error:
            print(f"{name} left out: {error}")
    return found


def compare(
    task: str, n_layers: int, n_features: int, n: int, budget: float, at_least: int, clock
) -> None:
    """Time and print one table."""
    training = task == "training"
    batch = real_batch(0 if training else 1, n)
    work = operations(batch[2], n_layers, n_features) * (3 if training else 1)
    paths = runnable(n_layers, n_features, batch)
    expected = paths[0].evaluate()
    errors = [[float((path.evaluate() - expected).abs().max())] for path in paths]
    if training:
        gradient = paths[0].gradient()
        for path, error in zip(paths, errors, strict=True):
            error.append(float((path.gradient() - gradient).norm() / gradient.norm()))
    limits = {name: ceiling(dtype, clock) for name, dtype in FORMATS.items()}
    spent, turns = 0.0, 0
    while turns < at_least or (spent < budget and turns < 20):
        for path in paths:
            # The twin is an order of magnitude slower: fewer, but never only one.
            for _ in range(1 if path is paths[0] else 2):
                path.times.append(seconds(path.train if training else path.evaluate, clock))
                spent += path.times[-1]
        turns += 1
    limits = {name: max(limits[name], ceiling(dtype, clock)) for name, dtype in FORMATS.items()}
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
    parser.add_argument("--sizes", nargs="+", default=["9x256", "6x128", "4x64"])
    parser.add_argument(
        "--seconds", type=float, default=45.0, help="for each table, at three turns"
    )
    parser.add_argument("--quick", action="store_true", help="two turns, quarter batches")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time; one thread")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    part, budget, at_least = (4, 0.0, 2) if arguments.quick else (1, arguments.seconds, 3)
    for size in arguments.sizes:
        n_layers, n_features = map(int, size.split("x"))
        compare("training", n_layers, n_features, 64 // part, budget, at_least, clock)
        compare("evaluation", n_layers, n_features, 100 // part, budget, at_least, clock)
    if not arguments.no_memory:
        memory.tables(arguments.quick, arguments.cpu_time)


if __name__ == "__main__":
    main()

"""Memory of training steps and evaluations, each measured in a process of its own.

    python -m benchmarks.memory [--quick] [--cpu-time]

prints the peak over a base: the resident memory of a process that has loaded everything, built the
network and its gradients and taken one step with a single small molecule. First all paths at
9 x 256 with 64 QM9 molecules, then from 9 to 181 atoms the native ones with the network of the
``paper-geom`` preset (4 x 256) and the attention denoiser of ``qm9`` (6 x 192, 12 heads), with the
time a molecule takes. ``--cpu-time`` wants one thread (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.attention import Network
from benchmarks.engine_paths import (
    PATHS,
    Batch,
    Path,
    fast_formats,
    operations,
    random_batch,
    real_batch,
    seconds,
)

SIZES = (9, 18, 29, 50, 100, 181)
N_HEADS = 12
SHARED = {"egnn", "denoiser", "parameters"}  # of networks on several batches


def _mib(field: str) -> float:
    """Resident memory of this process: now (VmRSS) or at its highest (VmHWM).

    The peak that ``getrusage`` knows is inherited from the process that started this one.
    """
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 2**10


def _network(name: str, n_layers: int, n_features: int, batch: Batch) -> Path | Network:
    """A path of `PATHS`, or for example "attention fp32"."""
    kind, *precision = name.split()
    if kind != "attention":
        return Path(name, n_layers, n_features, batch)
    size = argparse.Namespace(layers=n_layers, features=n_features, heads=N_HEADS)
    return Network("native", *precision, size, batch)


def measure(name: str, task: str, n_layers: int, n_features: int, atoms: int, n: int, clock):
    """Print MiB over the base and seconds of one step; ``atoms`` 0 stands for QM9 molecules."""
    warm_up = _network(name, n_layers, n_features, random_batch(2, 1))
    warm_up.train()
    warm_up.evaluate()
    batch = random_batch(atoms, n) if atoms else real_batch(0, n)
    path = _network(name, n_layers, n_features, batch)
    path.__dict__ |= {k: v for k, v in warm_up.__dict__.items() if k in SHARED}
    base = _mib("VmRSS")
    elapsed = seconds(path.train if task == "train" else path.evaluate, clock)
    print(max(_mib("VmHWM") - base, 0.0), elapsed)


def peak(
    name: str, task: str, n_layers: int, n_features: int, atoms: int, n: int, cpu_time: bool = False
) -> tuple[float, float]:
    """MiB over the base and seconds of one step, in a fresh process.

    Raises
    ------
    subprocess.CalledProcessError
        If the process dies, for example for want of memory.
    """
    arguments = [name, task, *map(str, (n_layers, n_features, atoms, n))]
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", *arguments]
    command += ["--cpu-time"] if cpu_time else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    mib, elapsed = done.stdout.split()[-2:]
    return float(mib), float(elapsed)


def compare_paths(n_layers: int, n_features: int, n: int) -> None:
    """Peak memory of every path for QM9 molecules."""
    print(f"\nmemory over base: {n_layers} layers x {n_features} features, {n} QM9 molecules")
    print(f"{'path':<12} {'training MiB':>12} {'of the twin':>11} {'evaluation MiB':>14}")
    twin = None
    for name in PATHS:
        try:
            training = peak(name, "train", n_layers, n_features, 0, n)[0]
            evaluation = peak(name, "evaluate", n_layers, n_features, 0, n)[0]
        except subprocess.CalledProcessError as error:
            print(f"{name:<12} {error.stderr.strip().splitlines()[-1]}")
            continue
        twin = twin or training
        print(f"{name:<12} {training:12.0f} {training / twin:11.1%} {evaluation:14.0f}", flush=True)


def compare_sizes(name: str, n_layers: int, n_features: int, n: int, sizes, cpu_time: bool) -> None:
    """Time and memory of molecules from 9 to 181 atoms."""
    print(f"\n{name}: {n_layers} layers x {n_features} features, {n} molecules of one size")
    print(
        f"{'atoms':>5} {'train ms/mol.':>13} {'GFLOP/s':>8} {'MiB':>6} "
        f"{'evaluate ms/mol.':>16} {'GFLOP/s':>8} {'MiB':>6}"
    )
    for atoms in sizes:
        work = operations(random_batch(atoms, n)[2], n_layers, n_features) / 1e9
        row = f"{atoms:5d}"
        for task, times, width in (("train", 3, 13), ("evaluate", 1, 16)):
            mib, elapsed = peak(name, task, n_layers, n_features, atoms, n, cpu_time)
            # `operations` counts those of the EGNN.
            speed = "" if name.startswith("attention") else f"{times * work / elapsed:.0f}"
            row += f" {1e3 * elapsed / n:{width}.2f} {speed:>8} {mib:6.0f}"
        print(row, flush=True)


def tables(quick: bool = False, cpu_time: bool = False) -> None:
    """Print all tables of this module."""
    compare_paths(9, 256, 16 if quick else 64)
    n, sizes = (8, SIZES[:3]) if quick else (64, SIZES)
    for precision in fast_formats():
        compare_sizes(f"native {precision}", 4, 256, n, sizes, cpu_time)
        compare_sizes(f"attention {precision}", 6, 192, n, sizes, cpu_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few and small molecules")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time; one thread")
    parser.add_argument("--measure", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, task, *numbers = arguments.measure
        clock = time.process_time if arguments.cpu_time else time.perf_counter
        measure(name, task, *map(int, numbers), clock)
    else:
        tables(arguments.quick, arguments.cpu_time)


if __name__ == "__main__":
    main()

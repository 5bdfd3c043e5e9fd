"""Molecules a second as a user of ``generate`` sees them, against the network alone.

    python -m benchmarks.generation [--quick] [--model qm9-small] [--batch-sizes auto 50 400]

For each batch size ``generate`` runs once, with a clock around the denoiser and around the parts
of the sampler, so that the shares belong to one run and other load on the machine meets them alike.
Before and after, the denoiser alone is timed on the largest batch of that run: the bare engine. A
row compares both by the time one molecule takes for one evaluation of the network.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from unittest import mock

import torch

from deepchem_ead import EADModel
from deepchem_ead.diffusion import DiffusionProcess
from deepchem_ead.sampling import MoleculeNoise
from deepchem_ead.sampling.clocked import ClockedRun
from deepchem_ead.sampling.planned import PlannedRun

#: Part of the sampler to what is timed as this part.
PARTS: dict[str, list[tuple[type, str]]] = {
    "frame and levels": [(DiffusionProcess, "estimate")],
    "random numbers": [(MoleculeNoise, "normal"), (MoleculeNoise, "uniform")],
    "schedule": [(ClockedRun, "next"), (PlannedRun, "next")],
}


class Clock:
    """Seconds spent in functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def around(self, name: str, function: Callable) -> Callable:
        """The function, timed."""

        def timed(*arguments, **options):
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] += time.perf_counter() - began

        return timed


@contextmanager
def timed_parts(denoiser: torch.nn.Module, clock: Clock) -> Iterator[list[tuple]]:
    """Time the denoiser and all PARTS; gives the inputs of the largest evaluation."""
    largest: list[tuple] = [()]
    forward = clock.around("network", denoiser.forward)

    def evaluate(x, h, layout):
        if not largest[0] or layout.n_nodes > largest[0][2].n_nodes:
            largest[0] = (x, h, layout)
        return forward(x, h, layout)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(denoiser, "forward", evaluate))
        for name, functions in PARTS.items():
            for owner, method in functions:
                timed = clock.around(name, getattr(owner, method))
                stack.enter_context(mock.patch.object(owner, method, timed))
        yield largest


def engine_seconds(denoiser: torch.nn.Module, inputs: tuple, repeats: int) -> list[float]:
    """Seconds of evaluations of the denoiser alone."""
    clock, seconds = time.perf_counter, []
    with torch.no_grad():
        for _ in range(repeats):
            began = clock()
            denoiser(*inputs)
            seconds.append(clock() - began)
    return seconds


def measure(model: EADModel, n: int, batch_size: int | None, repeats: int, **options) -> dict:
    """One run of ``generate`` and the engine on its largest batch, times per evaluation."""
    denoiser = model.model.sampling_denoiser
    model.generate(2, steps=2, progress=False)  # compiles and warms up
    clock = Clock()
    with timed_parts(denoiser, clock) as largest:
        molecules = model.generate(n, batch_size=batch_size, seed=0, progress=False, **options)
    seconds, parts = molecules.info["seconds"], dict(clock.seconds)
    # what surrounds the network in the process is timed together with it
    parts["frame and levels"] -= parts["network"]
    parts["rest"] = seconds - sum(parts.values())
    (inputs,) = largest
    bare = engine_seconds(denoiser, inputs, repeats)
    return {
        "batch": inputs[2].n_molecules,
        "rate": n / seconds,
        "user": seconds / sum(molecules.info["evaluations"]),
        "bare min": min(bare) / inputs[2].n_molecules,
        "bare": median(bare) / inputs[2].n_molecules,
        "shares": {name: part / seconds for name, part in parts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 molecules in 10 steps")
    parser.add_argument("--model", default="qm9-small")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--n", type=int, default=1000, help="molecules of a run")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--schedule", default="adaptive")
    parser.add_argument("--batch-sizes", nargs="+", default=["auto"], help="auto, or molecules")
    parser.add_argument("--repeats", type=int, default=5, help="evaluations of the bare engine")
    arguments = parser.parse_args()
    n, steps = (200, 10) if arguments.quick else (arguments.n, arguments.steps)
    model = EADModel.from_pretrained(arguments.model, precision=arguments.precision)
    print(
        f"{arguments.model}, {model.model.sampling_denoiser.active_backend}, "
        f"{torch.get_num_threads()} threads, {n} molecules, {arguments.schedule}, {steps} steps\n"
    )
    head = ["largest batch", "molecules / s", "ms a molecule and evaluation", "bare min", "median"]
    head += ["network", *PARTS, "rest"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for word in arguments.batch_sizes:
        batch_size = None if word == "auto" else int(word)
        row = measure(
            model, n, batch_size, arguments.repeats, steps=steps, schedule=arguments.schedule
        )
        cells = [f"{row['batch']}" + " (auto)" * (word == "auto"), f"{row['rate']:.2f}"]
        cells += [f"{1e3 * row[name]:.3f}" for name in ("user", "bare min", "bare")]
        cells += [f"{100 * row['shares'][name]:.1f} %" for name in ("network", *PARTS, "rest")]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

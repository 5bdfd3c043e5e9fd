"""Molecules a second as a user of ``generate`` sees them, against the network alone.

    python -m benchmarks.generation [--quick] [--model qm9-small] [--batch-sizes auto 50 400]
    python -m benchmarks.generation --drugs --model drugs --n 64 --steps 100
    python -m benchmarks.generation --conformers 40 --model drugs --batch-sizes 1 8 32 --cpu-time

For each batch size ``generate`` runs once, with a clock around the denoiser and around the parts
of the sampler, so that the shares belong to one run and other load on the machine meets them alike.
Before and after, the denoiser alone is timed on the largest batch of that run: the bare engine. A
row compares both by the time one molecule takes for one evaluation of the network.

``--drugs`` draws molecules of the sizes of shipped drug-like ones, not of the model's own sizes.
``--conformers N`` draws conformers in place of molecules, two of each shipped molecule of N atoms
(drug-like, or of QM9 where the model knows no larger ones), all levels at once, with everything
that a user of ``deepchem-ead conformers`` waits for: graphs read, samples checked. A model without
weights is timed untrained. ``--cpu-time``, with one thread, counts processor time.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from unittest import mock

import numpy as np
import torch
from rdkit import Chem

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.conformers import ConformerOptions, Entry, generate_conformers
from deepchem_ead.conformers.search import Preparation
from deepchem_ead.diffusion import DiffusionProcess, Seen
from deepchem_ead.generation import conformers
from deepchem_ead.generation.job import _Job
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generator.pretrained import names
from deepchem_ead.molnet.drugs3d_table import Drugs3DTable
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.sampling import MoleculeNoise
from deepchem_ead.sampling.clocked import ClockedRun
from deepchem_ead.sampling.planned import PlannedRun

#: Part of the sampler to what is timed as this part.
PARTS: dict[str, list[tuple[type, str]]] = {
    "frame and levels": [(DiffusionProcess, "estimate")],
    "random numbers": [(MoleculeNoise, "normal"), (MoleculeNoise, "uniform")],
    "schedule": [(ClockedRun, "next"), (PlannedRun, "next")],
}
#: The same of conformers.
CONFORMER_PARTS: dict[str, list[tuple[type, str]]] = PARTS | {
    "graphs and checks": [
        (Preparation, "__init__"), (Preparation, "__call__"), (conformers.ModelSource, "__init__"),
    ],
    "begin and end": [(_Job, "enter"), (_Job, "decode")],
}  # fmt: skip


@dataclass
class Clock:
    """Seconds spent in functions, by name, and what the network was asked."""

    now: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    evaluations: int = 0
    largest: Seen | None = None

    def around(self, name: str, function: Callable) -> Callable:
        """The function, timed."""

        def timed(*arguments, **options):
            began = self.now()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] += self.now() - began

        return timed


@contextmanager
def timed_parts(
    denoiser: torch.nn.Module, clock: Clock, parts: dict[str, list[tuple[type, str]]]
) -> Iterator[None]:
    """Time the denoiser and all parts."""
    forward = clock.around("network", denoiser.forward)

    def evaluate(seen: Seen):
        clock.evaluations += seen.layout.n_molecules
        if clock.largest is None or seen.layout.n_nodes >= clock.largest.layout.n_nodes:
            clock.largest = seen
        return forward(seen)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(denoiser, "forward", evaluate))
        for name, functions in parts.items():
            for owner, method in functions:
                timed = clock.around(name, getattr(owner, method))
                stack.enter_context(mock.patch.object(owner, method, timed))
        yield


def engine_seconds(
    denoiser: torch.nn.Module, seen: Seen, repeats: int, clock: Clock
) -> list[float]:
    """Seconds of evaluations of the denoiser alone."""
    seconds = []
    with torch.no_grad(), denoiser.weights_kept():
        denoiser(seen)
        for _ in range(repeats):
            began = clock.now()
            denoiser(seen)
            seconds.append(clock.now() - began)
    return seconds


def measure(
    model: EADModel, run: Callable[[], int], parts: dict, repeats: int, clock: Clock
) -> dict:
    """One run, of so many molecules, and the engine on its largest batch, times per evaluation."""
    denoiser = model.model.sampling_denoiser
    with timed_parts(denoiser, clock, parts):
        began = clock.now()
        n = run()
        seconds = clock.now() - began
    found = dict(clock.seconds)
    # what surrounds the network in the process is timed together with it
    found["frame and levels"] -= found["network"]
    found["rest"] = seconds - sum(found.values())
    assert clock.largest is not None
    batch = clock.largest.layout.n_molecules
    bare = engine_seconds(denoiser, clock.largest, repeats, clock)
    return {
        "batch": batch,
        "rate": n / seconds,
        "user": seconds / clock.evaluations,
        "bare min": min(bare) / batch,
        "bare": median(bare) / batch,
        "shares": {name: part / seconds for name, part in found.items()},
    }


def molecules_of(n_atoms: int, model: EADModel) -> list[Chem.Mol]:
    """Shipped molecules of so many atoms without coordinates."""
    if n_atoms > 29:
        table = Drugs3DTable.sample()
        rows = np.flatnonzero(table.n_atoms == n_atoms)
        mols = [Chem.AddHs(Chem.MolFromSmiles(table.smiles_of(int(row)))) for row in rows]
    else:
        qm9 = MoleculeBatch.from_padded(load_sample()[0].to_padded(29))
        mols = [m for m in qm9[np.flatnonzero(qm9.counts == n_atoms)].to_rdkit() if m is not None]
    for mol in mols:
        mol.RemoveAllConformers()
    known = set(model.encoding.kinds)
    kinds = [{(a.GetAtomicNum(), a.GetFormalCharge()) for a in mol.GetAtoms()} for mol in mols]
    return [mol for mol, own in zip(mols, kinds, strict=True) if own <= known]


def drug_sizes(n: int) -> list[int]:
    """Numbers of atoms of shipped drug-like molecules, evenly from all of them."""
    counts = np.sort(Drugs3DTable.sample().n_atoms)
    return counts[(np.arange(n) * len(counts)) // n].tolist()


def draw_conformers(
    model: EADModel, mols: list[Chem.Mol], n: int, batch_size: int | None, steps: int
) -> int:
    """Conformers of the first molecules, two of each, each drawn once, right or wrong."""
    options = SamplingOptions(
        steps=steps, batch_size=batch_size, seed=0, schedule="synchronous", stepper="ancestral"
    )
    sources = conformers.ModelSources(model, options)
    wanted = ConformerOptions(n=2, tries=1, check_bonds=False)
    entries = [Entry(k, "", "", mols[k % len(mols)]) for k in range((n + 1) // 2)]
    for _ in generate_conformers(entries, sources, wanted):
        pass
    return 2 * len(entries)


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
    parser.add_argument("--drugs", action="store_true", help="sizes of drug-like molecules")
    parser.add_argument("--conformers", type=int, metavar="ATOMS", help="draw conformers")
    parser.add_argument("--cpu-time", action="store_true", help="with one thread only")
    arguments = parser.parse_args()
    if arguments.cpu_time and torch.get_num_threads() > 1:
        parser.error("--cpu-time adds up the threads' times: set OMP_NUM_THREADS=1")
    n, steps = (200, 10) if arguments.quick else (arguments.n, arguments.steps)
    trained = arguments.model in names()
    make = EADModel.from_pretrained if trained else EADModel
    model = make(arguments.model, precision=arguments.precision)
    what, parts = f"{n} molecules, {arguments.schedule}", PARTS
    sizes = drug_sizes(n) if arguments.drugs else None
    mols: list[Chem.Mol] = []
    if arguments.conformers:
        mols, parts = molecules_of(arguments.conformers, model), CONFORMER_PARTS
        what = f"conformers of {arguments.conformers} atoms, synchronous"
    print(
        f"{arguments.model}{'' if trained else ' (untrained)'}, "
        f"{model.model.sampling_denoiser.active_backend}, {torch.get_num_threads()} threads, "
        f"{what}, {steps} steps, {'processor' if arguments.cpu_time else 'wall'} time\n"
    )
    head = ["largest batch", "molecules / s", "ms a molecule and evaluation", "bare min", "median"]
    head += ["s of 50 evaluations", "network", *parts, "rest"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for word in arguments.batch_sizes:
        batch_size = None if word == "auto" else int(word)

        def run(n: int = n, steps: int = steps, batch_size: int | None = batch_size) -> int:
            if mols:
                return draw_conformers(model, mols, max(batch_size or 64, 8), batch_size, steps)
            model.generate(
                n, batch_size=batch_size, steps=steps, schedule=arguments.schedule, seed=0,
                progress=False, n_atoms=sizes,
            )  # fmt: skip
            return n

        model.generate(2, n_atoms=9, steps=2, progress=False)  # compiles and warms up
        clock = Clock(time.process_time if arguments.cpu_time else time.perf_counter)
        row = measure(model, run, parts, arguments.repeats, clock)
        cells = [f"{row['batch']}" + " (auto)" * (word == "auto"), f"{row['rate']:.2f}"]
        cells += [f"{1e3 * row[name]:.3f}" for name in ("user", "bare min", "bare")]
        cells += [f"{50 * row['user']:.3f}"]
        cells += [
            f"{100 * row['shares'].get(name, 0):.1f} %" for name in ("network", *parts, "rest")
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Losses that treat rotations in four ways, on one network at equal processor time.

    nohup nice -n 19 env OMP_NUM_THREADS=1 python -m benchmarks.symmetry --out runs/symmetry \
        --hours 6 --seeds 0 1 2 [--from qm9] > runs/symmetry.log 2>&1 &
    python -m benchmarks.symmetry --out runs/symmetry --report [--from qm9]
    python -m benchmarks.symmetry --model qm9     # only the errors of a model

Trains a small network on QM9 for each task ("conformer": positions of a given graph; "free":
molecules from nothing), seed and `SYMMETRIES` in turns of ``--turn`` minutes of processor time, at
a constant rate, until each has had ``--hours``: what there is can be compared at any time. With
``--from`` all begin from a model that knows bonds and both tasks, which shows in minutes what a
loss makes of a good network. It can be killed and given again. ``--report`` measures, of the latest
checkpoints, the error of the positions' noise at several levels on the same validation molecules
and noise, all of it and without what turns molecules, and what is sampled by an ordinary stepper
and by that of the quotient: conformers of ``--n`` test graphs beside their geometry by DFT (two for
each), or molecules. Prints Markdown; what has been measured is kept in the folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from deepchem.data import Dataset
from rdkit import Chem

from benchmarks.tables import markdown
from benchmarks.turns import (
    COMMON,
    LEVELS,
    SMALL,
    Training,
    chosen,
    in_turns,
    noised,
    parsed,
    spread,
    title_of,
)
from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules
from deepchem_ead.diffusion import channel, level_of, project_rotation
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.molnet import DATASETS

SYMMETRIES = ("none", "kabsch", "averaged", "quotient")
PRESETS = {"conformer": "conformers-qm9", "free": "qm9"}
#: Where trainings begin from a model that knows bonds and both tasks.
STARTED = {
    "conformer": ("conformers-qm9", {"learning_rate": 2e-4}),
    "free": ("qm9-joint", {"learning_rate": 2e-4, "tasks": "free"}),
}
STEPPERS = ("ancestral", "quotient")


class Run(NamedTuple):
    """One training."""

    task: str
    symmetry: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.symmetry}-{self.seed}"

    def training(self, arguments: argparse.Namespace) -> Training:
        """Where it is, and what it trains."""
        folder, start = arguments.out / self.name, arguments.start
        given = {"symmetry": self.symmetry, "seed": self.seed}
        if start:
            preset, steady = STARTED[self.task]
            return Training(folder, preset, COMMON | steady | arguments.options | given, start)
        changes = COMMON | SMALL | {"self_conditioning": False} | arguments.options | given
        return Training(folder, PRESETS[self.task], changes)


def runs_of(arguments: argparse.Namespace) -> Iterator[Run]:
    """All runs, those that are compared with each other one after the other."""
    for seed in arguments.seeds:
        for task in arguments.tasks:
            for symmetry in arguments.symmetries:
                yield Run(task, symmetry, seed)


@torch.no_grad()
def noise_errors(model: EADModel, X: np.ndarray, of_graphs: bool) -> list[tuple[float, ...]]:
    """Per coordinate, by level: squared error of the positions' noise, its horizontal part, and
    the square of what the estimate turns molecules by."""
    process, denoiser, found = model.model.process, model.model.sampling_denoiser, []
    for asked, _, noise in noised(model, X, of_graphs):
        w, layout = asked.w, asked.layout
        tau = process.tau_at(level_of(asked.levels, "positions"))
        target = process.frame.project(channel(noise, "positions"), tau, layout)
        estimate = channel(process.estimate(denoiser, asked).noise, "positions")
        missed = estimate - target
        flat, kept = (
            project_rotation(each, channel(w, "positions"), tau, layout)
            for each in (missed, estimate)
        )
        found.append(tuple(float(p.square().mean()) for p in (missed, flat, estimate - kept)))
    return found


def sampled(model: EADModel, task: str, stepper: str, mols: Sequence[Chem.Mol], n: int) -> dict:
    """What is generated, beside what is true: columns of the report."""
    options = {"stepper": stepper, "schedule": "synchronous", "steps": 50, "seed": 0}
    if task == "free":
        molecules = model.generate(n, progress=False, n_atoms="histogram", **options)
        report = evaluate_molecules(molecules)
        return {"stable": report.molecule_stability, "valid": report.validity}
    generated: list[Chem.Mol | None] = []
    for mol in mols[:n]:
        try:
            graph = Chem.Mol(mol)
            graph.RemoveAllConformers()
            found = model.conformers(
                graph, 2, progress=False, tries=1, check_bonds=False, **options
            )
        except MoleculeError:
            found = None
        generated.append(found)
    table = evaluate_conformers(mols[:n], generated, thresholds=(0.05, 0.5), workers=1).summary
    row = table.xs("missed", level=1)
    return {
        "covered at 0.05 A": float(row["cov_recall"][0.05]),
        "covered at 0.5 A": float(row["cov_recall"][0.5]),
        "RMSD of the best of 2, A": float(table.xs("left out", level=1)["amr_recall"][0.5]),
        "failed": sum(mol is None for mol in generated) / len(generated),
    }


class Measuring(NamedTuple):
    """Validation molecules of each task, and test molecules with their geometries."""

    X: dict[str, np.ndarray]
    mols: list[Chem.Mol]


def measured(model: EADModel, task: str, n: int, data: Measuring) -> dict:
    """All numbers of a model."""
    found: dict[str, Any] = {"errors": noise_errors(model, data.X[task], task == "conformer")}
    for stepper in STEPPERS:
        found[stepper] = sampled(model, task, stepper, data.mols, n)
    return found


def print_report(arguments: argparse.Namespace, parts: dict[str, tuple[Dataset, ...]]) -> None:
    """A table of errors and one of samples for each task; means and spreads over seeds."""
    mols = []
    if "conformer" in parts:
        mols = MoleculeBatch.from_padded(chosen(parts["conformer"][2], 2 * arguments.n)).to_rdkit()
        mols = [mol for mol in mols if mol is not None]
    data = Measuring({task: chosen(part[1], arguments.n) for task, part in parts.items()}, mols)
    for task in arguments.tasks:
        rows: dict[str, list[list[str]]] = {"errors": [], **{name: [] for name in STEPPERS}}
        for symmetry in arguments.symmetries:
            runs = [Run(task, symmetry, seed).training(arguments) for seed in arguments.seeds]
            runs = [run for run in runs if run.spent > 0]
            if not runs:
                continue
            measure = partial(measured, task=task, n=arguments.n, data=data)
            found = [run.measured(arguments.n, measure) for run in runs]
            title = title_of(symmetry, runs, found)
            errors = np.array([each["errors"] for each in found])
            rows["errors"].append(
                [
                    title,
                    *(f"{spread(e[:, 0])} / {spread(e[:, 1])}" for e in errors.swapaxes(0, 1)),
                ]
            )
            for stepper in STEPPERS:
                values = [each[stepper] for each in found]
                cells = [spread([v[key] for v in values]) for key in values[0]]
                rows[stepper].append([title, *cells])
                columns = list(values[0])
        if not rows["errors"]:
            continue
        head = [f"{task}: error / horizontal part", *map(str, LEVELS)]
        print(markdown(head, rows["errors"]) + "\n")
        for stepper in STEPPERS:
            print(markdown([f"{task}, {stepper}", *columns], rows[stepper]) + "\n", flush=True)


def print_errors(arguments: argparse.Namespace) -> None:
    """A table of a model's errors, and what is expected of one that errs in any direction alike."""
    model = EADModel.from_pretrained(arguments.model, precision="fp32")
    X = chosen(DATASETS[arguments.data].parts((), bonds=model.config.bonds)[1], arguments.n)
    counts = model.encoding.count_atoms(X)
    share = (3 * (counts > 2)).sum() / (3 * (counts - 1)).sum()
    rows = [
        [str(level), f"{error:.4f}", f"{flat:.4f}", f"{1 - flat / error:.3f}", f"{turning:.5f}"]
        for level, (error, flat, turning) in zip(LEVELS, noise_errors(model, X, False), strict=True)
    ]
    head = ["level", "error", "horizontal part", "share that turns", "what the estimate turns"]
    print(markdown(head, rows))
    print(f"Turns are a share of {share:.3f} of the directions of {len(X)} molecules.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen_one = parser.add_mutually_exclusive_group(required=True)
    chosen_one.add_argument("--out", type=Path)
    chosen_one.add_argument("--model", help="of molecules from nothing: measures its errors")
    parser.add_argument("--tasks", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--symmetries", nargs="+", default=list(SYMMETRIES))
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="weights that all trainings begin from"
    )
    arguments = parsed(parser)
    if arguments.model:
        print_errors(arguments)
        return
    parts = {
        task: DATASETS[arguments.data].parts(
            (), bonds=bool(getattr(arguments, "from")) or task == "conformer"
        )
        for task in arguments.tasks
    }
    if arguments.report:
        print_report(arguments, parts)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = [(run.training(arguments), parts[run.task][0]) for run in runs_of(arguments)]
    in_turns(runs, arguments)


if __name__ == "__main__":
    main()

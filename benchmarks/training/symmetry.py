"""Losses that treat rotations in four ways, on one network at equal processor time.

    nohup nice -n 19 env OMP_NUM_THREADS=1 python -m benchmarks.symmetry --out runs/symmetry \
        --hours 6 --seeds 0 1 2 > runs/symmetry.log 2>&1 &
    python -m benchmarks.symmetry --out runs/symmetry --report
    python -m benchmarks.symmetry --model qm9     # only the errors of a model

Trains a small network on QM9 for each task ("conformer": positions of a given graph; "free":
molecules from nothing), seed and `SYMMETRIES` in turns of ``--turn`` minutes of processor time, at
a constant rate, until each has had ``--hours``: what there is can be compared at any time. It can
be killed and given again. ``--report`` measures, of the latest checkpoints, the error of the
positions' noise at several levels on the same validation molecules and noise, all of it and without
what turns molecules, and what is sampled by an ordinary stepper and by that of the quotient:
conformers of ``--n`` test graphs beside their geometry by DFT (two for each), or
molecules. Prints Markdown; what has been measured is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from deepchem.data import Dataset
from rdkit import Chem

from benchmarks.tables import markdown
from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.commands.options import parse_option
from deepchem_ead.diffusion import Bonds, bonds_of_pairs, channel, project_rotation
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.molnet import DATASETS

SYMMETRIES = ("none", "kabsch", "averaged", "quotient")
LEVELS = (50, 100, 200, 300, 500, 800)
#: What both tasks have in common, besides their presets.
COMMON = {
    "n_layers": 5, "n_features": 96, "n_heads": 6, "self_conditioning": False, "batch_size": 32,
    "learning_rate": 5e-4, "learning_rate_decay": "none", "warmup_steps": 200, "ema_decay": 0.999,
    "precision": "fp32",
}  # fmt: skip
PRESETS = {"conformer": "conformers-qm9", "free": "qm9"}
STEPPERS = ("ancestral", "quotient")


class Run(NamedTuple):
    """One training."""

    task: str
    symmetry: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.symmetry}-{self.seed}"


def make_model(run: Run, out: Path, options: dict[str, Any]) -> EADModel:
    """The model of a run, as it is in its latest checkpoint, if there is one."""
    changes = {**COMMON, **options, "symmetry": run.symmetry, "seed": run.seed}
    model = EADModel(preset=PRESETS[run.task], model_dir=str(out / run.name), **changes)
    if model.get_checkpoints():
        model.restore()
    return model


def spent(out: Path, run: Run) -> float:
    """Seconds of the processor that a run has had."""
    record = out / run.name / "spent.json"
    return json.loads(record.read_text())["seconds"] if record.exists() else 0.0


def train(run: Run, out: Path, dataset: Dataset, until: float, options: dict[str, Any]) -> None:
    """Go on until the run has had so many seconds of the processor."""
    before = spent(out, run)
    if before >= until:
        return
    model = make_model(run, out, options)
    began = time.process_time()

    def stop(model: EADModel, step: int) -> None:
        if before + time.process_time() - began >= until:
            model.stop_training()

    model.fit(dataset, nb_epoch=10**6, checkpoint_interval=10**9, callbacks=stop)
    model.save_checkpoint(max_checkpoints_to_keep=2)
    record = {"seconds": before + time.process_time() - began, "steps": model.get_global_step()}
    with atomic_path(out / run.name / "spent.json") as path:
        path.write_text(json.dumps(record))
    print(f"{run.name}: {record['seconds']:.0f} s, {record['steps']} steps", flush=True)


def runs_of(arguments: argparse.Namespace) -> Iterator[Run]:
    """All runs, those that are compared with each other one after the other."""
    for seed in arguments.seeds:
        for task in arguments.tasks:
            for symmetry in arguments.symmetries:
                yield Run(task, symmetry, seed)


@torch.no_grad()
def noise_errors(model: EADModel, X: np.ndarray) -> list[tuple[float, ...]]:
    """Per coordinate, by level: squared error of the positions' noise, its horizontal part, and
    the square of what the estimate turns molecules by."""
    encoding, network, process = model.encoding, model.model.eval(), model.model.process
    encoded = encoding.encode(X, n_nodes=encoding.count_atoms(X))
    clean, layout = encoded.clean, encoded.layout
    context = None
    if network.n_context:
        unknown = torch.full((layout.n_molecules, len(model.config.condition_names)), torch.nan)
        context = network.context(torch.ones(layout.n_molecules) > 0, unknown.double())
    generator, found = torch.Generator().manual_seed(0), []
    for level in LEVELS:
        levels = torch.full((layout.n_nodes,), float(level), dtype=torch.float64)
        tau = process.tau_at(levels)
        if model.config.channel_levels:
            levels = torch.stack([levels, torch.zeros_like(levels)], 1)
        noise = torch.randn(clean.shape, generator=generator)
        w = process.add_noise(clean, levels, process.draw_noise(noise, layout))
        told = {}
        if model.config.bonds:
            kinds = bonds_of_pairs(encoded.bonds, layout)
            told["bonds"] = Bonds(kinds, torch.ones_like(kinds, dtype=torch.bool))
        estimate = process.predict_noise(
            network.sampling_denoiser, w, levels, layout, context, **told
        )
        target = process.frame.project(channel(noise, "positions"), tau, layout)
        estimate = channel(estimate, "positions")
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


def measured(run: Run, arguments: argparse.Namespace, data: Measuring) -> dict:
    """All numbers of a run's latest checkpoint; kept by its steps."""
    model = make_model(run, arguments.out, arguments.options)
    record = arguments.out / run.name / f"measured-{model.get_global_step()}-{arguments.n}.json"
    if not record.exists():
        found: dict[str, Any] = {"errors": noise_errors(model, data.X[run.task])}
        for stepper in STEPPERS:
            found[stepper] = sampled(model, run.task, stepper, data.mols, arguments.n)
        with atomic_path(record) as path:
            path.write_text(json.dumps(found))
    return json.loads(record.read_text()) | {"steps": model.get_global_step()}


def chosen(dataset: Dataset, n: int) -> np.ndarray:
    """X of molecules at random: parts of QM9 begin with the smallest."""
    rows = np.random.default_rng(0).choice(len(dataset), min(n, len(dataset)), replace=False)
    return dataset.X[np.sort(rows)]


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
            runs = [Run(task, symmetry, seed) for seed in arguments.seeds]
            runs = [run for run in runs if spent(arguments.out, run) > 0]
            if not runs:
                continue
            found = [measured(run, arguments, data) for run in runs]
            hours = ", ".join(f"{spent(arguments.out, run) / 3600:.2f}" for run in runs)
            steps = ", ".join(f"{each['steps']:,}" for each in found)
            title = f"{symmetry} ({len(runs)} seeds, {hours} h, {steps} steps)"
            errors = np.array([each["errors"] for each in found])
            rows["errors"].append(
                [
                    title,
                    *(f"{_spread(e[:, 0])} / {_spread(e[:, 1])}" for e in errors.swapaxes(0, 1)),
                ]
            )
            for stepper in STEPPERS:
                values = [each[stepper] for each in found]
                cells = [_spread(np.array([v[key] for v in values])) for key in values[0]]
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
        for level, (error, flat, turning) in zip(LEVELS, noise_errors(model, X), strict=True)
    ]
    head = ["level", "error", "horizontal part", "share that turns", "what the estimate turns"]
    print(markdown(head, rows))
    print(f"Turns are a share of {share:.3f} of the directions of {len(X)} molecules.")


def _spread(values: np.ndarray) -> str:
    error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen_one = parser.add_mutually_exclusive_group(required=True)
    chosen_one.add_argument("--out", type=Path)
    chosen_one.add_argument("--model", help="of molecules from nothing: measures its errors")
    parser.add_argument("--hours", type=float, default=6.0, help="of the processor, for each run")
    parser.add_argument("--turn", type=float, default=20.0, help="minutes of a turn")
    parser.add_argument("--tasks", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--symmetries", nargs="+", default=list(SYMMETRIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--data", default="qm9", help="a data set with bonds")
    parser.add_argument("--n", type=int, default=200, help="molecules that are measured on")
    parser.add_argument("--report", action="store_true", help="measure what there is")
    arguments = parser.parse_args()
    arguments.options = dict(map(parse_option, arguments.set))
    if arguments.model:
        print_errors(arguments)
        return
    parts = {
        task: DATASETS[arguments.data].parts((), bonds=task == "conformer")
        for task in arguments.tasks
    }
    if arguments.report:
        print_report(arguments, parts)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    total, turn = 3600 * arguments.hours, 60 * arguments.turn
    for until in [*np.arange(turn, total, turn), total]:
        for run in runs_of(arguments):
            train(run, arguments.out, parts[run.task][0], float(until), arguments.options)


if __name__ == "__main__":
    main()

"""Direct denoising beside the usual objective: conformers of QM9, one network, equal time.

    OMP_NUM_THREADS=1 python -m benchmarks.direct --out FOLDER --minutes 600 [--seeds 0 1 2]
        [--molecules 200] [--source qm9pack] [--from qm9] [--set n_layers=4 n_features=96 ...]

Trains the presets conformers-qm9 and conformers-qm9-direct, with the same network and changes, for
so many minutes each, from nothing or from a model (``--from``), then generates two conformers of
test molecules with 1 to 100 evaluations of each of their samplers and compares them with the
molecules' geometries: coverage at 0.5 and 0.05 Angstrom, matching, stereo kept (mirrored where that
mends it), seconds a conformer, and the RMSD of both conformers to each other. All is kept in the
folder: the command can be stopped and given again. The table is written to ``direct.md``, rows to
``rows.jsonl``. ``--report`` only writes it.

A run of k steps with n evaluations each asks the network k n times, and once more for the kinds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from benchmarks.tables import markdown
from deepchem_ead import EADModel, MoleculeBatch, load_qm9_3d
from deepchem_ead.commands.options import parse_option
from deepchem_ead.conformers.configuration import Configuration
from deepchem_ead.generation.given import Given
from deepchem_ead.metrics import evaluate_conformers
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions

PRESETS = {"noise": "conformers-qm9", "direct": "conformers-qm9-direct"}
EVALUATIONS = (1, 2, 5, 10, 20, 50, 100)
#: Samplers of reverse transition kernels, and how often a step asks the network.
KERNELS = {"rtk:iterations=2": 2, "rtk-ula": 5, "rtk-uld": 5}
#: Segments from noise to data that the passes are shared among.
SEGMENTS = (1, 4, 10)
THRESHOLDS = (0.05, 0.5)
#: A reference has one conformer; twice as many are generated.
N_CONFORMERS = 2
COLUMNS = ("cov_recall", "cov_precision", "amr_recall", "amr_precision", "stereo_kept")


class Row(NamedTuple):
    """A sampler of a model at a number of evaluations."""

    objective: str
    sampler: str
    steps: int
    evaluations: int


def rows_of(objective: str) -> Iterator[Row]:
    """What is measured of a model."""
    for n in EVALUATIONS:
        if objective == "noise":
            for stepper in ("ancestral", "churn", "ddim", "dpm++2m"):
                yield Row(objective, stepper, n, n)
            for stepper, calls in KERNELS.items():
                if n % calls == 0:
                    yield Row(objective, stepper, n // calls, n)
        else:
            for segments in SEGMENTS:
                if n % segments == 0:
                    yield Row(objective, f"direct:passes={n // segments}", segments, n)


def trained(arguments: argparse.Namespace, objective: str, seed: int, data) -> EADModel:
    """A model of the folder, trained to the end of its time."""
    folder = arguments.out / f"{objective}-{seed}"
    changes = dict(parse_option(option) for option in arguments.set)
    model = EADModel(
        PRESETS[objective], initial_weights=arguments.start, model_dir=folder, seed=seed, **changes
    )
    restore = bool(model.get_checkpoints())
    if restore:
        model.restore()
    if not restore or not model.training_position.finished:
        model.fit(
            data, nb_epoch=10**6, minutes=arguments.minutes, checkpoint_interval=500,
            max_checkpoints_to_keep=2,
        )  # fmt: skip
        if not model.training_position.finished:
            raise SystemExit(f"{folder} was stopped; give the command again")
    return model


def references(X: np.ndarray, n: int) -> tuple[MoleculeBatch, list[Chem.Mol]]:
    """n molecules of a test part, drawn at random, that RDKit makes something of."""
    chosen = np.random.default_rng(0).permutation(len(X))[: 2 * n]
    batch = MoleculeBatch.from_padded(X[chosen])
    mols = batch.to_rdkit()
    kept = [k for k, mol in enumerate(mols) if mol is not None][:n]
    mols = [mols[k] for k in kept]
    for mol in mols:
        Chem.AssignStereochemistryFrom3D(mol)
    return batch[kept], mols


def measure(model: EADModel, row: Row, batch: MoleculeBatch, mols: list[Chem.Mol]) -> dict:
    """Numbers of one row."""
    many = MoleculeBatch.concatenate([batch] * N_CONFORMERS)
    began = time.perf_counter()
    found = model.generate(
        len(many), "synchronous", n_atoms=many.counts, steps=row.steps, stepper=row.sampler,
        seed=0, start=Given(many, "conformer"), progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    generated, spread = [], []
    for k, mol in enumerate(mols):
        both = [found.positions[k + i * len(mols)] for i in range(N_CONFORMERS)]
        generated.append(_with_conformers(mol, both))
        heavy = heavy_positions(generated[-1])
        spread.append(float(best_rmsds(heavy[:1], heavy[1:], graph_matches(mol, mol))[0, 0]))
    report = evaluate_conformers(mols, generated, THRESHOLDS, failures="missed", workers=1)
    scores: dict[str, Any] = {
        f"{name} {threshold}": float(report.summary.loc[(threshold, "missed"), name])
        for threshold in THRESHOLDS
        for name in COLUMNS
    }
    calls = max(found.info["evaluations"])
    return row._asdict() | scores | {
        "calls": calls, "seconds a conformer": seconds / len(many),
        "between conformers": float(np.nanmedian(spread)),
    }  # fmt: skip


def _with_conformers(mol: Chem.Mol, positions: list[np.ndarray]) -> Chem.Mol:
    configuration, made = Configuration(mol), Chem.Mol(mol)
    made.RemoveAllConformers()
    for x in positions:
        x, _ = configuration.righted(x, check_bonds=False)
        conformer = Chem.Conformer(len(x))
        conformer.SetPositions(np.ascontiguousarray(x, np.float64))
        made.AddConformer(conformer, assignId=True)
    return made


def table(rows: list[dict]) -> str:
    """Means over seeds, as Markdown."""
    cells: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in Row._fields), []).append(row)
    columns = {
        "seeds": lambda found: str(len(found)),
        "s a conformer": _mean("seconds a conformer", 3),
        "COV-R 0.5": _mean("cov_recall 0.5", 3),
        "COV-R 0.05": _mean("cov_recall 0.05", 3),
        "COV-P 0.5": _mean("cov_precision 0.5", 3),
        "COV-P 0.05": _mean("cov_precision 0.05", 3),
        "AMR-R": _mean("amr_recall 0.5", 3),
        "AMR-P": _mean("amr_precision 0.5", 3),
        "stereo": _mean("stereo_kept 0.5", 3),
        "apart": _mean("between conformers", 3),
    }
    lines = [
        [*map(str, row), *(cell(found) for cell in columns.values())]
        for row, found in cells.items()
    ]
    return markdown([*Row._fields, *columns], lines)


def _mean(name: str, digits: int):
    return lambda found: f"{np.mean([row[name] for row in found]):.{digits}f}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=600.0, help="of training, for each model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--molecules", type=int, default=200, help="of the test part")
    parser.add_argument("--source", default="auto", help="of QM9, as load_qm9_3d takes it")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="weights that all trainings begin from"
    )
    parser.add_argument("--report", action="store_true", help="write the table of what there is")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if not arguments.report:
        done = {(row["seed"], *(row[name] for name in Row._fields)) for row in rows}
        _, (train, _, test), _ = load_qm9_3d(source=arguments.source, bonds=True)
        batch, mols = references(test.X, arguments.molecules)
        for seed in arguments.seeds:
            for objective in PRESETS:
                wanted = [row for row in rows_of(objective) if (seed, *row) not in done]
                if not wanted:
                    continue
                model = trained(arguments, objective, seed, train)
                for row in wanted:
                    scores = {"seed": seed} | measure(model, row, batch, mols)
                    scores |= {"minutes": arguments.minutes, "steps made": model.get_global_step()}
                    rows.append(scores)
                    with file.open("a") as stream:
                        stream.write(json.dumps(scores) + "\n")
                    print(json.dumps(scores), flush=True)
    text = table(rows)
    (arguments.out / "direct.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

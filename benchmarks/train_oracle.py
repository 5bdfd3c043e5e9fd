"""Train a property oracle on the first half of EDM's training part of QM9.

    python -m benchmarks.train_oracle --tasks alpha,gap,homo,lumo,mu,cv --minutes 60 \\
        --out runs/oracle [--preset oracle-small] [--precision bf16] [--seed 0]

The generator of EDM's conditional protocol learns from the second half, so that this model judges
what it has not taught. Started again with the same ``--out`` it continues from its last checkpoint.
``--out`` receives checkpoints, ``curve.csv`` (the loss), ``validation.csv`` (mean absolute error of
each task on held-out molecules after every epoch; Bohr^3, meV, D, cal/mol/K), and at the end
``errors.json`` (on all of EDM's valid and test parts) and the trained weights in ``model/``.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch

from deepchem_ead import EGNNPropertyModel, load_qm9_3d
from deepchem_ead.metrics.property_units import field_errors, field_unit
from deepchem_ead.models.curve import CurveLog
from deepchem_ead.molnet.splits import edm_halves, one_shard

PROPERTIES = {name.lower(): name for name in ("alpha", "gap", "homo", "lumo", "mu", "Cv")}


def errors(model: EGNNPropertyModel, dataset) -> dict[str, float]:
    """Mean absolute error of each task in the field's units."""
    return field_errors(model.predict(dataset), dataset.y, model.tasks)


class ValidationLog:
    """A ``fit`` callback that appends the errors on held-out molecules to a CSV after every epoch.

    Rows of steps that a restored model has not made yet are dropped.
    """

    def __init__(self, path: Path, model: EGNNPropertyModel, dataset) -> None:
        self.path, self.dataset = path, dataset
        rows = list(csv.DictReader(open(path, newline=""))) if path.exists() else []
        self.columns = ["step", "epoch", "seconds", *model.tasks]
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(r for r in rows if int(r["step"]) <= model.get_global_step())

    def __call__(self, model: EGNNPropertyModel, step: int, **kwargs) -> None:
        position = model.training_position
        if position.batch:
            return
        found = errors(model, self.dataset)
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(
                [step, position.epoch, f"{position.elapsed:.0f}"]
                + [f"{found[task]:.5g}" for task in model.tasks]
            )
        shown = ", ".join(
            f"{task} {value:.4g} {field_unit(task).symbol}" for task, value in found.items()
        )
        print(f"epoch {position.epoch}, {position.elapsed:.0f} s: {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="alpha,gap,homo,lumo,mu,cv")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="oracle-small")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--validation", type=int, default=2000, help="molecules after every epoch")
    parser.add_argument("--train", type=int, help="use only this many molecules of the half")
    parser.add_argument("--data-dir")
    parser.add_argument("--save-dir")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    tasks = [PROPERTIES.get(name.lower(), name) for name in options.tasks.split(",")]
    folders = {"data_dir": options.data_dir, "save_dir": options.save_dir}
    _, (train, valid, test), _ = load_qm9_3d(tasks=tasks, source="qm9pack", **folders)
    half = one_shard(train, edm_halves()[0][: options.train], tasks)
    some = np.random.default_rng(0).permutation(len(valid))[: options.validation]
    held_out = one_shard(valid, some, tasks)

    overrides = dict(text.split("=", 1) for text in options.set)
    overrides = {key: json.loads(value) for key, value in overrides.items()}
    model = EGNNPropertyModel(
        tasks, options.preset, model_dir=str(options.out), precision=options.precision,
        seed=options.seed, **overrides,
    )  # fmt: skip
    n_parameters = sum(p.numel() for p in model.model.egnn.parameters())
    print(f"{n_parameters:,} parameters, {model.model.egnn.active_backend}", flush=True)
    restart = bool(model.get_checkpoints())
    if restart:
        model.restore()
        print(f"continuing from step {model.get_global_step()}", flush=True)
    if not (restart and model.training_position.finished):
        options.out.mkdir(parents=True, exist_ok=True)
        logs = [
            CurveLog(options.out / "curve.csv", model),
            ValidationLog(options.out / "validation.csv", model, held_out),
        ]
        model.fit(
            half, nb_epoch=10**6, minutes=options.minutes, callbacks=logs,
            checkpoint_interval=500, max_checkpoints_to_keep=2,
        )  # fmt: skip
    began = time.perf_counter()
    record = {
        "valid": errors(model, valid),
        "test": errors(model, test),
        "units": {task: field_unit(task).symbol for task in tasks},
        "calibration": dict(zip(tasks, model.calibrate(valid).tolist(), strict=True)),
        "steps": model.get_global_step(),
        "epochs": model.training_position.epoch,
        "seconds": model.training_position.elapsed,
    }
    print(f"scored in {time.perf_counter() - began:.0f} s: {json.dumps(record, indent=1)}")
    (options.out / "errors.json").write_text(json.dumps(record, indent=1) + "\n")
    model.save_pretrained(options.out / "model")


if __name__ == "__main__":
    main()

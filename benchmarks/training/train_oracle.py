"""Train a property oracle, or a guide, on one half of EDM's training part of QM9.

    python -m benchmarks.train_oracle --tasks alpha,gap,homo,lumo,mu,cv --minutes 60 \\
        --out runs/oracle [--preset oracle-small] [--precision bf16] [--seed 0]

The generator of EDM's conditional protocol learns from the second half, so that this model judges
what it has not taught. A guide learns from the second half as well, and from the generator's
estimates: ``--half 2 --set 'estimates_of="qm9"' max_tau=2.0``. Started again with the same
``--out`` it continues from its last checkpoint. ``--out`` receives checkpoints, ``curve.csv`` (the
loss), ``validation.csv`` (mean absolute error of each task on held-out molecules after every epoch;
Bohr^3, meV, D, cal/mol/K), and at the end ``errors.json`` (on all of EDM's valid and test parts)
and the trained weights in ``model/``.
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
from deepchem_ead.molnet.splits import edm_halves, one_shard
from deepchem_ead.training.curve import CurveLog

PROPERTIES = {name.lower(): name for name in ("alpha", "gap", "homo", "lumo", "mu", "Cv")}


def errors(model: EGNNPropertyModel, dataset) -> dict[str, float]:
    """Mean absolute error of each task in the field's units."""
    return field_errors(model.predict(dataset), dataset.y, model.tasks)


def reliability(model: EGNNPropertyModel, dataset) -> dict[str, dict[str, float]]:
    """How well the predicted standard deviations tell the errors.

    Rank correlation of deviation and error; mean error of the surest tenth of the molecules over
    that of all; share of errors within one standard deviation (0.757 for a Laplace distribution).
    """
    mean, std = model.predict_uncertainty(dataset)
    error = np.abs(mean - dataset.y)
    found = {}
    for k, task in enumerate(model.tasks):
        ranks = [np.argsort(np.argsort(values)) for values in (std[:, k], error[:, k])]
        surest = np.argsort(std[:, k])[: len(std) // 10]
        found[task] = {
            "rank_correlation": float(np.corrcoef(*ranks)[0, 1]),
            "surest_tenth": float(error[surest, k].mean() / error[:, k].mean()),
            "within_one_deviation": float((error[:, k] < std[:, k]).mean()),
        }
    return found


def card(name: str, model: EGNNPropertyModel, record: dict) -> str:
    """Model card of the trained weights."""
    rows = "\n".join(
        f"| {task} | {record['units'][task]} | {record['valid'][task]:.4g} | "
        f"{record['test'][task]:.4g} | {record['uncertainty'][task]['rank_correlation']:.2f} | "
        f"{record['uncertainty'][task]['surest_tenth']:.2f} |"
        for task in model.tasks
    )
    config, minutes = model.config, record["seconds"] / 60
    epochs = record["steps"] * config.batch_size / record["n_train"]
    size = f"{config.n_layers} layers and {config.n_features} features"
    purpose = """It judges molecules of generators that were trained on the
other half of the data, as in the conditional experiments of EDM (arXiv:2203.17003)."""
    if config.estimates_of:
        purpose = f"""It guides `{config.estimates_of}`:
it has learned from molecules as that model estimates them from noise, up to a noise-to-signal ratio
of {config.max_tau:g} Angstrom, so that its gradient means something there. To judge molecules, take
a model that did not steer them."""
    return f"""# {name}

Properties of QM9 molecules (H, C, N, O, F; up to 29 atoms) from elements and coordinates, all in
one model, with standard deviations. {purpose}

- **Load it**: `deepchem_ead.EGNNPropertyModel.from_pretrained("{name}")`; predictions are in QM9's
  native units (Bohr^3, Hartree, Debye, cal/mol/K)
- **Network**: EGNN of {size}, {record["n_parameters"] / 1e6:.2f} million parameters, on what a
  regression on the composition leaves of each label
- **Data**: the {record["half"]} half of EDM's training part of QM9, {record["n_train"]:,} molecules
  (Ramakrishnan et al., Scientific Data 1, 140022, 2014; CC0), as packed by qm9pack 1.0.3
- **Training**: {record["steps"]:,} steps of {config.batch_size} molecules ({epochs:.1f} epochs,
  {minutes:.0f} minutes on CPU), AdamW at {config.learning_rate:g} with cosine decay, averaged
  weights ({config.ema_decay:g}), seed {config.seed}

Mean absolute errors on EDM's valid and test parts; the predicted standard deviations are scaled to
the errors on the valid part. Rank correlation of deviation and error, and mean error of the surest
tenth over that of all molecules, on the test part:

| property | unit | valid | test | rank correlation | surest tenth |
|---|---|---|---|---|---|
{rows}

Limits: equilibrium geometries of small organic molecules only. On distorted or broken molecules the
predictions, and their deviations too, mean little. Licence: MIT.
"""


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
    parser.add_argument("--name", default="qm9-oracle", help="of the model card")
    parser.add_argument(
        "--half",
        type=int,
        default=1,
        choices=[1, 2],
        help="1: for a judge; 2: for a guide",
    )
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
    half = one_shard(train, edm_halves()[options.half - 1][: options.train], tasks)
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
        "uncertainty": reliability(model, test),
        "half": {1: "first", 2: "second"}[options.half],
        "n_train": len(half),
        "n_parameters": n_parameters,
        "steps": model.get_global_step(),
        "seconds": model.training_position.elapsed,
    }
    print(f"scored in {time.perf_counter() - began:.0f} s: {json.dumps(record, indent=1)}")
    (options.out / "errors.json").write_text(json.dumps(record, indent=1) + "\n")
    model.save_pretrained(options.out / "model", card(options.name, model, record))


if __name__ == "__main__":
    main()

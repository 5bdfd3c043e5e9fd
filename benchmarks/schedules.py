"""Sampling schedules side by side: the same weights, the same noise, the field's metrics.

``python -m benchmarks.schedules MODEL --out FOLDER`` generates molecules with each schedule and
seed (parts that are in the folder already are kept, so it can be interrupted), scores them and
prints Markdown tables: means with standard errors over seeds, and paired differences with 95 %
bootstrap intervals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules
from deepchem_ead.metrics.reference_rows import QM9_ROW
from deepchem_ead.tasks import training_data

#: Name of a row to arguments of ``generate``.
RUNS: dict[str, dict] = {
    "synchronous": {"schedule": "synchronous"},
    "adaptive, literal": {"schedule": "adaptive", "repeat_rule": "literal"},
    "adaptive, repaint": {"schedule": "adaptive", "repeat_rule": "repaint"},
    "random coin, literal": {"schedule": "random-coin", "repeat_rule": "literal"},
}
#: Pairs of runs whose molecules (equal seed, number, size and initial noise) are compared.
PAIRS = (
    ("adaptive, literal", "synchronous"),
    ("adaptive, repaint", "synchronous"),
    ("random coin, literal", "synchronous"),
    ("adaptive, literal", "random coin, literal"),
)
COLUMNS = {
    "atom_stability": "atom",
    "molecule_stability": "molecule",
    "validity": "valid",
    "valid_unique": "V*U",
    "novelty": "novel",
    "connected": "connected",
}


def generate_parts(
    model: EADModel, folder: Path, n: int, seeds: list[int], steps: int | None
) -> None:
    """Write ``<run>-<seed>.sdf`` and ``.json`` for every run and seed that is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for name, options in RUNS.items():
            stem = folder / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            if stem.with_suffix(".json").exists():
                continue
            print(f"{name}, seed {seed}", flush=True)
            molecules = model.generate(n, seed=seed, steps=steps, batch_size=n, **options)
            molecules.to_xyz(stem.with_suffix(".xyz"))
            record = {"run": name, **molecules.info}
            stem.with_suffix(".json").write_text(json.dumps(record, indent=2))


def score_parts(folder: Path, reference) -> list[dict]:
    """Metrics of every part in both protocols, what its run took, and each molecule's scores."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        info = json.loads(path.read_text())
        molecules = MoleculeBatch.read(path.with_suffix(".xyz"))
        report = evaluate_molecules(molecules, reference=reference)
        strict = evaluate_molecules(molecules, protocol="strict")
        row = {name: getattr(report, name) for name in COLUMNS}
        row |= {"strict_validity": strict.validity, "n": len(molecules)}
        each = report.per_molecule
        row["per_molecule"] = np.column_stack(
            [each.n_stable / each.n_atoms, each.stable, each.valid]
        )
        rows.append(info | row)
    return rows


def table(rows: list[dict]) -> str:
    """Markdown table: mean and standard error over seeds, in percent."""
    head = [*COLUMNS.values(), "strict valid", "evaluations", "s / molecule"]
    lines = ["| % | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for name in RUNS:
        parts = [row for row in rows if row["run"] == name]
        if not parts:
            continue
        cells = [_mean_and_error([row[key] for row in parts]) for key in COLUMNS]
        cells.append(_mean_and_error([row["strict_validity"] for row in parts]))
        cells.append(f"{np.mean([row['n_evaluations'] for row in parts]):.0f}")
        cells.append(f"{np.mean([row['seconds'] / row['n'] for row in parts]):.2f}")
        n = sum(row["n"] for row in parts)
        lines.append(f"| {name} (n={n:,}, {len(parts)} seeds) | " + " | ".join(cells) + " |")
    ceiling = [getattr(QM9_ROW, key, None) for key in COLUMNS]
    cells = ["-" if value is None else f"{100 * value:.2f}" for value in ceiling]
    lines.append("| QM9 itself (130,831) | " + " | ".join([*cells, "99.53", "-", "-"]) + " |")
    return "\n".join(lines)


def paired_table(rows: list[dict], n_resamples: int = 10_000) -> str:
    """Markdown table: mean differences of paired molecules and bootstrap intervals, in points."""
    lines = [
        "| difference | stable share of a molecule's atoms | molecule | valid |",
        "|---|---|---|---|",
    ]
    rng = np.random.default_rng(0)
    for names in PAIRS:
        parts = [sorted((r for r in rows if r["run"] == n), key=lambda r: r["seed"]) for n in names]
        if not all(parts) or [r["seed"] for r in parts[0]] != [r["seed"] for r in parts[1]]:
            continue
        one, other = (np.concatenate([r["per_molecule"] for r in part]) for part in parts)
        difference = 100 * (one.astype(float) - other.astype(float))
        means = np.array(
            [difference[rng.integers(0, len(one), len(one))].mean(0) for _ in range(n_resamples)]
        )
        low, high = np.quantile(means, [0.025, 0.975], axis=0)
        cells = [
            f"{m:+.1f} [{a:+.1f}, {b:+.1f}]"
            for m, a, b in zip(difference.mean(0), low, high, strict=True)
        ]
        lines.append(f"| {names[0]} - {names[1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_and_error(values: list[float]) -> str:
    percent = 100 * np.asarray(values, dtype=float)
    if len(percent) < 2:
        return f"{percent.mean():.1f}"
    return f"{percent.mean():.1f} ± {percent.std(ddof=1) / np.sqrt(len(percent)):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a model, or the name of one that is shipped")
    parser.add_argument("--out", type=Path, default=Path("runs/schedules"))
    parser.add_argument("--n", type=int, default=334, help="molecules per schedule and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    arguments = parser.parse_args()
    model = EADModel.from_pretrained(arguments.model, precision=arguments.precision)
    generate_parts(model, arguments.out, arguments.n, arguments.seeds, arguments.steps)
    rows = score_parts(arguments.out, reference=training_data("qm9"))
    text = f"{table(rows)}\n\n{paired_table(rows)}"
    (arguments.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

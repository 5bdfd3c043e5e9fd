"""Conditional generation on QM9 by EDM's protocol: errors, hit rates, guidance scales.

    python -m benchmarks.conditional MODEL --oracle ORACLE [--second-oracle OTHER] \\
        --out runs/conditional --n 1000 --scales 0 1 2 [--steps 100] [--stepper ddim] \\
        [--precision bf16] [--properties alpha gap,mu]

Requests are drawn from the second half of EDM's training part of QM9, on which the generator must
have been trained; the oracle must come from the first half (`benchmarks.train_oracle`). Every
property, scale and seed is a part of its own: ``<property>-w<scale>-<seed>.json`` (the report),
``.csv.gz`` (each molecule's request and prediction), ``.xyz`` (the molecules) and ``.png``. Parts
that are in the folder already are kept, so the command can be interrupted and given again. Equal
seeds mean equal requests and equal noise in all scales. Prints Markdown tables, writes them to
``table.md``, and draws predicted against requested values of all seeds in ``targets-w<scale>.png``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from deepchem_ead import EADModel, EGNNPropertyModel, evaluate_molecules, load_qm9_3d
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.metrics import CONDITIONAL_ROWS, evaluate_conditional
from deepchem_ead.metrics.conditional_table import BASELINES, SHARES, heading, number
from deepchem_ead.molnet.splits import edm_halves, one_shard
from deepchem_ead.sampling import PropertyGuidance
from deepchem_ead.viz import plot_targets

_BETWEEN = {
    "disagreement": "- between the oracles",
    "real_disagreement": "- between the oracles on real molecules",
}
TASKS = ("alpha", "gap", "homo", "lumo", "mu", "Cv")


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``generate`` that its configuration decides by default."""
    parser.add_argument("--autoguidance", type=float, help="scale; the configuration's by default")
    parser.add_argument(
        "--noise-scale", type=float, help="of ancestral steps; the configuration's by default"
    )
    parser.add_argument(
        "--closed-shell",
        action=argparse.BooleanOptionalAction,
        help="even numbers of electrons only; as the configuration says by default",
    )


def check_settings(folder: Path, settings: dict) -> None:
    """Write the settings of a new folder; refuse to mix parts made with others."""
    path = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(settings, indent=1) + "\n")
        return
    known = json.loads(path.read_text())
    changed = [key for key in settings if known.get(key) != settings[key]]
    if changed:
        key = changed[0]
        raise SystemExit(
            f"{folder} holds parts with {key}={known.get(key)!r}, not {settings[key]!r}; "
            "choose another --out"
        )


def part_stem(folder: Path, asked: Sequence[str], scale: float, seed: int) -> Path:
    """What the files of a part begin with."""
    return folder / f"{'+'.join(asked)}-w{scale:g}-{seed}"


def make_part(stem: Path, model, oracles, dataset, fitted_on, asked, **options) -> None:
    """Run one property, scale and seed; the JSON file appears last."""
    began = time.perf_counter()
    report = evaluate_conditional(
        model, oracles[0], dataset, [asked], second_oracle=(*oracles, None)[1],
        fitted_on=fitted_on, **options,
    )  # fmt: skip
    (molecules,) = report.molecules.values()
    molecules.to_xyz(f"{stem}.xyz")
    report.records.to_csv(f"{stem}.csv.gz", index=False)
    plot_targets(report, f"{stem}.png")
    record = report.to_dict()
    record["seconds"] = time.perf_counter() - began
    record["seconds_generating"] = molecules.info.get("seconds")
    record["n_evaluations"] = molecules.info.get("n_evaluations")
    record["molecule_stability"] = evaluate_molecules(molecules).molecule_stability
    with atomic_path(f"{stem}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def read_parts(folder: Path) -> list[dict]:
    """The reports in a folder."""
    names = sorted(path for path in folder.glob("*.json") if path.name != "settings.json")
    return [json.loads(path.read_text()) for path in names]


def error_table(parts: list[dict], name: str = "this model") -> str:
    """Markdown: mean absolute errors by guidance scale, measured baselines, published rows."""
    everything = [result for part in parts for result in part["properties"]]
    tasks = list(dict.fromkeys(result["task"] for result in everything))
    tasks.sort(key=[*TASKS, "Cv_edm", *tasks].index)
    lines = [
        "| mean absolute error | " + " | ".join(map(heading, tasks)) + " |",
        "|---" * (len(tasks) + 1) + "|",
    ]

    def row(label: str, cells: dict[str, str]) -> None:
        lines.append(f"| {label} | " + " | ".join(cells.get(task, "-") for task in tasks) + " |")

    # Properties asked for one by one share a row, several at once have their own.
    groups: dict[tuple[str, float], dict[str, list[dict]]] = {}
    for part in parts:
        for result in part["properties"]:
            asked = " + ".join(result["asked"]) if len(result["asked"]) > 1 else ""
            group = groups.setdefault((asked, part["settings"]["guidance_scale"]), {})
            group.setdefault(result["task"], []).append(result)
    for (asked, scale), found in sorted(groups.items()):
        row(
            f"{name}{', ' if asked else ''}{asked}, guidance {scale:g}",
            {task: _pooled(results) for task, results in found.items()},
        )
        row("- median", {task: number(_mean(r, "median")) for task, r in found.items()})
        row("- valid ones only", {task: number(_mean(r, "valid_mae")) for task, r in found.items()})
        seconds = {
            task: [r["second"] for r in results if r["second"]] for task, results in found.items()
        }
        if any(seconds.values()):
            row("- by second oracle", {task: _pooled(r) for task, r in seconds.items()})
            for key, label in _BETWEEN.items():
                row(label, {task: number(_mean(r, key)) for task, r in seconds.items()})
    for key, label in BASELINES.items():
        row(label, {r["task"]: number(r["baselines"].get(key)) for r in everything})
    for published in CONDITIONAL_ROWS:
        row(published.label, {task: number(error) for task, error in published.errors.items()})
    return "\n".join(lines)


def share_table(parts: list[dict]) -> str:
    """Markdown: percent of molecules by property and guidance scale."""
    head = ["guidance", "n", *SHARES.values(), "stable", "tolerance", "s / molecule"]
    lines = ["| % of molecules | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    groups: dict[tuple, list[dict]] = {}
    for part in parts:
        asked = tuple(part["requests"][0]["asked"])
        groups.setdefault((asked, part["settings"]["guidance_scale"]), []).append(part)
    order = [*TASKS, *(task for asked, _ in groups for task in asked)]
    keys = sorted(groups, key=lambda k: (len(k[0]), [order.index(t) for t in k[0]], k[1]))
    for asked, scale in keys:
        found = groups[asked, scale]
        requests = [part["requests"][0] for part in found]
        shares = [_mean(requests, key) for key in SHARES]
        shares.append(_mean(found, "molecule_stability"))
        cells = ["-" if np.isnan(share) else f"{100 * share:.1f}" for share in shares]
        limits = [r for r in found[0]["properties"] if r["task"] in asked]
        cells.append(", ".join(f"{number(r['tolerance'])} {r['unit']}".strip() for r in limits))
        n = sum(request["n"] for request in requests)
        seconds = sum(part["seconds_generating"] or float("nan") for part in found)
        cells = [f"{scale:g}", f"{n:,}", *cells, f"{seconds / n:.2f}"]
        lines.append(f"| {' + '.join(asked)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(parts: list[dict]) -> str:
    """Both tables and the reports' notes."""
    notes: dict[str, set[float]] = {}
    for part in parts:
        for text in part["warnings"]:
            notes.setdefault(text, set()).add(part["settings"]["guidance_scale"])
    lines = [
        f"- {text} (guidance {', '.join(f'{scale:g}' for scale in sorted(scales))})"
        for text, scales in notes.items()
    ]
    return "\n\n".join([error_table(parts), share_table(parts), "\n".join(lines)])


def plot_parts(folder: Path, parts: list[dict], scale: float) -> None:
    """Predicted against requested values of all seeds, properties asked for one by one."""
    records, found = [], {}
    for part in parts:
        asked = part["requests"][0]["asked"]
        if len(asked) == 1 and part["settings"]["guidance_scale"] == scale:
            stem = part_stem(folder, asked, scale, part["settings"]["seed"])
            records.append(pd.read_csv(f"{stem}.csv.gz"))
            found.setdefault(asked[0], []).append(part["properties"][0])
    properties = [
        SimpleNamespace(**found[task][0] | {"mae": _mean(found[task], "mae")})
        for task in TASKS
        if task in found
    ]
    if properties:
        report = SimpleNamespace(properties=properties, records=pd.concat(records))
        plot_targets(report, folder / f"targets-w{scale:g}.png")


def _mean(rows: list[dict], key: str) -> float:
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(values)) if values else float("nan")


def _pooled(results: list[dict]) -> str:
    """Mean over seeds and its standard error from those of the seeds."""
    errors = [r["standard_error"] for r in results if r["standard_error"] is not None]
    spread = np.sqrt(np.square(errors).sum()) / len(results)
    return (
        f"{number(_mean(results, 'mae'))} ± {f'{spread:,.0f}' if spread >= 10 else f'{spread:.2g}'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="conditional model: folder or name")
    parser.add_argument("--oracle", required=True, help="property model: folder or name")
    parser.add_argument("--second-oracle")
    parser.add_argument("--out", type=Path, default=Path("runs/conditional"))
    parser.add_argument("--n", type=int, default=10_000, help="molecules a property, scale, seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0, 1.0, 2.0])
    parser.add_argument("--properties", nargs="+", default=list(TASKS), metavar="NAME[,NAME]")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--stepper", default="ancestral")
    parser.add_argument("--schedule", help="the configuration's by default")
    parser.add_argument("--repeat-rule", help="the configuration's by default")
    add_sampling_options(parser)
    parser.add_argument("--guide", help="a property model whose gradients steer as well")
    parser.add_argument("--guide-scale", type=float, default=PropertyGuidance.scale)
    parser.add_argument("--guide-max-tau", type=float, default=PropertyGuidance.max_tau)
    parser.add_argument("--free-size", action="store_true", help="the model chooses the size")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--data-dir", help="cache of the parsed QM9")
    parser.add_argument("--save-dir", help="cache of the featurized QM9")
    arguments = parser.parse_args()
    settings = {
        name: getattr(arguments, name)
        for name in ("model", "oracle", "second_oracle", "n", "steps", "stepper", "schedule",
                     "repeat_rule", "free_size", "precision", "autoguidance", "noise_scale",
                     "closed_shell")
    }  # fmt: skip
    strength = {"scale": arguments.guide_scale, "max_tau": arguments.guide_max_tau}
    settings["guide"] = arguments.guide and {"model": arguments.guide, **strength}
    check_settings(arguments.out, settings)

    model = EADModel.from_pretrained(arguments.model, precision=arguments.precision)
    names = [name for name in (arguments.oracle, arguments.second_oracle) if name]
    oracles = [EGNNPropertyModel.from_pretrained(name) for name in names]
    guide = None
    if arguments.guide:
        property_model = EGNNPropertyModel.from_pretrained(
            arguments.guide, precision=arguments.precision
        )
        aims = dict.fromkeys(property_model.tasks, 0.0)  # the requests take their place
        guide = PropertyGuidance(property_model, aims, **strength)
    tasks = list(TASKS)
    _, (train, _, _), _ = load_qm9_3d(
        tasks=tasks, source="qm9pack", data_dir=arguments.data_dir, save_dir=arguments.save_dir
    )
    first, second = (one_shard(train, rows, tasks) for rows in edm_halves())
    for seed in arguments.seeds:
        for scale in arguments.scales:
            for name in arguments.properties:
                asked = tuple(name.split(","))
                stem = part_stem(arguments.out, asked, scale, seed)
                if stem.with_name(f"{stem.name}.json").exists():
                    continue
                print(f"{name}, guidance {scale:g}, seed {seed}", flush=True)
                make_part(
                    stem, model, oracles, second, first, asked, n=arguments.n, seed=seed,
                    guide=guide, guidance_scale=scale,
                    n_atoms="free" if arguments.free_size else "drawn",
                    steps=arguments.steps, stepper=arguments.stepper, schedule=arguments.schedule,
                    repeat_rule=arguments.repeat_rule,
                    autoguidance_scale=arguments.autoguidance, noise_scale=arguments.noise_scale,
                    closed_shell=arguments.closed_shell,
                )  # fmt: skip
    parts = read_parts(arguments.out)
    for scale in sorted({part["settings"]["guidance_scale"] for part in parts}):
        plot_parts(arguments.out, parts, scale)
    text = tables(parts)
    (arguments.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

"""Few steps: stability and validity against network evaluations, one curve for each stepper.

    python -m benchmarks.few_steps MODEL --out FOLDER [--evaluations 10 20 50 100 250 500 1000]

All atoms together (the synchronous schedule), so that E evaluations are E - 1 steps and the
decoding; and as the configuration has it ("configured"), with as many steps as E evaluations allow.
Parts that are in the folder already are kept. Prints a Markdown table and draws
``few_steps.png``, with GeoBFN's published points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.parts import (
    Runs,
    Scored,
    add_options,
    make_and_score,
    prepare,
    write_table,
)
from benchmarks.tables import metrics_table
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_ROWS
from deepchem_ead.sampling import level_grid
from deepchem_ead.sampling.state import grid_interval

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

EVALUATIONS = (10, 20, 50, 100, 250, 500, 1000)
CONFIGURED = "configured"
TITLES = {
    CONFIGURED: "as configured",
    "ancestral": "ancestral",
    "ddim": "DDIM",
    "dpm++2m": "DPM-Solver++(2M)",
    "heun": "Heun",
}
PUBLISHED = [row for row in QM9_ROWS if row.name == "GeoBFN"]
PANELS = {"molecule_stability": "molecules stable, %", "validity": "molecules valid, %"}


def run_name(stepper: str, evaluations: int) -> str:
    """Name of the run of a stepper with so many evaluations."""
    return f"{TITLES[stepper]}, {evaluations}"


def run_options(stepper: str, evaluations: int, config: EADConfig) -> dict:
    """Arguments of ``generate`` for it."""
    if stepper != CONFIGURED:
        # Heun's method asks twice a step, the others once, and once more to decode.
        steps = evaluations // 2 if stepper == "heun" else evaluations - 1
        return {"schedule": "synchronous", "stepper": stepper, "steps": steps}

    def taken(steps: int) -> int:
        if config.sampling_schedule == "synchronous":
            return steps + 1
        # Every atom repeats twice the interval of levels, as far as the grid has them.
        grid = level_grid(config.timesteps, steps)
        return steps + 1 + 2 * grid_interval(config.interval, grid)

    within = [s for s in range(1, config.timesteps + 1) if taken(s) <= evaluations]
    return {"steps": max(within, default=1)}


def draw(scored: list[Scored], steppers: list[str], evaluations: list[int], path: Path) -> None:
    """Curves with standard errors over seeds, published points, and QM9's own level."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, (key, label) in zip(axes, PANELS.items(), strict=True):
        for stepper in steppers:
            points = []
            for count in evaluations:
                name = run_name(stepper, count)
                values = [100 * getattr(row.edm, key) for row in scored if row.run == name]
                if values:
                    spread = np.std(values, ddof=1) / len(values) ** 0.5 if values[1:] else 0.0
                    points.append((count, np.mean(values), spread))
            if points:
                x, y, error = zip(*points, strict=True)
                axis.errorbar(x, y, error, marker="o", ms=4, capsize=2, label=TITLES[stepper])
        known = [(int(r.evaluations), 100 * getattr(r, key)) for r in PUBLISHED if getattr(r, key)]
        x, y = zip(*known, strict=True)
        axis.plot(x, y, "k*", ms=8, label="GeoBFN (published)")
        axis.axhline(100 * getattr(QM9_ROW, key), color="grey", ls="--", lw=1, label="QM9 itself")
        axis.set(xscale="log", xlabel="network evaluations", ylabel=label, ylim=(0, 102))
        axis.set_xticks(EVALUATIONS, list(map(str, EVALUATIONS)))
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/few-steps", n=500)
    parser.add_argument("--evaluations", type=int, nargs="+", default=list(EVALUATIONS))
    names = list(TITLES)
    parser.add_argument("--steppers", nargs="+", default=names, choices=names)
    arguments = parser.parse_args()
    if min(arguments.evaluations) < 2:
        parser.error("one step and the decoding are 2 evaluations; there are no fewer")
    model = prepare(arguments)
    runs: Runs = {
        run_name(stepper, count): run_options(stepper, count, model.config)
        for stepper in arguments.steppers
        for count in sorted(arguments.evaluations)
    }
    scored = make_and_score(model, runs, arguments)
    draw(scored, arguments.steppers, sorted(arguments.evaluations), arguments.out / "few_steps.png")
    table = metrics_table(scored, runs, [*PUBLISHED, QM9_ROW])
    write_table(arguments.out, "few_steps.md", table)


if __name__ == "__main__":
    main()

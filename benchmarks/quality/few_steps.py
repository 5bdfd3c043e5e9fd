"""Few steps: what a model generates in so many network evaluations, one curve for each sampler.

    python -m benchmarks.few_steps MODEL --out FOLDER [--evaluations 10 20 30 50 100 250]
    python -m benchmarks.few_steps MODEL --out FOLDER --plan   # hours, the most useful parts first

E evaluations are as many steps as a run takes that asks the network E times at most, decoding
included, counted by running the sampler. Parts that are in the folder already are kept, so the
command can be stopped and given again. ``--plan`` begins with 300 molecules of every sampler and
goes on, with all of ``--n`` and all seeds, with those that are not hopeless. Prints a Markdown
table and draws ``few_steps.png``, with GeoBFN's published points.

``--report`` makes no molecules. Of those there are it tells, in ``report.md``, all in one table for
each number of evaluations (`benchmarks.sampler_tables`): the protocols, what GFN2-xTB says of some
(`benchmarks.judged`), the distance to QM9's test part, and how far kinds lie from the plain
sampler's (`benchmarks.kinds`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch

from benchmarks.parts import (
    Runs,
    Scored,
    add_options,
    generate_parts,
    known_molecules,
    prepare,
    score_parts,
    write_table,
)
from benchmarks.sampler_tables import report
from benchmarks.tables import metrics_table
from deepchem_ead import EADModel
from deepchem_ead.diffusion import AtomLayout, Outputs, Seen
from deepchem_ead.generation.job import GenerationSettings
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.metrics.reference_rows import QM9_ROW, QM9_ROWS
from deepchem_ead.sampling import MoleculeNoise, RandomCoinSchedule, sample

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

EVALUATIONS = (10, 20, 30, 50, 100, 250)
PUBLISHED = [row for row in QM9_ROWS if row.name == "GeoBFN"]
PANELS = {"molecule_stability": "molecules stable, %", "validity": "molecules valid, %"}
#: The plain sampler, which all others are compared with.
PLAIN = "ancestral"
#: Molecules of a sampler by which the plan decides whether it goes on with it.
TRIAL = 300
#: Points of molecule stability behind the best, at all of the trial's evaluations.
HOPELESS = 12


class Sampler(NamedTuple):
    """A row of the table: its name there, and how it differs from the configuration.

    ``grid`` is a grid's name with ``{}`` for the number of steps.
    """

    title: str
    options: dict[str, Any]
    grid: str | None = None

    def arguments(self, steps: int) -> dict[str, Any]:
        """Arguments of ``generate``."""
        return self.options | {"steps": self.grid.format(steps) if self.grid else steps}


def _together(title: str, stepper: str, grid: str | None = None) -> Sampler:
    """All atoms at one level."""
    return Sampler(title, {"schedule": "synchronous", "stepper": stepper}, grid)


def _coin(change: str = "", grid: str | None = None, **options: Any) -> Sampler:
    """Atoms wait for others at random and are noised anew ("renoise") while they do."""
    title = f"coin and renoise{f', {change}' if change else ''}"
    told = {"schedule": "random-coin", "repeat_rule": "renoise", "stepper": "ancestral"}
    return Sampler(title, told | options, grid)


COARSE = "every 2nd level above 400"
GUIDED = {"autoguidance_scale": 1.0, "guidance_levels": "200-400"}
SAMPLERS = {
    "coin": _coin(),
    PLAIN: _together("ancestral", "ancestral"),
    "churn": _together("churn 0.4", "churn"),
    "coin-churn-0.2": _coin("churn 0.2", stepper="churn:gamma=0.2"),
    "coin-churn": _coin("churn 0.4", stepper="churn"),
    "coin-churn-1": _coin("churn 1", stepper="churn:gamma=1"),
    "coin-churn-low": _coin("churn 0.4 up to tau 0.5", stepper="churn:max_tau=0.5"),
    "coin-churn-1-low": _coin("churn 1 up to tau 0.5", stepper="churn:gamma=1,max_tau=0.5"),
    "coin-churn-3-low": _coin("churn 3 up to tau 0.5", stepper="churn:gamma=3,max_tau=0.5"),
    "coin-churn-1-lower": _coin("churn 1 up to tau 0.3", stepper="churn:gamma=1,max_tau=0.3"),
    "coin-coarse": _coin(COARSE, "coarse:steps={}"),
    "coin-churn-coarse": _coin(f"churn 0.4, {COARSE}", "coarse:steps={}", stepper="churn"),
    "coin-churn-1-coarse": _coin(f"churn 1, {COARSE}", "coarse:steps={}",
                                 stepper="churn:gamma=1"),
    "coin-guided": _coin("autoguidance 1 at 200-400", **GUIDED),
    "coin-churn-guided": _coin("churn 0.4, autoguidance 1 at 200-400", stepper="churn", **GUIDED),
    "churn-middle": _together("churn 0.4 at tau 0.2 to 1", "churn:min_tau=0.2,max_tau=1"),
    "churn-1": _together("churn 1", "churn:gamma=1"),
    "dpm++2m": _together("DPM-Solver++(2M)", "dpm++2m"),
    "heun": _together("Heun", "heun"),
    "dpm++2s": _together("DPM-Solver++(2S)", "dpm++2s"),
    "ddim": _together("DDIM", "ddim"),
    "rtk-2": _together("RTK, 2 iterations", "rtk:iterations=2"),
    "rtk": _together("RTK, 3 iterations", "rtk"),
    "rtk-geometric": _together("RTK, 2 iterations, geometric grid", "rtk:iterations=2",
                               "geometric:steps={}"),
    "rtk-ula-1": _together("RTK-ULA, 1 iteration", "rtk-ula:iterations=1"),
    "rtk-ula": _together("RTK-ULA, 4 iterations", "rtk-ula"),
    "rtk-uld-1": _together("RTK-ULD, 1 iteration", "rtk-uld:iterations=1"),
    "rtk-uld": _together("RTK-ULD, 4 iterations", "rtk-uld"),
}  # fmt: skip


def run_name(sampler: str, evaluations: int) -> str:
    """Name of the run of a sampler with so many evaluations."""
    return f"{SAMPLERS[sampler].title}, {evaluations}"


def taken(model: EADModel, arguments: dict[str, Any]) -> int:
    """Evaluations that a run takes at most, by running it with a network that says nothing.

    Where atoms may stall, one that does so as often as the clock lets it.
    """
    options = SamplingOptions(seed=0, closed_shell=False, **arguments)
    settings = GenerationSettings.resolve(model.config, options)
    schedule, request = settings.schedule, Request(model, 1, options=options)
    if hasattr(schedule, "sync_fraction"):
        schedule = RandomCoinSchedule(0.0, schedule.sync_fraction, schedule.interval)

    def silent(seen: Seen) -> Outputs:
        return Outputs(torch.zeros_like(seen.x), torch.zeros_like(seen.h))

    result = sample(
        request.process(fixed_size=True),
        silent,
        AtomLayout.from_counts([1]),
        model.encoding.n_features,
        schedule,
        settings.stepper,
        settings.repeat_rule,
        MoleculeNoise(0, [0], [1]),
        settings.steps,
        context=request.context(slice(0, 1), fixed_size=True),
    )
    return int(result.molecule_evaluations[0])


def largest(fits: Callable[[int], bool], upper: int) -> int:
    """The largest number up to ``upper`` that fits, 0 if none does, where fewer always fit."""
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


@cache
def run_options(sampler: str, evaluations: int, model: EADModel) -> dict[str, Any] | None:
    """Arguments of ``generate`` for it; None if even one step takes more evaluations."""
    chosen = SAMPLERS[sampler]
    # Half of the levels above the middle can be skipped: never more than twice as many steps.
    upper = min(2 * evaluations if chosen.grid else evaluations - 1, model.config.timesteps)
    steps = largest(lambda n: taken(model, chosen.arguments(n)) <= evaluations, upper)
    return chosen.arguments(steps) if steps else None


def runs_within(model: EADModel, samplers: Iterable[str], evaluations: Iterable[int]) -> Runs:
    """Runs of samplers at numbers of evaluations, without those that these do not suffice for."""
    found = {
        run_name(sampler, count): run_options(sampler, count, model)
        for sampler in samplers
        for count in evaluations
    }
    return {name: options for name, options in found.items() if options is not None}


def follow_plan(model: EADModel, arguments: argparse.Namespace) -> None:
    """Make parts, the most useful first.

    Some molecules of every sampler at the first two numbers of evaluations (`TRIAL`); there all
    molecules and seeds of those that are not `hopeless`; then the same at the other numbers, where
    the hopeless ones get a trial.
    """
    first, others = arguments.evaluations[:2], arguments.evaluations[2:]
    trial = argparse.Namespace(**vars(arguments) | {"n": TRIAL, "seeds": arguments.seeds[:1]})
    runs = {
        name: options
        for count in first
        for name, options in runs_within(model, arguments.samplers, [count]).items()
    }
    generate_parts(model, runs, trial)
    without = hopeless(score_parts(arguments.out, runs), arguments.samplers, first)
    print(f"hopeless: {', '.join(without) or 'none'}", flush=True)
    kept = [name for name in arguments.samplers if name not in without]
    for count in first:
        generate_parts(model, runs_within(model, kept, [count]), arguments)
    for count in others:
        generate_parts(model, runs_within(model, arguments.samplers, [count]), trial)
    for count in others:
        generate_parts(model, runs_within(model, kept, [count]), arguments)


def hopeless(scored: list[Scored], samplers: list[str], evaluations: list[int]) -> list[str]:
    """Samplers that are more than `HOPELESS` points of stability behind everywhere."""
    stable = {row.run: 100 * row.edm.molecule_stability for row in scored}
    best = {
        count: max(
            stable[run_name(name, count)] for name in samplers if run_name(name, count) in stable
        )
        for count in evaluations
    }
    return [
        name
        for name in samplers
        if name != PLAIN
        and all(
            stable.get(run_name(name, count), 0.0) < best[count] - HOPELESS for count in evaluations
        )
    ]


def draw(scored: list[Scored], samplers: list[str], evaluations: list[int], path: Path) -> None:
    """Curves with standard errors, over seeds if there are some, and QM9's own level."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
    for axis, (key, label) in zip(axes, PANELS.items(), strict=True):
        axis.set_prop_cycle(color=plt.get_cmap("tab10" if len(samplers) <= 10 else "tab20").colors)
        for sampler in samplers:
            points = []
            for count in evaluations:
                name = run_name(sampler, count)
                found = [row.edm for row in scored if row.run == name]
                values = np.array([100 * getattr(report, key) for report in found])
                if len(values) > 1:
                    error = values.std(ddof=1) / len(values) ** 0.5
                elif len(values):
                    error = (values[0] * (100 - values[0]) / found[0].n_molecules) ** 0.5
                if len(values):
                    points.append((count, values.mean(), error))
            if len(points) > (len(evaluations) > 1):  # a curve, or the one point there can be
                x, y, error = zip(*points, strict=True)
                axis.errorbar(
                    x, y, error, marker="o", ms=4, capsize=2, label=SAMPLERS[sampler].title
                )
        known = [(int(r.evaluations), 100 * getattr(r, key)) for r in PUBLISHED if getattr(r, key)]
        x, y = zip(*known, strict=True)
        axis.plot(x, y, "k*", ms=8, label="GeoBFN (published)")
        axis.axhline(100 * getattr(QM9_ROW, key), color="grey", ls="--", lw=1, label="QM9 itself")
        axis.set(xscale="log", xlabel="network evaluations", ylabel=label, ylim=(0, 102))
        axis.set_xticks([*EVALUATIONS, 1000], [*map(str, EVALUATIONS), "1000"])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/few-steps", n=500)
    parser.add_argument("--evaluations", type=int, nargs="+", default=list(EVALUATIONS))
    names = list(SAMPLERS)
    parser.add_argument(
        "--samplers", "--steppers", nargs="+", default=names, choices=names, metavar="NAME",
        help=f"some of {', '.join(names)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--plan", action="store_true", help="the most useful parts first, hopeless samplers once"
    )
    parser.add_argument("--report", action="store_true", help="no new molecules; all about those")
    parser.add_argument("--relaxed", type=int, default=100, help="molecules of a run for GFN2-xTB")
    parser.add_argument(
        "--frechet", type=int, default=0, metavar="N", help="distance of N molecules (needs fcd)"
    )
    arguments = parser.parse_args()
    arguments.table_only = arguments.table_only or arguments.report
    if arguments.plan and TRIAL % arguments.part:
        parser.error(f"--plan tries {TRIAL} molecules: --part must divide them")
    if min(arguments.evaluations) < 2:
        parser.error("one step and the decoding are 2 evaluations; there are no fewer")
    model = prepare(arguments)
    if arguments.plan and not arguments.table_only:
        follow_plan(model, arguments)
    counts = sorted(arguments.evaluations)
    runs: Runs = {run_name(s, count): {} for s in arguments.samplers for count in counts}
    if not (arguments.plan or arguments.table_only):
        runs = runs_within(model, arguments.samplers, counts)
        generate_parts(model, runs, arguments)
    scored = score_parts(arguments.out, runs, known_molecules())
    draw(scored, arguments.samplers, counts, arguments.out / "few_steps.png")
    table = metrics_table(scored, runs, [*PUBLISHED, QM9_ROW])
    write_table(arguments.out, "few_steps.md", table)
    if arguments.report:
        plain = SAMPLERS[PLAIN].title
        text = report(arguments.out, runs, scored, plain, arguments.relaxed, arguments.frechet)
        write_table(arguments.out, "report.md", text)


if __name__ == "__main__":
    main()

"""Whose error is it? Real molecules, noised to a level and denoised again.

    python -m benchmarks.from_level MODEL --out FOLDER [--levels 200 300 400 1000] [--steps 100 400]

Molecules of QM9's test part are noised to a level and denoised from there synchronously, by
ancestral steps of as many levels as in a run of so many steps. What is lost with a level is lost
below it; what is lost still where steps are fine is the network's error, and what finer steps gain
is the sampler's. At the highest level nothing is left of the molecules but their sizes. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.parts import (
    Runs,
    add_options,
    generate_parts,
    known_molecules,
    prepare,
    score_parts,
    write_table,
)
from benchmarks.tables import metrics_table
from deepchem_ead import MoleculeBatch, load_qm9_3d
from deepchem_ead.generation.given import Given
from deepchem_ead.metrics.reference_rows import QM9_ROW

LEVELS = (100, 200, 300, 400, 500, 1000)


def real_molecules(n: int) -> MoleculeBatch:
    """Random molecules of QM9's test part, always the same."""
    _, (_, _, test), _ = load_qm9_3d()
    drawn = np.sort(np.random.default_rng(0).permutation(len(test))[:n])
    return MoleculeBatch.from_padded(test.X[drawn])


def runs_from(molecules: MoleculeBatch, levels: list[int], steps: list[int], top: int) -> Runs:
    """Runs by name: where they begin, and how fine their steps are."""
    runs: Runs = {}
    for count in steps:
        for level in levels:
            start = Given(molecules, f"variation:level={level}") if level < top else None
            runs[f"from level {level}, steps of {top / count:g}"] = {
                "schedule": "synchronous",
                "stepper": "ancestral",
                "steps": count,
                "n_atoms": molecules.counts.tolist(),
                "start": start,
            }
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/from-level", n=100)
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS))
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 400])
    arguments = parser.parse_args()
    arguments.part = arguments.n  # molecules are given, one for each
    chosen = arguments.steps
    del arguments.steps  # each run has its own
    model = prepare(arguments)
    molecules = real_molecules(arguments.n)
    runs = runs_from(molecules, arguments.levels, chosen, model.config.timesteps)
    generate_parts(model, runs, arguments)
    scored = score_parts(arguments.out, runs, known_molecules())
    write_table(arguments.out, "from_level.md", metrics_table(scored, runs, [QM9_ROW]))


if __name__ == "__main__":
    main()

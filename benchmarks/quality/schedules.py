"""Sampling schedules side by side: the same weights, the same noise, the field's metrics.

    python -m benchmarks.schedules MODEL --out FOLDER [--study schedules] [--steps 500]

``--study`` chooses what is compared: all schedules, all repeat rules, a sweep over one argument of
the adaptive schedule, or settled atoms first against the coin from several levels on. Parts that
are in the folder already are kept, so it can be interrupted; studies may share a folder and then
share their runs. Prints Markdown tables: metrics with standard errors over seeds, and differences
of the same molecules with bootstrap intervals and p-values.
"""

from __future__ import annotations

import argparse

from benchmarks.parts import (
    add_options,
    add_steps_and_sizes,
    chosen_runs,
    make_and_score,
    prepare,
    write_table,
)
from benchmarks.studies import STUDIES
from benchmarks.tables import PAIRED_NOTE, metrics_table, paired_table
from deepchem_ead.metrics.reference_rows import QM9_ROW
from deepchem_ead.sampling import REPEAT_RULES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/schedules", n=500)
    add_steps_and_sizes(parser)
    parser.add_argument("--study", default="schedules", choices=list(STUDIES))
    parser.add_argument(
        "--rule", default="literal", choices=list(REPEAT_RULES), help="repeat rule of the sweeps"
    )
    parser.add_argument(
        "--runs", nargs="+", metavar="NAME", help="only these of the study's runs, by their names"
    )
    arguments = parser.parse_args()
    model = prepare(arguments)
    study = STUDIES[arguments.study](model.config, arguments.rule)
    runs = chosen_runs(parser, study.runs, arguments.runs)
    scored = make_and_score(model, runs, arguments)
    table = metrics_table(scored, runs, [QM9_ROW])
    text = f"{table}\n\n{paired_table(scored, study.pairs)}\n\n{PAIRED_NOTE}"
    write_table(arguments.out, f"{arguments.study}.md", text)


if __name__ == "__main__":
    main()

"""The headline table: what a model generates, beside the data's own and published results.

    python -m benchmarks.evidence MODEL --out FOLDER --n 10000 --seeds 0 1 2

Mean and standard error over seeds of everything a paper reports: atom and molecule stability,
validity, uniqueness, novelty and connected share by EDM's protocol, validity by the strict one,
true network evaluations and seconds. Parts that are in the folder already are kept, those of
`benchmarks.schedules` with the same settings, too.
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
from benchmarks.studies import STUDIES, SYNCHRONOUS
from benchmarks.tables import metrics_table
from deepchem_ead.metrics.reference_rows import QM9_ROWS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/evidence", n=10_000)
    add_steps_and_sizes(parser)
    parser.add_argument(
        "--runs",
        nargs="+",
        metavar="NAME",
        default=[SYNCHRONOUS, "adaptive, literal"],
        help="rows, named as in benchmarks.schedules (default: %(default)s)",
    )
    arguments = parser.parse_args()
    model = prepare(arguments)
    known = [STUDIES[study](model.config, "literal").runs for study in ("schedules", "rules")]
    runs = chosen_runs(parser, known[0] | known[1], arguments.runs)
    scored = make_and_score(model, runs, arguments)
    write_table(arguments.out, "evidence.md", metrics_table(scored, runs, QM9_ROWS))


if __name__ == "__main__":
    main()

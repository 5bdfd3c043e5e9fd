"""Rare and unseen sizes: what comes out when the largest molecules of QM9 are asked for.

    python -m benchmarks.rare_sizes MODEL --out FOLDER [--atoms 28 29 30]

Uniqueness, validity and stability of molecules with a given number of atoms, by EDM's protocol,
beside Table 6 of the paper. QM9 has few molecules of 27 to 29 atoms and none of 30. Parts that are
in the folder already are kept. Uniqueness falls with the number of molecules drawn, and how many
the published figures are of is not known.
"""

from __future__ import annotations

import argparse

from benchmarks.parts import (
    Runs,
    add_options,
    make_and_score,
    prepare,
    write_table,
)
from benchmarks.tables import metrics_table
from deepchem_ead.metrics.reference_rows import QM9_ROW, ReferenceRow

SCHEDULES = {
    "synchronous": {"schedule": "synchronous"},
    "adaptive, literal": {"schedule": "adaptive", "repeat_rule": "literal"},
    "random coin, renoise": {"schedule": "random-coin", "repeat_rule": "renoise"},
}
#: Uniqueness in percent by number of atoms (EAD, arXiv:2603.10093, Table 6).
PUBLISHED = {
    "EDM": {28: 45.61, 29: 45.09, 30: 35.68},
    "EAD": {28: 65.40, 29: 60.18, 30: 44.33},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, out="runs/rare-sizes", n=500)
    parser.add_argument("--steps", type=int, help="levels of the grid, all by default")
    parser.add_argument("--atoms", type=int, nargs="+", default=[28, 29, 30])
    parser.add_argument("--schedules", nargs="+", default=list(SCHEDULES), choices=list(SCHEDULES))
    arguments = parser.parse_args()
    model = prepare(arguments)
    counts = model.model.size_counts.tolist()
    for size in arguments.atoms:
        seen = counts[size] if size < len(counts) else 0
        print(f"{size} atoms: {seen:,} of {sum(counts):,} training molecules")
    runs: Runs = {
        f"{size} atoms, {name}": options | {"n_atoms": size}
        for size in arguments.atoms
        for name, options in SCHEDULES.items()
        if name in arguments.schedules
    }
    scored = make_and_score(model, runs, arguments)
    published = [
        ReferenceRow(f"{size} atoms, {name}", "published", "EAD, Table 6", uniqueness=share / 100)
        for size in arguments.atoms
        for name, shares in PUBLISHED.items()
        for share in [shares.get(size)]
        if share is not None
    ]
    table = metrics_table(scored, runs, [*published, QM9_ROW])
    write_table(arguments.out, "rare_sizes.md", table)


if __name__ == "__main__":
    main()

"""What `judge` says of the runs of a benchmark: closed shells, sanity, strain by GFN2-xTB.

    python -m benchmarks.judged FOLDER [--relaxed 100] [--runs NAME ...]

FOLDER holds parts that another benchmark has made. Of each run the first ``--relaxed`` molecules of
its first seed are relaxed by GFN2-xTB (``pip install tblite``), which takes a fifth of a second
each. What has been judged is kept in the folder: the command can be stopped and given again.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.parts import read_parts, slug
from benchmarks.tables import markdown
from deepchem_ead import MoleculeBatch, judge

#: Without energies: milliseconds a molecule.
QUICK = ("structure", "connected", "closed_shell", "valence")
SLOW = ("sane", "low_strain")
HEAD = (
    "closed shell, %", "all four, %", "relaxed", "sane, %", "strain: median, kcal/mol", "p90",
    "RMSD to the minimum, A",
)  # fmt: skip


def cells(molecules: MoleculeBatch, relaxed: int, folder: Path, name: str) -> list[str]:
    """Numbers of a run's molecules, those of GFN2-xTB of the first ``relaxed``."""

    def frame(chosen: MoleculeBatch, checks: tuple[str, ...], kind: str):
        cache = folder / f"{slug(name)}.{kind}.jsonl"
        suite = {"checks": list(checks)}
        return judge(chosen, suite=suite, workers=1, cache=cache, progress=False).per_molecule

    quick = frame(molecules, QUICK, "quick")
    found = [share(quick["closed_shell"]), share(quick["sound"])]
    slow = frame(molecules[:relaxed], SLOW, "gfn2")
    strain, moved = (
        slow[column].to_numpy(dtype=float, na_value=np.nan)
        for column in ("strain_kcal", "relaxation_rmsd")
    )
    strain, moved = strain[np.isfinite(strain)], moved[np.isfinite(moved)]
    found += [f"{len(slow):,}", share(slow["sane"])]
    for values, quantile, digits in ((strain, 50, 1), (strain, 90, 1), (moved, 50, 2)):
        found.append(f"{np.percentile(values, quantile):.{digits}f}" if len(values) else "-")
    return found


def share(values: pd.Series) -> str:
    """Percent of those that are true, with the standard error; what is unknown is not."""
    true = float(values.fillna(False).astype(bool).mean())
    return f"{100 * true:.1f} ± {100 * np.sqrt(true * (1 - true) / len(values)):.1f}"


def judged_table(folder: Path, runs: Iterable[str] | None, relaxed: int) -> str:
    """Markdown: a row for each run of which there are molecules, all its seeds together."""
    pooled: dict[str, list[MoleculeBatch]] = {}
    for (run, _), (molecules, _) in read_parts(folder).items():
        pooled.setdefault(run, []).append(molecules)
    body = []
    for name in pooled if runs is None else runs:
        if name in pooled:
            molecules = MoleculeBatch.concatenate(pooled[name])
            body.append(
                [f"{name} (n={len(molecules):,})", *cells(molecules, relaxed, folder, name)]
            )
    return markdown(["", *HEAD], body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--relaxed", type=int, default=100)
    parser.add_argument("--runs", nargs="+", metavar="NAME", help="some of them (default: all)")
    arguments = parser.parse_args()
    print(judged_table(arguments.folder, arguments.runs, arguments.relaxed))


if __name__ == "__main__":
    main()

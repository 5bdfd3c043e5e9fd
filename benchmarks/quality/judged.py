"""What `judge` says of the runs of a benchmark: closed shells, sanity, strain by GFN2-xTB.

    python -m benchmarks.judged FOLDER [--relaxed 100] [--runs NAME ...]
    python -m benchmarks.judged FOLDER --sane 1000    # sanity alone, of so many of each seed

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


def quick_cells(molecules: MoleculeBatch, folder: Path, name: str) -> list[str]:
    """Shares of a run's molecules that pass what needs no energy."""
    found = _judged(molecules, QUICK, folder / f"{slug(name)}.quick.jsonl")
    return [share(found["closed_shell"]), share(found["sound"])]


def slow_cells(molecules: MoleculeBatch, folder: Path, name: str) -> list[str]:
    """What GFN2-xTB says of molecules: their number, sanity, strain, how far they move."""
    found = _judged(molecules, SLOW, folder / f"{slug(name)}.gfn2.jsonl")
    strain, moved = (
        found[column].to_numpy(dtype=float, na_value=np.nan)
        for column in ("strain_kcal", "relaxation_rmsd")
    )
    strain, moved = strain[np.isfinite(strain)], moved[np.isfinite(moved)]
    cells = [f"{len(found):,}", share(found["sane"])]
    for values, quantile, digits in ((strain, 50, 1), (strain, 90, 1), (moved, 50, 2)):
        cells.append(f"{np.percentile(values, quantile):.{digits}f}" if len(values) else "-")
    return cells


def _judged(molecules: MoleculeBatch, checks: tuple[str, ...], cache: Path) -> pd.DataFrame:
    """A row a molecule; what is in the file has been judged before."""
    suite = {"checks": list(checks)}
    return judge(molecules, suite=suite, workers=1, cache=cache, progress=False).per_molecule


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
            found = quick_cells(molecules, folder, name)
            found += slow_cells(molecules[:relaxed], folder, name)
            body.append([f"{name} (n={len(molecules):,})", *found])
    return markdown(["", *HEAD], body)


def sanity_table(folder: Path, runs: Iterable[str] | None, n: int) -> str:
    """Markdown: how many of the first n molecules of each seed are sane; nothing is relaxed."""
    shares: dict[str, list[pd.Series]] = {}
    for (run, seed), (molecules, _) in read_parts(folder, runs and set(runs)).items():
        cache = folder / f"{slug(run)}-{seed}.sane.jsonl"
        found = _judged(molecules[:n], (*QUICK, "sane"), cache)
        shares.setdefault(run, []).append(found["sane"])
    body = [
        [run, f"{sum(map(len, seeds)):,} of {len(seeds)} seeds", share(pd.concat(seeds))]
        for run, seeds in shares.items()
    ]
    return markdown(["", "molecules", "sane, %"], body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--relaxed", type=int, default=100)
    parser.add_argument("--runs", nargs="+", metavar="NAME", help="some of them (default: all)")
    parser.add_argument("--sane", type=int, metavar="N", help="of each seed; sanity alone")
    arguments = parser.parse_args()
    if arguments.sane:
        print(sanity_table(arguments.folder, arguments.runs, arguments.sane))
        return
    print(judged_table(arguments.folder, arguments.runs, arguments.relaxed))


if __name__ == "__main__":
    main()

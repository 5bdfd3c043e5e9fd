"""The work of ``deepchem-ead data build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepchem_ead.databuild.build import build
from deepchem_ead.databuild.collect import collect
from deepchem_ead.databuild.conformer_sets import (
    DrugGraphs,
    GraphSet,
    QM9Graphs,
    build_conformers,
)
from deepchem_ead.molnet.conformer_sets import load_conformers


def build_and_describe(
    out: Path, n: int, workers: int, wheels: Path | None, gfn2: bool = False
) -> str:
    """Make what is missing and the arrays of all; what there is then, as a table."""
    return _table(collect(build(out, n, workers, wheels, gfn2=gfn2), n))


def build_conformer_set(name: str, out: Path, n: int, workers: int, wheels: Path | None) -> str:
    """Make what is missing of a set of ensembles; what there is then, as a table."""
    graphs: GraphSet = QM9Graphs() if name == QM9Graphs.name else DrugGraphs(wheels)
    build_conformers(graphs, out, n, workers)
    found = load_conformers(out)
    rows: list[tuple[str, str]] = [(f"{len(found):,}", "molecules")]
    if len(found):
        counted = found.table.groupby(["part", "level"])["n_conformers"].agg(["size", "mean"])
        rows += [
            (f"{int(row['size']):,}", f"  {part}, {level}: {row['mean']:.1f} conformers each")
            for (part, level), row in counted.iterrows()
        ]
        rows += [(f"{100 * s:.1f} %", f"missed by {name}") for name, s in found.missed.items()]
    rows.append((f"{len(found.failed):,}", "failed"))
    reasons = found.failed["reason"].value_counts()
    rows += [(f"{number:,}", f"  {reason}") for reason, number in reasons.items()]
    return "\n".join(f"{number:>10}  {what}" for number, what in rows)


def _table(about: dict[str, Any]) -> str:
    rows = [("tried", about["tried"]), ("molecules", about["molecules"])]
    for kind in ("parts", "levels", "forms", "sources"):
        rows += [(f"  {name}", number) for name, number in about[kind].items() if number]
    rows.append(("there already", about["duplicates"]))
    rows.append(("failed", sum(about["failed"].values())))
    rows += [(f"  {reason}", number) for reason, number in about["failed"].items()]
    rows.append(("not tried, of the smaller sets", sum(about["not_tried"].values())))
    rows += [(f"  {reason}", number) for reason, number in about["not_tried"].items()]
    return "\n".join(f"{number:>10,}  {name}" for name, number in rows)

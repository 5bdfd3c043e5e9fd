"""The work of ``deepchem-ead data build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepchem_ead.databuild.build import build
from deepchem_ead.databuild.collect import collect


def build_and_describe(out: Path, n: int, workers: int, wheels: Path | None) -> str:
    """Make what is missing and the arrays of all; what there is then, as a table."""
    return _table(collect(build(out, n, workers, wheels), n))


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

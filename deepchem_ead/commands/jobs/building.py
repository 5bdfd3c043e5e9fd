"""The work of ``deepchem-ead data build``."""

from __future__ import annotations

from pathlib import Path

from deepchem_ead.databuild import build as shards


def build(out: Path, n: int, workers: int, wheels: Path | None) -> None:
    """Make the shards that are missing."""
    shards.build(out, n, workers, wheels)

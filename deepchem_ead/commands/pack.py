"""``deepchem-ead pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.commands.running import command


@command("pack runs/mine packed")
def pack(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.")],
) -> None:
    """Copy a run in half its size, to go on with it elsewhere.

    Weights stay exact, averages and the optimiser's moments are rounded: training
    goes on well, but not bit for bit. 'train' with the same options and --out
    FOLDER goes on from there.
    """
    from deepchem_ead.commands.jobs import runs

    path = runs.pack_run(run, out)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

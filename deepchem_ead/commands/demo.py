"""``deepchem-ead demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.commands.options import Precision, choice
from deepchem_ead.commands.running import command


@command("demo", "demo --n 16 --out first-look")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For the results.")] = Path(
        "demo-output"
    ),
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules to generate.")
    ] = 64,
    precision: Annotated[
        Precision, choice(Precision, "Arithmetic of the network")
    ] = Precision.auto,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Denoising steps.")] = None,
) -> None:
    """Generate molecules from the model that comes with the package, score and draw them.

    It takes about a minute. To see training instead: deepchem-ead train qm9 --minutes 3
    """
    from deepchem_ead.commands.jobs.demo import run_demo

    run_demo(out, n, precision.value, steps)

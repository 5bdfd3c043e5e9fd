"""Options of the commands that generate, from nothing or from molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import GENERATED_FILES, GEOMETRY_FILES

MoleculeFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help=f"{GEOMETRY_FILES}, with all hydrogens; its own bonds, if any, hold."
    ),
]

OutFile = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help=f"File to write: {GENERATED_FILES}.")
]

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Folder of a trained model (RUN/model after 'train'), or one of the names that "
        "'deepchem-ead info' lists.",
    ),
]

Count = Annotated[int, typer.Option("--n", "-n", min=1, metavar="N", help="How many.")]

Seed = Annotated[
    int, typer.Option(min=0, metavar="N", help="Result i depends on the seed and i only.")
]

KEEP_HELP = (
    "What stays: SMARTS that match once, or atom numbers from 0 as in 0,1,5-8. Hydrogens on kept "
    "atoms are kept. All by default."
)

Attach = Annotated[
    str | None,
    typer.Option(
        metavar="ATOMS",
        help="Numbers of kept atoms at which others join, and nowhere else; a hydrogen or "
        "the removed neighbour gives its place. Two of them make a ring.",
    ),
]

Condition = Annotated[
    list[str] | None,
    typer.Option(
        "--condition", "-c", metavar="NAME=VALUE", help="As of 'generate'. Can be repeated."
    ),
]

Grow = Annotated[
    str | None,
    typer.Option(metavar="N", help="Atoms that join, or a range as in 4-10; open by default."),
]

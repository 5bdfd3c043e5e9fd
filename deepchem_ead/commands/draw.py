"""``deepchem-ead draw``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import GEOMETRY_FILES
from deepchem_ead.commands.running import command


@command(
    "draw molecules.sdf",
    "draw molecules.sdf --n 12 --out few.png",
)
def draw(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=f"{GEOMETRY_FILES}.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File to write: .html is a page with 3D views, .png, .jpg and .svg are pictures.",
        ),
    ] = Path("molecules.html"),
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            "-n",
            min=1,
            metavar="N",
            help="Draw the first N molecules; 1000 on a page and 24 in a picture by default.",
        ),
    ] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Drawings in a row of a picture.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Heading of a page; FILE's name by default.")
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out records that cannot be read, and list them."),
    ] = False,
) -> None:
    """Draw the molecules of a file: a page to look through, or a picture.

    On the page a click turns a molecule in 3D; it can be searched and sorted by a property, and
    needs no network. An existing file is replaced.
    """
    from deepchem_ead import MoleculeBatch
    from deepchem_ead.commands.jobs.outputs import folder_of
    from deepchem_ead.viz.drawing import picture_format

    is_page = out.suffix.lower() in (".html", ".htm")
    if is_page and columns is not None:
        raise ValueError("--columns is for pictures; a page fills the window")
    if not is_page:
        picture_format(out)  # fails before the file is read
        if title is not None:
            raise ValueError("--title is for pages (.html)")
    folder_of(out)
    molecules = MoleculeBatch.read(file, on_error="skip" if skip_bad else "raise")
    count = {} if n is None else {"n": n}
    if is_page:
        molecules.write_html(out, title=title or file.name, **count)
    else:
        molecules.grid(out, columns=columns, **count)
    typer.echo(f"{min(n or (1000 if is_page else 24), len(molecules)):,} molecules drawn in {out}")

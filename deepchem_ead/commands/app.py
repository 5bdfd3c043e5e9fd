"""The program ``deepchem-ead``: its commands, and how its problems are told."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Annotated

import typer

from deepchem_ead import __version__
from deepchem_ead.commands.conformers import conformers
from deepchem_ead.commands.data import data
from deepchem_ead.commands.demo import demo
from deepchem_ead.commands.design import design
from deepchem_ead.commands.draw import draw
from deepchem_ead.commands.edit import edit
from deepchem_ead.commands.evaluate import evaluate
from deepchem_ead.commands.generate import generate
from deepchem_ead.commands.group import CommandGroup
from deepchem_ead.commands.info import info
from deepchem_ead.commands.judge import judge
from deepchem_ead.commands.pack import pack
from deepchem_ead.commands.predict import predict
from deepchem_ead.commands.running import one_line
from deepchem_ead.commands.train import train
from deepchem_ead.commands.train_predictor import train_predictor
from deepchem_ead.commands.vary import vary
from deepchem_ead.errors import CheckpointError

#: In the order of the help.
COMMANDS = (
    train, pack, train_predictor, generate, edit, vary, conformers, predict, design, draw, evaluate,
    judge, info, demo,
)  # fmt: skip

app = typer.Typer(
    cls=CommandGroup,
    help="Generate 3D molecules by equivariant asynchronous diffusion (EAD).",
    epilog="A first look: 'deepchem-ead demo'. On your own molecules: 'deepchem-ead train "
    "molecules.sdf --out runs/mine', then 'deepchem-ead generate --model runs/mine/model'. "
    "A command that was interrupted ends with the exit code 130, one that failed with 1.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Boxes leave a few columns for what there is to say.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepchem_ead {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    app.command(epilog=_command.epilog)(_command)
app.add_typer(data, name="data")


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    typer.echo(f"warning: {one_line(message)}", err=True)


def main() -> None:
    """Entry point: problems with the input are one line, not a traceback."""
    logging.getLogger("deepchem").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except (ValueError, CheckpointError, OSError, FloatingPointError, ImportError) as error:
            typer.secho(f"error: {one_line(error)}", fg=typer.colors.RED, err=True)
            sys.exit(1)

"""``deepchem-ead info``."""

from __future__ import annotations

import typer

from deepchem_ead.commands.running import command


@command("info")
def info() -> None:
    """Versions, compiled kernel, presets, trained models and data; for bug reports, too."""
    from deepchem_ead.commands.jobs import installation

    typer.echo(installation.describe_installation())

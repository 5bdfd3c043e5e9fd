"""``deepchem-ead conformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.commands.options import Steps
from deepchem_ead.commands.running import command
from deepchem_ead.commands.starting import Count, ModelName, OutFile, Seed


@command("conformers 'CC(=O)Nc1ccccc1' --model runs/joint/model --n 20")
def conformers(
    smiles: Annotated[str, typer.Argument(metavar="SMILES", help="One molecule.")],
    model: ModelName = "qm9",
    out: OutFile = Path("conformers.sdf"),
    n: Count = 10,
    tries: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Rounds in which what is wrong is drawn again."),
    ] = 10,
    steps: Steps = None,
    seed: Seed = 0,
) -> None:
    """Generate conformers of a SMILES, with the configuration that it specifies.

    It takes a model that has learned conformers, as those of the preset qm9-joint do.
    """
    from deepchem_ead.commands.jobs import from_molecules, molecule_file
    from deepchem_ead.commands.jobs.outputs import new_file

    new_file(out)
    found = from_molecules.load(model).conformers(smiles, n, tries=tries, steps=steps, seed=seed)
    name = molecule_file.short_name(model)
    batch = from_molecules.conformer_batch(found, name, seed)
    from_molecules.write(batch, out, name)
    typer.echo(f"{len(batch):,} conformers of {smiles} in {out}")

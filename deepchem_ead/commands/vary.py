"""``deepchem-ead vary``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_MODEL, VARIATION_LEVEL
from deepchem_ead.commands.options import Guide, Steps, parse_assignments
from deepchem_ead.commands.running import command
from deepchem_ead.commands.starting import Condition, Count, ModelName, MoleculeFile, OutFile, Seed


@command(
    "vary mol.sdf --n 50",
    "vary mol.xyz --level 150 --out near.sdf",
    "vary mol.sdf --condition gap=5eV --n 50",
)
def vary(
    file: MoleculeFile,
    level: Annotated[
        float,
        typer.Option(
            metavar="L",
            help="Level of noise that the molecule gets, above 0 and below the highest (1000): "
            "the higher, the less is left of it.",
        ),
    ] = VARIATION_LEVEL,
    model: ModelName = DEFAULT_MODEL,
    out: OutFile = Path("varied.sdf"),
    n: Count = 10,
    condition: Condition = None,
    guide: Guide = None,
    steps: Steps = None,
    seed: Seed = 0,
) -> None:
    """Generate neighbours of a molecule: it is noised and denoised again."""
    from deepchem_ead.commands.jobs import from_molecules, molecule_file
    from deepchem_ead.commands.jobs.outputs import new_file

    new_file(out)
    molecule = from_molecules.only_molecule(file)
    found = from_molecules.load(model).vary(
        molecule,
        level,
        n,
        conditions=parse_assignments("--condition", condition) or None,
        guide=guide,
        steps=steps,
        seed=seed,
    )
    typer.echo(from_molecules.write(found, out, molecule_file.short_name(model)))

"""``deepchem-ead edit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_MODEL
from deepchem_ead.commands.options import Guide, Steps, parse_assignments
from deepchem_ead.commands.running import command
from deepchem_ead.commands.starting import (
    KEEP_HELP,
    Attach,
    Condition,
    Count,
    Grow,
    ModelName,
    MoleculeFile,
    OutFile,
    Seed,
)


@command(
    "edit mol.sdf --keep c1ccccc1 --n 50",
    "edit mol.sdf --keep 0-5 --attach 3 --grow 4-10",
    "edit mol.sdf --keep c1ccccc1 --condition gap=5eV --guide qm9-guide",
    "edit fragments.sdf --out linked.sdf",
)
def edit(
    file: MoleculeFile,
    keep: Annotated[str | None, typer.Option(metavar="ATOMS", help=KEEP_HELP)] = None,
    attach: Attach = None,
    keep_positions: Annotated[
        str | None,
        typer.Option(metavar="ATOMS", help="Atoms whose places stay and whose elements are free."),
    ] = None,
    grow: Grow = None,
    n_atoms: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Atoms of the whole molecule, in place of --grow."),
    ] = None,
    model: ModelName = DEFAULT_MODEL,
    out: OutFile = Path("edited.sdf"),
    n: Count = 10,
    condition: Condition = None,
    guide: Guide = None,
    steps: Steps = None,
    seed: Seed = 0,
) -> None:
    """Generate molecules around a kept part of one, or link fragments.

    A file with several molecules holds fragments that stand as they are to be linked. It takes a
    model that has learned to edit.
    """
    from deepchem_ead.commands.jobs import from_molecules, molecule_file
    from deepchem_ead.commands.jobs.outputs import new_file

    new_file(out)
    found = from_molecules.load(model).edit(
        from_molecules.molecule_or_fragments(file),
        from_molecules.atoms_or_pattern(keep),
        n,
        attach=from_molecules.atom_numbers(attach),
        keep_positions=from_molecules.atoms_or_pattern(keep_positions),
        grow=from_molecules.range_of("--grow", grow),
        n_atoms=n_atoms,
        conditions=parse_assignments("--condition", condition) or None,
        guide=guide,
        steps=steps,
        seed=seed,
    )
    typer.echo(from_molecules.write(found, out, molecule_file.short_name(model)))

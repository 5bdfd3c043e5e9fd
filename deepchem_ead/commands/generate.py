"""``deepchem-ead generate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_MODEL, RESUMABLE_FILES
from deepchem_ead.commands.options import (
    Autoguidance,
    ClosedShell,
    DefaultGuide,
    GuidanceLevels,
    NetworkPrecision,
    NoiseScale,
    RepeatRuleName,
    ScheduleName,
    StepperName,
    Steps,
    chosen_guide,
    model_options,
    parse_assignments,
)
from deepchem_ead.commands.running import NO_ROOM, command, one_line
from deepchem_ead.commands.starting import ModelName, OutFile


@command(
    "generate --n 1000 --out molecules.sdf",
    "generate --n 100 --condition gap=5.4eV --out wide.sdf",
    "generate --model runs/mine/model --n-atoms 9,12,12 --n 3 --out three.xyz",
)
def generate(
    out: OutFile = Path("molecules.sdf"),
    model: ModelName = DEFAULT_MODEL,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            "-n",
            min=0,
            metavar="N",
            help="Number of molecules; 100 by default, or as many as --n-atoms lists.",
        ),
    ] = None,
    schedule: ScheduleName = None,
    repeat_rule: RepeatRuleName = None,
    stepper: StepperName = None,
    steps: Steps = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            "-c",
            metavar="NAME=VALUE",
            help="Property to ask for, of a model trained with it, e.g. gap=5.4eV; without a unit "
            "in that of the training data (QM9: Hartree, Debye, Bohr^3). Can be repeated.",
        ),
    ] = None,
    guidance_scale: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="W",
            help="Go beyond what the model says about the conditions; takes twice the time if "
            "above 0.",
        ),
    ] = 0.0,
    guide: DefaultGuide = None,
    autoguidance_scale: Autoguidance = None,
    guidance_levels: GuidanceLevels = None,
    noise_scale: NoiseScale = None,
    closed_shell: ClosedShell = None,
    weak_model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The weak model, if not the one that comes with the weights."
        ),
    ] = None,
    n_atoms: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Atoms of every molecule, hydrogens included; or a list with a number for each, "
            "as in 9,12,12; or where to draw them from: histogram (of the training data), "
            "from-conditions (suiting these); or free: the model chooses. By default as the "
            "model's configuration says.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Molecule i depends on the seed and i only, in any batch."
        ),
    ] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Molecules computed and written at a time; as fits by default."
        ),
    ] = None,
    precision: NetworkPrecision = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=f"Keep the molecules of an {RESUMABLE_FILES} that was interrupted and add the "
            "missing ones. Give the other options as before.",
        ),
    ] = False,
) -> None:
    """Generate molecules into a file, batch by batch.

    Finished batches stay in the file when the command is interrupted; --resume adds the rest.
    A SMILES file (.smi) holds the valid molecules only, each with its number from 0. In SDF and XYZ
    each record is called MODEL-SEED-NUMBER, what was asked for stands in the tags NAME_requested
    and NAME_unit, and the first record's tag deepchem_ead_job holds all settings.
    """
    from deepchem_ead import EADModel
    from deepchem_ead.commands.jobs import molecule_file
    from deepchem_ead.generation.options import SamplingOptions

    options = SamplingOptions.among(locals())
    network = EADModel.from_pretrained(model, **model_options(precision))
    conditions = parse_assignments("--condition", condition)
    sizes = molecule_file.read_size(n_atoms)
    if n is None:
        n = len(sizes) if isinstance(sizes, list) else 100
    steering = chosen_guide(guide, model, conditions, guidance_scale)
    try:
        written = molecule_file.generate_file(
            network,
            out,
            n,
            replace(options, n_atoms=sizes, guide=steering),
            conditions=conditions,
            resume=resume,
            name=molecule_file.short_name(model),
        )
    except KeyboardInterrupt:
        typer.echo(f"interrupted with {molecule_file.what_is_safe(out)}", err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(f"{one_line(error)}. Safe: {molecule_file.what_is_safe(out)}") from error
    typer.echo(written.summary(out))
    if conditions and guide is None and steering is None and guidance_scale == 0:
        typer.echo(
            f"{', '.join(conditions)} was asked for without a guide, which brings molecules hardly "
            "nearer to it than by their size; --guide MODEL steers"
        )

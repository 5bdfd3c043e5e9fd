"""``deepchem-ead conformers``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_MODEL
from deepchem_ead.commands.options import SmilesColumn, StepperName, Steps, choice
from deepchem_ead.commands.running import command
from deepchem_ead.commands.starting import ModelName, OutFile, Seed


class Method(StrEnum):
    model = "model"
    etkdg = "etkdg"


class Purpose(StrEnum):
    screening = "screening"
    docking = "docking"
    dft = "dft"


class Theory(StrEnum):
    mmff94 = "mmff94"
    ani2xt = "ani2xt"
    gfn2 = "gfn2"


@command(
    "conformers input.smi --n 50 --out confs.sdf --method etkdg --for dft",
    "conformers 'CC(=O)Nc1ccccc1' --n 20",
    "conformers drugs.csv --method etkdg --relax mmff94 --window 6 --keep 10",
    "conformers 'CC(O)C=CC' --method etkdg --enumerate stereo --relax ani2xt",
    "conformers 'Oc1ccccn1' --method etkdg --enumerate tautomers --relax gfn2 --solvent water",
)
def conformers(
    given: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A SMILES, or a .smi, .csv, .tsv or .sdf file."),
    ],
    model: ModelName = DEFAULT_MODEL,
    out: OutFile = Path("conformers.sdf"),
    method: Annotated[
        Method | None,
        choice(
            Method, "What draws them: a model that has learned it (the default), or RDKit's ETKDGv3"
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n", "-n", min=1, metavar="N", help="How many to find (10, or the purpose's number); "
            "pruning and selection leave some of them.",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None,
        choice(Purpose, "Defaults of what follows, for", "--for"),
    ] = None,
    relax: Annotated[
        Theory | None, choice(Theory, "Minimise each, then check it again")
    ] = None,
    energies: Annotated[
        Theory | None,
        choice(Theory, "Level of energies, by which they are then ranked (default: --relax's)"),
    ] = None,
    solvent: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Continuum (ALPB) that GFN2-xTB computes in: water, dmso, "
            "octanol ... (default: the gas phase).",
        ),
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(
            min=0.0, metavar="A", help="Of those nearer than this (RMSD of heavy atoms) one stays "
            "(default 0.1); 0: all.",
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="KCAL", help="Energy above the lowest one, kcal/mol."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Only the K lowest ones.")
    ] = None,
    trans_amides: Annotated[
        bool, typer.Option("--trans-amides", help="No cis amides outside rings.")
    ] = False,
    start: Annotated[
        bool,
        typer.Option(
            "--start", help="Begin at the coordinates of an SDF file, which take part as "
            "conformers; of ETKDGv3 they only take part.",
        ),
    ] = False,
    start_level: Annotated[
        float | None,
        typer.Option(
            metavar="L", help="Level of noise that --start gets, above 0 and below the highest "
            "(1000): the higher, the less is left of it (default 300).",
        ),
    ] = None,
    enumerate_: Annotated[
        str | None,
        typer.Option(
            "--enumerate", metavar="WHAT", help="Forms of each molecule: stereo, tautomers, "
            "protonation, or several with commas.",
        ),
    ] = None,
    ph: Annotated[
        float | None,
        typer.Option(
            "--ph", metavar="PH", help="Of the water that protonation states are compared in, with "
            "--relax gfn2 --solvent water (default 7.4).",
        ),
    ] = None,
    max_forms: Annotated[
        int, typer.Option(min=1, metavar="N", help="Forms of a molecule, at most.")
    ] = 32,
    tries: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Rounds in which what is wrong is drawn again."),
    ] = 10,
    steps: Steps = None,
    stepper: StepperName = None,
    seed: Seed = 0,
    smiles_column: SmilesColumn = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Keep the molecules that an interrupted run has finished and add the "
            "missing ones. Give the other options as before.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Find conformers of molecules, with the configuration that they specify.

    Every conformer is checked; what is wrong is drawn again, and told. A model has to have learned
    it; --method etkdg needs none. Beside the file a table
    (.csv) has a row for each molecule, those without conformers included. Molecules that are done
    stay there when the command is interrupted; --resume adds the rest.
    """
    from deepchem_ead.commands.jobs import conformer_file as job
    from deepchem_ead.conformers.options import ConformerOptions

    options = ConformerOptions.for_purpose(
        purpose and purpose.value, n=n, tries=tries, trans_amides=trans_amides,
        relax=relax and relax.value, energies=energies and energies.value, window=window, keep=keep,
        solvent=solvent, ph=ph,
        prune=0.1 if prune is None and purpose is None else prune,
    )  # fmt: skip
    try:
        written, table = job.conformer_file(
            given, out, options, method=method and method.value, model=model, steps=steps,
            stepper=stepper, seed=seed,
            forms=[word.strip() for word in (enumerate_ or "").split(",") if word.strip()],
            max_forms=max_forms, use_start=start, start_level=start_level, column=smiles_column,
            resume=resume,
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo(f"interrupted with {job.what_is_safe(out)}", err=True)
        raise typer.Exit(130) from None
    typer.echo(written.summary(given, out, table, job.why_left_out(options)))
    for line in job.named_failures(written):
        typer.echo(f"warning: {line}", err=True)

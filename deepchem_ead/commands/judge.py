"""``deepchem-ead judge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import GEOMETRY_FILES
from deepchem_ead.commands.running import command


@command(
    "judge molecules.sdf --reference qm9",
    "judge molecules.sdf --reference qm9 --html report.html --csv molecules.csv",
    "judge ours.sdf theirs.sdf --reference qm9 --html both.html",
    "judge confs.sdf --conformers reference.sdf --suite fast",
    "judge molecules.sdf --suite full --sdf good.sdf --keep 'posebusters and strain_kcal < 5'",
)
def judge(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help=f"{GEOMETRY_FILES}, from this or any program."),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Known molecules to compare with: qm9, qm9-sample, or a file. Held-out ones give "
            "the ceiling: the data set's test part, or some of the file's.",
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", metavar="FILE", help="Molecules to take for the ceiling."),
    ] = None,
    conformers: Annotated[
        Path | None,
        typer.Option(
            "--conformers",
            metavar="FILE",
            help="Reference conformers of the same molecules (SDF): coverage, matching, stereo.",
        ),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="fast, standard, full, or a YAML file with checks and numbers."
        ),
    ] = "standard",
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that opens without network."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a row a molecule.")
    ] = None,
    sdf: Annotated[
        Path | None,
        typer.Option("--sdf", metavar="FILE", help="Write the molecules with checks as tags."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="CONDITION",
            help="Molecules for --sdf and --csv: 'posebusters and strain_kcal < 5', on the columns "
            "of --csv.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; by default one a core.")
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            "--time-limit", min=0.1, metavar="SECONDS", help="For a molecule, then it is given up."
        ),
    ] = 60.0,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of the choice of held-out molecules.")
    ] = 0,
) -> None:
    """Judge molecules: what is wrong with each, and how the set differs from real ones.

    Bonds of the file are believed; where it has none they follow from the distances. A molecule
    that cannot be read, hangs or crashes a check costs itself only and is named. With --html,
    --json, --csv or --sdf finished molecules are kept in a file beside it, so that the command
    goes on where it was interrupted. Several files stand side by side, each beside held-out
    molecules and, with tests, beside the first one.
    """
    from deepchem_ead.commands.jobs import judgement

    judgement.judge_files(
        files,
        judgement.Outputs(html, json, csv, sdf, keep),
        reference=reference,
        held_out=held_out,
        suite=suite,
        conformers=conformers,
        workers=workers,
        time_limit=time_limit,
        seed=seed,
    )

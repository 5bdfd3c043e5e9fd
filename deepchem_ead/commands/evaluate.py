"""``deepchem-ead evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import GEOMETRY_FILES, TRAINING_FILES
from deepchem_ead.commands.options import (
    Autoguidance,
    ClosedShell,
    GuidanceLevels,
    Guide,
    NetworkPrecision,
    NoiseScale,
    Protocol,
    StepperName,
    Steps,
    Vocabulary,
    model_options,
)
from deepchem_ead.commands.running import command


@command(
    "evaluate molecules.sdf",
    "evaluate molecules.sdf --protocol strict --reference qm9",
    "evaluate molecules.sdf --protocol corrected",
    "evaluate --conditional --model qm9 --oracle qm9-properties --property gap",
)
def evaluate(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help=f"{GEOMETRY_FILES}, from this or any program."),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            metavar="NAME",
            help="edm (what papers report), strict (refuses radicals, fragments and missing "
            "hydrogens), or corrected (judges the bonds of the file, as papers on GEOM do).",
        ),
    ] = Protocol.edm,
    vocabulary: Annotated[
        Vocabulary | None,
        typer.Option(
            metavar="NAME",
            help="Elements: qm9 (H C N O F), or geom (16 elements). By default the one that fits.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help=f"Known molecules, for the novelty: qm9, qm9-sample, or an {TRAINING_FILES}.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out records that cannot be read, and list them."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON (fractions) instead of a table (percent).")
    ] = False,
    conditional: Annotated[
        bool,
        typer.Option(
            "--conditional",
            help="Instead of a file: ask a conditional model for property values and judge what "
            "comes. The options below are for this.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Conditional model: folder or name, see 'info'."
        ),
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Property model that judges: folder or name."),
    ] = None,
    second_oracle: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Another one, to see whether the first is fooled."),
    ] = None,
    requests: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME",
            help="Property to ask for, e.g. gap; gap,mu asks for both at once. Can be repeated; "
            "by default each that both models know.",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="Where requests come from: the second half of qm9 or qm9-sample, as in EDM, or "
            "a file with the generator's training molecules and their properties.",
        ),
    ] = "qm9",
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules for each request.")
    ] = 10_000,
    guidance_scale: Annotated[
        float, typer.Option(min=0.0, metavar="W", help="Of classifier-free guidance.")
    ] = 0.0,
    guide: Guide = None,
    autoguidance_scale: Autoguidance = None,
    guidance_levels: GuidanceLevels = None,
    noise_scale: NoiseScale = None,
    closed_shell: ClosedShell = None,
    free_size: Annotated[
        bool,
        typer.Option(
            "--free-size",
            help="Let the model choose the number of atoms instead of drawing it with the request.",
        ),
    ] = False,
    steps: Steps = None,
    stepper: StepperName = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of requests and molecules.")] = 0,
    precision: NetworkPrecision = None,
) -> None:
    """Stability, validity, uniqueness and novelty of the molecules in a file.

    Bonds are found from the interatomic distances, so every molecule must have 3D coordinates and
    all its hydrogens; bonds in the file are not used.

    With --conditional, --model and --oracle: how far generated molecules are from the property
    values they were generated for, beside published results.
    """
    from deepchem_ead import MoleculeBatch, evaluate_molecules
    from deepchem_ead.commands.jobs import datasets, evaluation
    from deepchem_ead.generation.options import SamplingOptions

    if conditional:
        if file is not None or model is None or oracle is None:
            raise ValueError("--conditional takes --model and --oracle, and no FILE")
        result = evaluation.evaluate_conditional_models(
            model,
            oracle,
            second_oracle,
            data,
            requests or [],
            model_options(precision),
            SamplingOptions.among(locals() | {"n_atoms": "free" if free_size else "drawn"}),
            n=n,
            vocabulary=vocabulary and vocabulary.value,
        )
        if as_json:
            typer.echo(json.dumps(result.to_dict(), indent=2, allow_nan=False))
        else:
            typer.echo(result.table(name=Path(model).name))
        return
    if file is None:
        raise ValueError("give a FILE with molecules, or --conditional with --model and --oracle")
    molecules = MoleculeBatch.read(file, on_error="skip" if skip_bad else "raise", allow_empty=True)
    report = evaluate_molecules(
        molecules,
        protocol=protocol.value,
        vocabulary=vocabulary and vocabulary.value,
        reference=None if reference is None else datasets.known_molecules(reference),
    )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        typer.echo(evaluation.metrics_table(report, file.name))

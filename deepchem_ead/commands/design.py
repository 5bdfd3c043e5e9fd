"""``deepchem-ead design``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import DEFAULT_MODEL, DEFAULT_PREDICTOR, TRAINING_FILES
from deepchem_ead.commands.options import (
    PREDICTOR_HELP,
    Autoguidance,
    ClosedShell,
    DefaultGuide,
    GuidanceLevels,
    NetworkPrecision,
    NoiseScale,
    Protocol,
    StepperName,
    Steps,
    chosen_guide,
    model_options,
    parse_assignments,
)
from deepchem_ead.commands.running import command, one_line


@command(
    "design --condition gap=5.4eV --n 500 --top 20",
    "design -c gap=5.4eV -c mu=2D --tolerance gap=0.3eV --max-sa 5 --out best.sdf",
    "design -c alpha=80 --molecules molecules.sdf --out chosen.csv",
    "design -c gap=5eV --start mol.sdf --keep c1ccccc1",
)
def design(
    condition: Annotated[
        list[str],
        typer.Option(
            "--condition",
            "-c",
            metavar="NAME=VALUE",
            help="Wanted property, e.g. gap=5.4eV; without a unit in that of the training data. "
            "Can be repeated. One that the model does not know decides what is chosen.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="To write: .sdf (results as tags), .xyz, .smi, or .csv (the table).",
        ),
    ] = Path("designs.sdf"),
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Generating model: folder or name, see 'info'."
        ),
    ] = DEFAULT_MODEL,
    molecules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Choose from the molecules of this file; nothing is generated."
        ),
    ] = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help=f"{PREDICTOR_HELP} By default {DEFAULT_PREDICTOR}."),
    ] = None,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules to generate.")
    ] = 500,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Choose so many at most.")] = 50,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Generate around a part of this molecule, or link fragments, as 'edit' does.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="ATOMS",
            help="What stays, as for 'edit' (without --start: old name of --top).",
        ),
    ] = None,
    attach: Annotated[
        str | None, typer.Option(metavar="ATOMS", help="Where others join, as for 'edit'.")
    ] = None,
    grow: Annotated[
        str | None, typer.Option(metavar="N", help="Atoms that join, as for 'edit'.")
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE",
            help="How far a prediction may be from the target: 0.3eV, or with several conditions "
            "gap=0.3eV, repeated. By default any distance will do.",
        ),
    ] = None,
    max_sa: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=10,
            metavar="SCORE",
            help="Largest synthetic accessibility score, from 1 (easy) to 10 (hard).",
        ),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            metavar="NAME",
            help="What is valid: edm, strict or corrected.",
        ),
    ] = Protocol.strict,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep only what a suite of 'judge' calls sound: fast, standard, full, or a YAML "
            "file.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help=f"Known molecules, which are left out: qm9, qm9-sample, or an {TRAINING_FILES}.",
        ),
    ] = None,
    guidance_scale: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="W", help="Go beyond what the model says about the conditions."
        ),
    ] = 0.0,
    guide: DefaultGuide = None,
    autoguidance_scale: Autoguidance = None,
    guidance_levels: GuidanceLevels = None,
    noise_scale: NoiseScale = None,
    closed_shell: ClosedShell = None,
    n_atoms: Annotated[
        str | None,
        typer.Option(metavar="N", help="Of every molecule, as in 'generate'."),
    ] = None,
    steps: Steps = None,
    stepper: StepperName = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the molecules.")] = 0,
    precision: NetworkPrecision = None,
) -> None:
    """Generate molecules for property values and keep the best, with their predicted values.

    Molecules are filtered by validity, uniqueness and what else is asked for, and ranked by the
    distance of their predicted properties to the target. For very many of them, run 'generate'
    first (it can be resumed) and pass its file with --molecules.
    """
    from deepchem_ead import EADModel, MoleculeBatch
    from deepchem_ead.commands.jobs import datasets, from_molecules, molecule_file, predictions
    from deepchem_ead.designs.design import design as run_design
    from deepchem_ead.designs.design import select_molecules
    from deepchem_ead.generation.options import SamplingOptions
    from deepchem_ead.generation.request import askable
    from deepchem_ead.models.guides import NO_GUIDE, guiding_model

    given = {name: value for name, value in locals().items() if name != "start"}
    options = SamplingOptions.among(given)
    if start is None:
        top, keep = _old_top(top, keep), None
    elif molecules is not None:
        raise ValueError("--start generates molecules and --molecules has them: give one of them")
    part = {
        "start": None if start is None else from_molecules.molecule_or_fragments(start),
        "keep": from_molecules.atoms_or_pattern(keep),
        "attach": from_molecules.atom_numbers(attach),
        "grow": from_molecules.range_of("--grow", grow),
    }
    predictions.check_design_file(out)
    conditions = parse_assignments("--condition", condition)
    limits = _tolerance(tolerance, conditions)
    judge = predictions.load_predictor(predictor or [DEFAULT_PREDICTOR], **model_options(precision))
    chosen = {"tolerance": limits, "max_sa": max_sa, "protocol": protocol.value, "suite": suite}
    if reference is not None:
        chosen["reference"] = datasets.known_molecules(reference)
    if molecules is not None:
        result = select_molecules(MoleculeBatch.read(molecules), conditions, judge, top, **chosen)
    else:
        network = EADModel.from_pretrained(model, **model_options(precision))
        guide = chosen_guide(guide, model, conditions, guidance_scale)
        steering = guiding_model(guide, network) if guide else None
        heard = askable(network, steering)
        unheard = [c for c in conditions if c not in heard]
        if unheard:
            typer.echo(f"{model} cannot be asked for {', '.join(unheard)}: only chosen by it")
        # What there is to say about a missing guide has been said.
        options = replace(options, guide=steering or NO_GUIDE)
        options = replace(options, n_atoms=molecule_file.read_size(n_atoms))
        result = run_design(network, conditions, judge, n, top, **part, **chosen, **options.given())
    typer.echo(result.funnel_table())
    if not len(result):
        typer.echo(f"\n{one_line(result.message)}", err=True)
        raise typer.Exit(1)
    result.write(out)
    typer.echo(f"\n{result.top()}\n\n{len(result):,} molecules in {out}")


def _old_top(top: int, keep: str | None) -> int:
    """How many to choose, by the old name of --top if that was given."""
    if keep is None:
        return top
    if not keep.isdecimal() or int(keep) < 1:
        raise ValueError(
            f"--keep {keep}: name with --start the molecule whose atoms stay; how many molecules "
            "to choose is --top"
        )
    typer.echo(f"--keep {keep} is called --top {keep} now", err=True)
    return int(keep)


def _tolerance(texts: list[str] | None, conditions: dict[str, str]) -> str | dict[str, str] | None:
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    return parse_assignments("--tolerance", texts)

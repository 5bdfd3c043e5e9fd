"""The command line: train, generate, evaluate, info and demo."""

from __future__ import annotations

import json
import logging
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import yaml

import deepchem_ead
from deepchem_ead import tasks
from deepchem_ead.errors import CheckpointError
from deepchem_ead.models.config import preset_names
from deepchem_ead.sampling import REPEAT_RULES, SCHEDULES, STEPPERS

app = typer.Typer(
    help="Generate 3D molecules by equivariant asynchronous diffusion (EAD).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Protocol(StrEnum):
    edm = "edm"
    strict = "strict"


class Vocabulary(StrEnum):
    qm9 = "qm9"
    geom = "geom"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


ScheduleName = StrEnum("ScheduleName", [name for name in SCHEDULES if name != "replay"])
RepeatRuleName = StrEnum("RepeatRuleName", list(REPEAT_RULES))
StepperName = StrEnum("StepperName", list(STEPPERS))


@app.command()
def train(
    data: Annotated[
        str,
        typer.Argument(
            help="'qm9' (100,000 training molecules), 'qm9-sample' (1,500), or your own SDF or "
            "(extended) XYZ file with hydrogens."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder: checkpoints, curve.csv, model/.")] = Path(
        "runs/ead"
    ),
    preset: Annotated[
        str, typer.Option(help=f"One of {', '.join(preset_names())}, or a YAML file.")
    ] = "qm9-small",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the whole run.")] = 100,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this time of training.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a field of the preset; repeat."),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="bf16 is about twice as fast as fp32; auto is fp32."),
    ] = None,
    checkpoint_interval: Annotated[int, typer.Option(min=1, help="Steps per checkpoint.")] = 500,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the checkpoints in the run folder.")
    ] = False,
) -> None:
    """Train a model, or go on with a run that was stopped.

    Ctrl-C stops after the current step and keeps everything; the same command goes on from there.
    Generate from the result with: deepchem-ead generate --model RUN/model
    """
    overrides = dict(_parse_option(text) for text in option or [])
    if precision is not None:
        overrides["precision"] = precision.value
    dataset = tasks.training_data(data)
    model = tasks.new_model(preset, overrides, dataset, model_dir=out)
    checkpoints = model.get_checkpoints()
    if restart:
        for checkpoint in checkpoints:
            Path(checkpoint).unlink()
    elif checkpoints:
        model.restore()
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(model.config.to_dict(), sort_keys=False))
    typer.echo(
        f"{len(dataset):,} molecules, {tasks.n_parameters(model):,} parameters, "
        f"{model.model.denoiser.active_backend}"
    )
    previous = signal.signal(signal.SIGINT, lambda *_: model.stop_training())
    try:
        finished = tasks.train(model, dataset, out, epochs, minutes, checkpoint_interval)
    finally:
        signal.signal(signal.SIGINT, previous)
    if finished:
        typer.echo(f"trained {model.get_global_step():,} steps; model in {out / 'model'}")
    else:
        typer.echo(
            f"stopped at step {model.get_global_step():,}; the same command goes on from there. "
            f"The model so far is in {out / 'model'}"
        )


@app.command()
def generate(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .sdf, .xyz or .smi.")
    ] = Path("molecules.sdf"),
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Folder of a model, or a name 'info' lists."),
    ] = "qm9-small",
    n: Annotated[int, typer.Option("--n", "-n", min=0, help="Number of molecules.")] = 100,
    schedule: Annotated[
        ScheduleName, typer.Option(help="Which atoms lose noise when.")
    ] = ScheduleName.adaptive,
    repeat_rule: Annotated[
        RepeatRuleName | None,
        typer.Option(help="What a stalled atom does; the model's default if not given."),
    ] = None,
    stepper: Annotated[StepperName, typer.Option(help="Kind of step.")] = StepperName.ancestral,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps; all the model has by default.")
    ] = None,
    n_atoms: Annotated[int | None, typer.Option(min=1, help="Atoms of each molecule.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Molecule i depends on seed and i only.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Molecules at once; changes speed only.")
    ] = None,
    precision: Annotated[Precision | None, typer.Option(help="Arithmetic of the network.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what the file holds and add what is missing.")
    ] = False,
) -> None:
    """Generate molecules into a file, batch by batch.

    Finished molecules stay in the file when the command is interrupted; --resume adds the rest.
    """
    options = {} if precision is None else {"precision": precision.value}
    network = deepchem_ead.EADModel.from_pretrained(model, **options)
    count = tasks.generate_file(
        network,
        out,
        n,
        resume=resume,
        n_atoms=n_atoms,
        schedule=schedule.value,
        repeat_rule=None if repeat_rule is None else repeat_rule.value,
        stepper=stepper.value,
        steps=steps,
        seed=seed,
        batch_size=batch_size,
    )
    typer.echo(f"{count:,} molecules in {out}")


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="SDF or XYZ file of anybody's molecules.")],
    protocol: Annotated[
        Protocol, typer.Option(help="edm: the field's; strict: connected, closed shells.")
    ] = Protocol.edm,
    vocabulary: Annotated[
        Vocabulary, typer.Option(help="Bond tables and elements.")
    ] = Vocabulary.qm9,
    reference: Annotated[
        str | None,
        typer.Option(help="'qm9', 'qm9-sample' or a file: the molecules that are not novel."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Stability, validity, uniqueness and novelty of the molecules in a file."""
    molecules = deepchem_ead.MoleculeBatch.read(file)
    report = deepchem_ead.evaluate_molecules(
        molecules,
        protocol=protocol.value,
        vocabulary=vocabulary.value,
        reference=None if reference is None else tasks.training_data(reference),
    )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        typer.echo(tasks.metrics_table(report, file.name, vocabulary.value, protocol.value))


@app.command()
def info() -> None:
    """Versions, the fast path in use, presets, trained models and data."""
    typer.echo(tasks.describe_installation())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
    minutes: Annotated[float, typer.Option(min=0.01, help="Time to train.")] = 3.0,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Molecules to generate.")] = 64,
    precision: Annotated[
        Precision, typer.Option(help="bf16 learns more in the same time than fp32.")
    ] = Precision.bf16,
) -> None:
    """Train a small model on QM9 for a few minutes, generate molecules and score them.

    A few minutes are enough to see everything work, not to make good molecules: peers train for
    days. The metrics table says how far it got.
    """
    from deepchem_ead.demo import run_demo

    run_demo(out, minutes, n, precision.value)


def _parse_option(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--set")
    return name.strip(), yaml.safe_load(value)


def main() -> None:
    """Entry point: problems with the input are one line, not a traceback."""
    logging.getLogger("deepchem").setLevel(logging.ERROR)
    try:
        app()
    except (ValueError, CheckpointError, FileNotFoundError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise SystemExit(1) from error

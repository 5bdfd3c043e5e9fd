"""The command line: train, generate, evaluate, info and demo."""

from __future__ import annotations

import json
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import yaml

from deepchem_ead import EADModel, MoleculeBatch, tasks
from deepchem_ead.chem.files import complete_records, file_format
from deepchem_ead.errors import CheckpointError
from deepchem_ead.metrics import evaluate_molecules
from deepchem_ead.models.config import preset_names
from deepchem_ead.sampling import REPEAT_RULES, SCHEDULES, STEPPERS

app = typer.Typer(
    help="Generate 3D molecules by equivariant asynchronous diffusion (EAD).",
    epilog="A first look: 'deepchem-ead demo'. On your own molecules: 'deepchem-ead train "
    "molecules.sdf --out runs/mine', then 'deepchem-ead generate --model runs/mine/model'.",
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


#: Remedies that the library's messages name, and what they are called here.
_OPTIONS = {"on_error='skip'": "--skip-bad", 'vocabulary="geom"': "--vocabulary geom"}

ScheduleName = StrEnum("ScheduleName", [name for name in SCHEDULES if name != "replay"])
RepeatRuleName = StrEnum("RepeatRuleName", list(REPEAT_RULES))
StepperName = StrEnum("StepperName", list(STEPPERS))


def _choice(names: type[StrEnum], text: str, *flags: str) -> typer.models.OptionInfo:
    """An option whose choices stand in its help text; as a metavar they would not fit."""
    return typer.Option(*flags, metavar="NAME", help=f"{text}: {', '.join(names)}.")


@app.command()
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="qm9 (100,000 training molecules), qm9-sample (1,539), or your own SDF or "
            "(extended) XYZ file with all hydrogens.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The run: checkpoints, config.yaml, curve.csv, and model/."
        ),
    ] = Path("runs/ead"),
    preset: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"{', '.join(preset_names())}, or a YAML file."),
    ] = "qm9-small",
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passes over the data, of the whole run.")
    ] = 100,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            metavar="MINUTES",
            help="Time of training, if that is to end it before the epochs do. The time before "
            "an interruption counts, too.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a field of the preset, e.g. --set n_layers=4; can be repeated.",
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            metavar="NAME", help="Arithmetic: fp32, bf16 (about twice as fast), or auto (fp32)."
        ),
    ] = None,
    checkpoint_interval: Annotated[
        int, typer.Option(min=1, metavar="STEPS", help="Steps between checkpoints.")
    ] = 500,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Begin anew: remove the checkpoints in the run's folder."),
    ] = False,
) -> None:
    """Train a model, or go on with a run that was stopped.

    Ctrl-C stops after the current step and keeps everything; the same command goes on from there.
    Elements and sizes that the preset does not know are added by themselves.
    """
    overrides = dict(_parse_option(text) for text in option or [])
    if precision is not None:
        overrides["precision"] = precision.value
    dataset = tasks.training_data(data)
    model = tasks.new_model(preset, overrides, dataset, model_dir=out)
    if restart:
        tasks.forget_run(model)
    elif tasks.restore(model):
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(model.config.to_dict(), sort_keys=False))
    reason = tasks.nothing_left(model, epochs, minutes)
    if reason is not None:
        model.save_pretrained(out / "model")
        typer.echo(f"nothing to train: {reason}")
        return
    typer.echo(
        f"{len(dataset):,} molecules, {tasks.n_parameters(model):,} parameters, "
        f"{model.model.denoiser.active_backend}"
    )
    with _stop_on_interrupt(model):
        finished = tasks.train(model, dataset, out, epochs, minutes, checkpoint_interval)
    step = model.get_global_step()
    if finished:
        typer.echo(f"trained {step:,} steps. Generate molecules with:")
    else:
        typer.echo(
            f"stopped at step {step:,}; the same command goes on from there. To generate with "
            "the model so far:"
        )
    typer.echo(f"  deepchem-ead generate --model {out / 'model'}")


@app.command()
def generate(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="File to write: .sdf, .xyz or .smi."),
    ] = Path("molecules.sdf"),
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Folder of a trained model (RUN/model after 'train'), or one of the names that "
            "'deepchem-ead info' lists.",
        ),
    ] = "qm9-small",
    n: Annotated[
        int, typer.Option("--n", "-n", min=0, metavar="N", help="Number of molecules.")
    ] = 100,
    schedule: Annotated[
        ScheduleName, _choice(ScheduleName, "Which atoms lose their noise when")
    ] = ScheduleName.adaptive,
    repeat_rule: Annotated[
        RepeatRuleName | None,
        _choice(
            RepeatRuleName, "What happens to an atom that waits for others (default: the model's)"
        ),
    ] = None,
    stepper: Annotated[
        StepperName, _choice(StepperName, "How one step removes noise")
    ] = StepperName.ancestral,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Denoising steps, at most (and by default) the levels of the model; fewer are "
            "faster and worse.",
        ),
    ] = None,
    n_atoms: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Atoms of every molecule, hydrogens included; the model chooses by default.",
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
    precision: Annotated[Precision | None, _choice(Precision, "Arithmetic of the network")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep the molecules of an SDF or XYZ file that was interrupted and add the "
            "missing ones. Give the other options as before.",
        ),
    ] = False,
) -> None:
    """Generate molecules into a file, batch by batch.

    Finished batches stay in the file when the command is interrupted; --resume adds the rest.
    A SMILES file (.smi) holds the valid molecules only, each with its number from 0.
    """
    options = {} if precision is None else {"precision": precision.value}
    network = EADModel.from_pretrained(model, **options)
    try:
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
    except KeyboardInterrupt:
        kind = file_format(out)
        count = complete_records(out, kind)[0] if out.exists() else 0
        rest = "" if kind == "smi" else "; --resume adds the rest"
        typer.echo(f"interrupted with {count:,} molecules in {out}{rest}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{count:,} molecules in {out}")


@app.command()
def evaluate(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="SDF or XYZ file, from this or any program.")
    ],
    protocol: Annotated[
        Protocol,
        typer.Option(
            metavar="NAME",
            help="edm (what papers report), or strict (refuses radicals, fragments and missing "
            "hydrogens).",
        ),
    ] = Protocol.edm,
    vocabulary: Annotated[
        Vocabulary,
        typer.Option(
            metavar="NAME",
            help="Elements and bond lengths: qm9 (H C N O F), or geom (16 elements).",
        ),
    ] = Vocabulary.qm9,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Known molecules, for the novelty: qm9, qm9-sample, or an SDF or XYZ file.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out records that cannot be read, and list them."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON (fractions) instead of a table (percent).")
    ] = False,
) -> None:
    """Stability, validity, uniqueness and novelty of the molecules in a file.

    Bonds are found from the interatomic distances, so every molecule must have 3D coordinates and
    all its hydrogens; bonds in the file are not used.
    """
    molecules = MoleculeBatch.read(file, on_error="skip" if skip_bad else "raise")
    report = evaluate_molecules(
        molecules,
        protocol=protocol.value,
        vocabulary=vocabulary.value,
        reference=None if reference is None else tasks.training_data(reference),
    )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        typer.echo(tasks.metrics_table(report, file.name, vocabulary.value, protocol.value))


@app.command()
def info() -> None:
    """Versions, compiled kernel, presets, trained models and data; for bug reports, too."""
    typer.echo(tasks.describe_installation())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For the results.")] = Path(
        "demo-output"
    ),
    minutes: Annotated[
        float, typer.Option(min=0.01, metavar="MINUTES", help="Time of training.")
    ] = 3.0,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules to generate.")
    ] = 64,
    precision: Annotated[
        Precision,
        typer.Option(
            metavar="NAME", help="Arithmetic: fp32, bf16 (learns more in the time), or auto (fp32)."
        ),
    ] = Precision.bf16,
) -> None:
    """Train a small model on QM9 for a few minutes, generate molecules and score them.

    A few minutes are enough to see everything work, not to make good molecules: published models
    train for days. The metrics table says how far it got.
    """
    from deepchem_ead.demo import run_demo

    run_demo(out, minutes, n, precision.value)


def _parse_option(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--set {text}: must be of the form NAME=VALUE")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {text}: {value!r} is not a value") from error


@contextmanager
def _stop_on_interrupt(model: EADModel) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end training after the step; a second one ends at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}

    def stop(number, frame) -> None:
        model.stop_training()
        signal.signal(number, previous[number])

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, previous[number])


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    typer.echo(f"warning: {_one_line(message)}", err=True)


def _one_line(message: object) -> str:
    if isinstance(message, OSError) and message.strerror and message.filename:
        message = f"{message.filename}: {message.strerror}"
    return " ".join(str(message).split())


def main() -> None:
    """Entry point: problems with the input are one line, not a traceback."""
    logging.getLogger("deepchem").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except (ValueError, CheckpointError, OSError, FloatingPointError) as error:
            text = _one_line(error)
            for argument, option in _OPTIONS.items():
                text = text.replace(argument, option)
            typer.secho(f"error: {text}", fg=typer.colors.RED, err=True)
            sys.exit(1)

"""The command line: train, generate, evaluate, info, demo, and what other `cli_` files add."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead import __version__
from deepchem_ead.choices import GEOMETRY_FILES, TRAINING_FILES, preset_names
from deepchem_ead.cli_draw import draw
from deepchem_ead.cli_properties import design, predict, train_predictor
from deepchem_ead.cli_support import (
    NO_ROOM,
    Autoguidance,
    CheckpointInterval,
    ClosedShell,
    DefaultGuide,
    Guide,
    LogTensorboard,
    NoiseScale,
    Precision,
    Protocol,
    RepeatRuleName,
    Restart,
    ScheduleName,
    SmilesColumn,
    StepperName,
    Vocabulary,
    choice,
    chosen_guide,
    command,
    examples,
    one_line,
    parse_assignments,
    parse_option,
    stop_on_interrupt,
)
from deepchem_ead.errors import CheckpointError
from deepchem_ead.locks import hold

if TYPE_CHECKING:
    from deepchem.data import Dataset

    from deepchem_ead import EADModel

app = typer.Typer(
    help="Generate 3D molecules by equivariant asynchronous diffusion (EAD).",
    epilog="A first look: 'deepchem-ead demo'. On your own molecules: 'deepchem-ead train "
    "molecules.sdf --out runs/mine', then 'deepchem-ead generate --model runs/mine/model'. "
    "A command that was interrupted ends with the exit code 130, one that failed with 1.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Boxes leave a few columns for what there is to say.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepchem_ead {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command(
    epilog=examples(
        "train qm9 --minutes 3 --out runs/first",
        "train molecules.sdf --out runs/mine --epochs 50",
        "train molecules.sdf --conditions logP --from qm9 --out runs/tuned",
    )
)
@command
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"qm9 (100,000 training molecules), qm9-sample (1,539), or your own "
            f"{TRAINING_FILES}. SMILES get conformers; coordinates need all hydrogens.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The run: checkpoints, config.yaml, curve.csv, and model/."
        ),
    ] = Path("runs/ead"),
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(preset_names('generator/presets'))}, or a YAML file. By default "
            "qm9-small, or that of --from.",
        ),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Properties that can be asked for afterwards: of QM9, or the tags, keys or "
            "columns of your file. Missing ones may be missing.",
        ),
    ] = None,
    smiles_column: SmilesColumn = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from a trained model (folder, or a name that 'info' lists) instead of "
            "random weights.",
        ),
    ] = None,
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
    checkpoint_interval: CheckpointInterval = 500,
    tensorboard: LogTensorboard = False,
    restart: Restart = False,
) -> None:
    """Train a model, or go on with a run that was stopped.

    Ctrl-C stops after the current step and keeps everything; the same command goes on from there.
    Elements and sizes that the preset does not know are added by themselves.
    """
    from deepchem_ead import tasks
    from deepchem_ead.training.curve import summary_writer_type

    if tensorboard:
        summary_writer_type()  # fails before the data is loaded
    overrides = dict(parse_option(text) for text in option or [])
    if precision is not None:
        overrides["precision"] = precision.value
    if conditions is not None:
        overrides["conditions"] = conditions
    if preset is None and start is None:
        preset = "qm9-small"
    names = tasks.read_config(preset, overrides, start).condition_names
    if start is not None and preset is None and "conditions" not in overrides:
        names = tasks.conditions_in(data, names, start, smiles_column)
        overrides["conditions"] = ",".join(names)
    dataset = tasks.training_data(data, names, smiles_column)
    model = tasks.new_model(preset, overrides, dataset, model_dir=out, start=start)
    with hold(out, "training in it"):
        _train_in(out, model, dataset, epochs, minutes, checkpoint_interval, tensorboard, restart)


def _train_in(
    out: Path,
    model: EADModel,
    dataset: Dataset,
    epochs: int,
    minutes: float | None,
    checkpoint_interval: int,
    tensorboard: bool,
    restart: bool,
) -> None:
    from deepchem_ead import tasks

    if restart:
        tasks.forget_run(model)
    elif tasks.restore(model):
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
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
    with stop_on_interrupt(model) as stop:
        finished = tasks.train(
            model, dataset, out, epochs, minutes, checkpoint_interval, tensorboard
        )
    step = model.get_global_step()
    if finished:
        typer.echo(f"trained {step:,} steps. Generate molecules with:")
    else:
        typer.echo(
            f"stopped at step {step:,}; the same command goes on from there. To generate with "
            "the model so far:"
        )
    typer.echo(f"  deepchem-ead generate --model {out / 'model'}")
    stop.exit()


@app.command(epilog=examples("pack runs/mine packed"))
@command
def pack(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.")],
) -> None:
    """Copy a run in half its size, to go on with it elsewhere.

    Weights stay exact, averages and the optimiser's moments are rounded: training
    goes on well, but not bit for bit. 'train' with the same options and --out
    FOLDER goes on from there.
    """
    from deepchem_ead import tasks

    path = tasks.pack_run(run, out)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


app.command(
    epilog=examples(
        "train-predictor qm9 --tasks gap,mu --minutes 30 --out runs/gap",
        "train-predictor molecules.sdf --tasks logP --epochs 200",
    )
)(train_predictor)


@app.command(
    epilog=examples(
        "generate --n 1000 --out molecules.sdf",
        "generate --n 100 --condition gap=5.4eV --out wide.sdf",
        "generate --model runs/mine/model --n-atoms 9,12,12 --n 3 --out three.xyz",
    )
)
@command
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
    ] = "qm9",
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
    stepper: StepperName = "ancestral",
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Denoising steps, at most the levels of the model; fewer are faster and worse. As "
            "the model's configuration says by default.",
        ),
    ] = None,
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
    precision: Annotated[Precision | None, choice(Precision, "Arithmetic of the network")] = None,
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
    A SMILES file (.smi) holds the valid molecules only, each with its number from 0. In SDF and XYZ
    each record is called MODEL-SEED-NUMBER, what was asked for stands in the tags NAME_requested
    and NAME_unit, and the first record's tag deepchem_ead_job holds all settings.
    """
    from deepchem_ead import EADModel, tasks

    options = {} if precision is None else {"precision": precision.value}
    network = EADModel.from_pretrained(model, **options)
    conditions = parse_assignments("--condition", condition)
    sizes = tasks.read_size(n_atoms)
    if n is None:
        n = len(sizes) if isinstance(sizes, list) else 100
    try:
        written = tasks.generate_file(
            network,
            out,
            n,
            resume=resume,
            n_atoms=sizes,
            conditions=conditions,
            guidance_scale=guidance_scale,
            guide=chosen_guide(guide, model, conditions, guidance_scale),
            autoguidance_scale=autoguidance_scale,
            noise_scale=noise_scale,
            closed_shell=closed_shell,
            weak_model=weak_model,
            name=tasks.short_name(model),
            schedule=schedule,
            repeat_rule=repeat_rule,
            stepper=stepper,
            steps=steps,
            seed=seed,
            batch_size=batch_size,
        )
    except KeyboardInterrupt:
        typer.echo(f"interrupted with {tasks.what_is_safe(out)}", err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(f"{one_line(error)}. Safe: {tasks.what_is_safe(out)}") from error
    typer.echo(written.summary(out))


app.command(
    epilog=examples(
        "predict molecules.sdf",
        "predict molecules.sdf --unit gap=eV --out predictions.csv",
    )
)(predict)
app.command(
    epilog=examples(
        "design --condition gap=5.4eV --n 500 --keep 20",
        "design -c gap=5.4eV -c mu=2D --tolerance gap=0.3eV --max-sa 5 --out best.sdf",
        "design -c alpha=80 --molecules molecules.sdf --out chosen.csv",
    )
)(design)
app.command(epilog=examples("draw molecules.sdf", "draw molecules.sdf --n 12 --out few.png"))(draw)


@app.command(
    epilog=examples(
        "evaluate molecules.sdf",
        "evaluate molecules.sdf --protocol strict --reference qm9",
        "evaluate --conditional --model qm9-conditional --oracle qm9-properties --property gap",
    )
)
@command
def evaluate(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help=f"{GEOMETRY_FILES}, from this or any program."),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            metavar="NAME",
            help="edm (what papers report), or strict (refuses radicals, fragments and missing "
            "hydrogens).",
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
    noise_scale: NoiseScale = None,
    closed_shell: ClosedShell = None,
    free_size: Annotated[
        bool,
        typer.Option(
            "--free-size",
            help="Let the model choose the number of atoms instead of drawing it with the request.",
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Denoising steps; the model's by default."),
    ] = None,
    stepper: StepperName = "ancestral",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of requests and molecules.")] = 0,
    precision: Annotated[Precision | None, choice(Precision, "Arithmetic of the network")] = None,
) -> None:
    """Stability, validity, uniqueness and novelty of the molecules in a file.

    Bonds are found from the interatomic distances, so every molecule must have 3D coordinates and
    all its hydrogens; bonds in the file are not used.

    With --conditional, --model and --oracle: how far generated molecules are from the property
    values they were generated for, beside published results.
    """
    from deepchem_ead import MoleculeBatch, evaluate_molecules, tasks
    from deepchem_ead.tasks_conditional import evaluate_conditional_models

    if conditional:
        if file is not None or model is None or oracle is None:
            raise ValueError("--conditional takes --model and --oracle, and no FILE")
        result = evaluate_conditional_models(
            model,
            oracle,
            second_oracle,
            data,
            requests or [],
            {} if precision is None else {"precision": precision.value},
            guide=guide,
            n=n,
            guidance_scale=guidance_scale,
            autoguidance_scale=autoguidance_scale,
            noise_scale=noise_scale,
            closed_shell=closed_shell,
            n_atoms="free" if free_size else "drawn",
            vocabulary=vocabulary and vocabulary.value,
            seed=seed,
            steps=steps,
            stepper=stepper,
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
        reference=None if reference is None else tasks.known_molecules(reference),
    )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        typer.echo(tasks.metrics_table(report, file.name))


@app.command(epilog=examples("info"))
@command
def info() -> None:
    """Versions, compiled kernel, presets, trained models and data; for bug reports, too."""
    from deepchem_ead import tasks

    typer.echo(tasks.describe_installation())


@app.command(epilog=examples("demo", "demo --n 16 --out first-look"))
@command
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For the results.")] = Path(
        "demo-output"
    ),
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules to generate.")
    ] = 64,
    precision: Annotated[
        Precision, choice(Precision, "Arithmetic of the network")
    ] = Precision.auto,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Denoising steps.")] = None,
) -> None:
    """Generate molecules from the model that comes with the package, score and draw them.

    It takes about a minute. To see training instead: deepchem-ead train qm9 --minutes 3
    """
    from deepchem_ead.demo import run_demo

    run_demo(out, n, precision.value, steps)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    typer.echo(f"warning: {one_line(message)}", err=True)


def main() -> None:
    """Entry point: problems with the input are one line, not a traceback."""
    logging.getLogger("deepchem").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except (ValueError, CheckpointError, OSError, FloatingPointError, ImportError) as error:
            typer.secho(f"error: {one_line(error)}", fg=typer.colors.RED, err=True)
            sys.exit(1)

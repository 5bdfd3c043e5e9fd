"""The commands about properties: train-predictor, predict and design."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead.choices import DEFAULT_PREDICTOR, GEOMETRY_FILES, TRAINING_FILES, preset_names
from deepchem_ead.cli_support import (
    Autoguidance,
    CheckpointInterval,
    ClosedShell,
    DefaultGuide,
    LogTensorboard,
    NoiseScale,
    Precision,
    Protocol,
    Restart,
    SmilesColumn,
    StepperName,
    Stop,
    choice,
    chosen_guide,
    command,
    one_line,
    parse_assignments,
    parse_option,
    stop_on_interrupt,
)
from deepchem_ead.locks import hold

if TYPE_CHECKING:
    from deepchem.data import Dataset

    from deepchem_ead.models.property_model import EGNNPropertyModel

_PREDICTOR_HELP = (
    "Property model: folder (RUN/model after 'train-predictor') or a name that 'info' lists. "
    "Several (repeat the option) are averaged, and their disagreement adds to the uncertainty."
)


@command
def train_predictor(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"qm9 (100,000 training molecules), qm9-sample (1,539), or your own "
            f"{TRAINING_FILES}, with properties as tags, keys or columns.",
        ),
    ],
    properties: Annotated[
        str,
        typer.Option("--tasks", metavar="NAME,NAME", help="Properties to learn."),
    ],
    smiles_column: SmilesColumn = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The run: checkpoints, config.yaml, curve.csv, and model/."
        ),
    ] = Path("runs/predictor"),
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"{', '.join(preset_names('properties/presets'))}, or a YAML file."
        ),
    ] = "oracle-small",
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passes over the data, of the whole run.")
    ] = 100,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="MINUTES", help="Time of training, if that is to end it earlier."
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
    precision: Annotated[Precision | None, choice(Precision, "Arithmetic of the network")] = None,
    checkpoint_interval: CheckpointInterval = 500,
    tensorboard: LogTensorboard = False,
    restart: Restart = False,
) -> None:
    """Train a model that predicts properties from 3D structures, or go on with a run.

    Molecules that it does not see (QM9's validation part, or a tenth of a file) tell how large its
    errors are and scale the uncertainty that it predicts.
    """
    from deepchem_ead import property_tasks
    from deepchem_ead.training.curve import summary_writer_type

    if tensorboard:
        summary_writer_type()  # fails before the data is loaded
    overrides = dict(parse_option(text) for text in option or [])
    if precision is not None:
        overrides["precision"] = precision.value
    names = [name.strip() for name in properties.split(",")]
    dataset, held_out = property_tasks.labelled_data(data, names, smiles_column)
    model = property_tasks.new_predictor(preset, names, overrides, dataset, out)
    with hold(out, "training in it"):
        _train_in(
            out, model, names, dataset, held_out, epochs, minutes, checkpoint_interval,
            tensorboard, restart,
        )  # fmt: skip


def _train_in(
    out: Path,
    model: EGNNPropertyModel,
    names: list[str],
    dataset: Dataset,
    held_out: Dataset | None,
    epochs: int,
    minutes: float | None,
    checkpoint_interval: int,
    tensorboard: bool,
    restart: bool,
) -> None:
    from deepchem_ead import property_tasks, tasks

    if restart:
        tasks.forget_run(model)
    elif tasks.restore(model):
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
    (out / "config.yaml").write_text(yaml.safe_dump(model.config.to_dict(), sort_keys=False))
    reason = tasks.nothing_left(model, epochs, minutes)
    finished, stop = True, Stop()
    if reason is None:
        typer.echo(f"{len(dataset):,} molecules to learn {', '.join(names)} from")
        with stop_on_interrupt(model) as stop:
            finished = tasks.train(
                model, dataset, out, epochs, minutes, checkpoint_interval, tensorboard
            )
    if held_out is not None:
        errors = property_tasks.held_out_errors(model, held_out)
        typer.echo(f"mean absolute error on {len(held_out):,} other molecules: {errors}")
    model.save_pretrained(out / "model")
    if reason is not None:
        typer.echo(f"nothing to train: {reason}")
        return
    step = model.get_global_step()
    end = "trained" if finished else "stopped, to go on with the same command, after"
    typer.echo(f"{end} {step:,} steps. Predict properties with:")
    typer.echo(f"  deepchem-ead predict molecules.sdf --model {out / 'model'}")
    stop.exit()


@command
def predict(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=f"{GEOMETRY_FILES} with all hydrogens."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=f"{_PREDICTOR_HELP} By default {DEFAULT_PREDICTOR}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write a table (.csv), or the molecules with their predictions as tags (.sdf, "
            "from an SDF file only). By default the first rows are printed.",
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="NAME=UNIT",
            help="Unit of a property, e.g. gap=eV; by default that of the training data. Only "
            "properties with a --unit or --property are written, if there are any. Can be "
            "repeated.",
        ),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME",
            help="Property to predict; all that the model knows by default. Can be repeated.",
        ),
    ] = None,
    precision: Annotated[Precision | None, choice(Precision, "Arithmetic of the network")] = None,
) -> None:
    """Predict properties of the molecules in a file, each with one standard deviation.

    The geometry counts: a structure should be relaxed, as those are that the model has learned
    from. The uncertainty is that of molecules like the training ones. Records that cannot be read
    or predicted stay in the table, with the reason.
    """
    from deepchem_ead import property_tasks

    options = {} if precision is None else {"precision": precision.value}
    units = parse_assignments("--unit", unit)
    if out is not None:
        property_tasks.check_prediction_file(file, out)
    predictor = property_tasks.load_predictor(model or [DEFAULT_PREDICTOR], **options)
    wanted = [*(properties or []), *(name for name in units if name not in (properties or []))]
    table = property_tasks.predict_file(file, predictor, units, wanted or None)
    problems = table[table["problem"] != ""]
    if len(problems):
        listed = "; ".join(
            f"record {row.record}: {row.problem}" for row in problems.head(10).itertuples()
        )
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        typer.echo(
            f"warning: no prediction for {len(problems)} of {len(table)} records: {listed}{more}",
            err=True,
        )
    if out is None:
        typer.echo(property_tasks.predictions_text(table, wanted or predictor.tasks))
    else:
        property_tasks.write_predictions(table, file, out)
        typer.echo(f"predictions for {len(table) - len(problems):,} molecules in {out}")


@command
def design(
    condition: Annotated[
        list[str],
        typer.Option(
            "--condition",
            "-c",
            metavar="NAME=VALUE",
            help="Wanted property, e.g. gap=5.4eV; without a unit in that of the training data. "
            "Can be repeated. A property that the generating model does not know only decides "
            "which molecules are chosen.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File to write: .sdf (with all results as tags), .xyz, .smi, or .csv (the table).",
        ),
    ] = Path("designs.sdf"),
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Generating model: folder or name, see 'info'."
        ),
    ] = "qm9",
    molecules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Choose from the molecules of this file; nothing is generated."
        ),
    ] = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help=f"{_PREDICTOR_HELP} By default {DEFAULT_PREDICTOR}."),
    ] = None,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="Molecules to generate.")
    ] = 500,
    keep: Annotated[int, typer.Option(min=1, metavar="N", help="Molecules to keep at most.")] = 50,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE",
            help="How far a prediction may be from the target, e.g. 0.3eV; with several "
            "conditions by name, e.g. gap=0.3eV, repeated. By default any distance will do.",
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
            help="What counts as valid: strict (refuses radicals and missing hydrogens), or edm.",
        ),
    ] = Protocol.strict,
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
    noise_scale: NoiseScale = None,
    closed_shell: ClosedShell = None,
    n_atoms: Annotated[
        str | None,
        typer.Option(metavar="N", help="Atoms of every molecule, or a word: as in 'generate'."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Denoising steps; the model's by default."),
    ] = None,
    stepper: StepperName = "ancestral",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the molecules.")] = 0,
    precision: Annotated[Precision | None, choice(Precision, "Arithmetic of the network")] = None,
) -> None:
    """Generate molecules for property values and keep the best, with their predicted values.

    Molecules are filtered by validity, uniqueness and what else is asked for, and ranked by the
    distance of their predicted properties to the target. For very many of them, run 'generate'
    first (it can be resumed) and pass its file with --molecules.
    """
    from deepchem_ead import EADModel, MoleculeBatch, property_tasks, tasks
    from deepchem_ead.designs.design import design as run_design
    from deepchem_ead.designs.design import select_molecules
    from deepchem_ead.generation.request import askable
    from deepchem_ead.models.guides import guiding_model

    property_tasks.check_design_file(out)
    conditions = parse_assignments("--condition", condition)
    limits = _tolerance(tolerance, conditions)
    options = {} if precision is None else {"precision": precision.value}
    judge = property_tasks.load_predictor(predictor or [DEFAULT_PREDICTOR], **options)
    chosen = {"tolerance": limits, "max_sa": max_sa, "protocol": protocol.value}
    if reference is not None:
        chosen["reference"] = tasks.known_molecules(reference)
    if molecules is not None:
        result = select_molecules(MoleculeBatch.read(molecules), conditions, judge, keep, **chosen)
    else:
        network = EADModel.from_pretrained(model, **options)
        guide = chosen_guide(guide, model, conditions, guidance_scale)
        steering = guiding_model(guide, network) if guide else None
        heard = askable(network, steering)
        unheard = [c for c in conditions if c not in heard]
        if unheard:
            typer.echo(f"{model} cannot be asked for {', '.join(unheard)}: only chosen by it")
        result = run_design(
            network, conditions, judge, n, keep, **chosen, guidance_scale=guidance_scale,
            guide=steering,
            autoguidance_scale=autoguidance_scale,
            noise_scale=noise_scale,
            closed_shell=closed_shell,
            n_atoms=tasks.read_size(n_atoms), steps=steps, stepper=stepper, seed=seed,
        )  # fmt: skip
    typer.echo(result.funnel_table())
    if not len(result):
        typer.echo(f"\n{one_line(result.message)}", err=True)
        raise typer.Exit(1)
    result.write(out)
    typer.echo(f"\n{result.top()}\n\n{len(result):,} molecules in {out}")


def _tolerance(texts: list[str] | None, conditions: dict[str, str]) -> str | dict[str, str] | None:
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    return parse_assignments("--tolerance", texts)

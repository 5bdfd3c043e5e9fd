"""``deepchem-ead train-predictor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead.choices import TRAINING_FILES, preset_names
from deepchem_ead.commands.options import (
    CheckpointInterval,
    LogTensorboard,
    NetworkPrecision,
    Restart,
    SmilesColumn,
    model_options,
    parse_option,
)
from deepchem_ead.commands.running import Stop, command, stop_on_interrupt
from deepchem_ead.locks import hold

if TYPE_CHECKING:
    from deepchem.data import Dataset

    from deepchem_ead.models.property_model import EGNNPropertyModel


@command(
    "train-predictor qm9 --tasks gap,mu --minutes 30 --out runs/gap",
    "train-predictor molecules.sdf --tasks logP --epochs 200",
)
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
            help="Change a field of the preset, e.g. --set n_layers=4 or --set network.n_layers=4; "
            "can be repeated.",
        ),
    ] = None,
    precision: NetworkPrecision = None,
    checkpoint_interval: CheckpointInterval = 500,
    tensorboard: LogTensorboard = False,
    restart: Restart = False,
) -> None:
    """Train a model that predicts properties from 3D structures, or go on with a run.

    Molecules that it does not see (QM9's validation part, or a tenth of a file) tell how large its
    errors are and scale the uncertainty that it predicts.
    """
    from deepchem_ead.commands.jobs import datasets, runs
    from deepchem_ead.training.curve import summary_writer_type

    if tensorboard:
        summary_writer_type()  # fails before the data is loaded
    overrides = runs.PropertyConfig.flat(
        dict(parse_option(text) for text in option or []) | model_options(precision)
    )
    names = [name.strip() for name in properties.split(",")]
    dataset, held_out = datasets.labelled_data(data, names, smiles_column)
    model = runs.new_predictor(preset, names, overrides, dataset, out)
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
    from deepchem_ead.chem.atomic import write_text
    from deepchem_ead.commands.jobs import runs

    if restart:
        runs.forget_run(model)
    elif runs.restore(model):
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
    write_text(out / "config.yaml", yaml.safe_dump(model.config.sections(), sort_keys=False))
    reason = runs.nothing_left(model, epochs, minutes)
    finished, stop = True, Stop()
    if reason is None:
        typer.echo(f"{len(dataset):,} molecules to learn {', '.join(names)} from")
        with stop_on_interrupt(model) as stop:
            finished = runs.train(
                model, dataset, out, epochs, minutes, checkpoint_interval, tensorboard
            )
    if held_out is not None:
        errors = runs.held_out_errors(model, held_out)
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

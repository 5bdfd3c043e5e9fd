"""``deepchem-ead train-predictor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import TRAINING_FILES, preset_names
from deepchem_ead.commands.options import NetworkPrecision, SmilesColumn
from deepchem_ead.commands.running import command
from deepchem_ead.commands.training import (
    Changes,
    CheckpointInterval,
    Epochs,
    LogTensorboard,
    Minutes,
    Restart,
    RunFolder,
    Training,
    changes,
    run_training,
)


@command(
    "train-predictor qm9 --tasks gap,mu --minutes 30 --out runs/gap",
    "train-predictor molecules.sdf --tasks logP --epochs 200",
)
def train_predictor(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="qm9 (100,000 training molecules), qm9-sample (1,539), drugs3d-sample (1,808), "
            "the folder of drugs3d that 'data build' has written, or your own "
            f"{TRAINING_FILES}, with properties as tags, keys or columns.",
        ),
    ],
    properties: Annotated[
        str,
        typer.Option("--tasks", metavar="NAME,NAME", help="Properties to learn."),
    ],
    smiles_column: SmilesColumn = None,
    out: RunFolder = Path("runs/predictor"),
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"{', '.join(preset_names('properties/presets'))}, or a YAML file."
        ),
    ] = "oracle-small",
    epochs: Epochs = 100,
    minutes: Minutes = None,
    option: Changes = None,
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

    training = Training(epochs, minutes, checkpoint_interval, tensorboard, restart)
    overrides = changes(runs.PropertyConfig, option, precision)
    names = [name.strip() for name in properties.split(",")]
    dataset, held_out = datasets.labelled_data(data, names, smiles_column)
    model = runs.new_predictor(preset, names, overrides, dataset, out)

    def calibrate() -> None:
        if held_out is not None:
            errors = runs.held_out_errors(model, held_out)
            typer.echo(f"mean absolute error on {len(held_out):,} other molecules: {errors}")

    def introduction() -> str:
        return f"{len(dataset):,} molecules to learn {', '.join(names)} from"

    use = ("Predict properties", "deepchem-ead predict molecules.sdf")
    run_training(out, model, dataset, training, introduction, use, calibrate)

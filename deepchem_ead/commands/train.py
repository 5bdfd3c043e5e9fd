"""``deepchem-ead train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepchem_ead.choices import TRAINING_FILES, preset_names
from deepchem_ead.commands.options import Precision, SmilesColumn
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
    "train qm9 --minutes 3 --out runs/first",
    "train molecules.sdf --out runs/mine --epochs 50",
    "train molecules.sdf --conditions logP --from qm9 --out runs/tuned",
)
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="qm9 (100,000 training molecules), qm9-sample (1,539), drugs3d-sample (1,808), "
            "the folder of drugs3d that 'data build' has written, or your own "
            f"{TRAINING_FILES}. SMILES get conformers; coordinates need all hydrogens.",
        ),
    ],
    out: RunFolder = Path("runs/ead"),
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
    epochs: Epochs = 100,
    minutes: Minutes = None,
    option: Changes = None,
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
    from deepchem_ead.commands.jobs import datasets, runs

    training = Training(epochs, minutes, checkpoint_interval, tensorboard, restart)
    overrides = changes(runs.EADConfig, option, precision)
    if conditions is not None:
        overrides["conditions"] = conditions
    if preset is None and start is None:
        preset = "qm9-small"
    config = runs.read_config(preset, overrides, start)
    names = config.condition_names
    if start is not None and preset is None and "conditions" not in overrides:
        names = tuple(datasets.conditions_in(data, names, start, smiles_column))
        overrides["conditions"] = ",".join(names)
    dataset = datasets.training_data(data, names, smiles_column, config.bonds)
    model = runs.new_model(preset, overrides, dataset, model_dir=out, start=start)

    def introduction() -> str:
        parameters, backend = runs.n_parameters(model), model.model.denoiser.active_backend
        return f"{len(dataset):,} molecules, {parameters:,} parameters, {backend}"

    use = ("Generate molecules", "deepchem-ead generate")
    run_training(out, model, dataset, training, introduction, use)

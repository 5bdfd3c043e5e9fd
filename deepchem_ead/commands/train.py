"""``deepchem-ead train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead.choices import TRAINING_FILES, preset_names
from deepchem_ead.commands.options import (
    CheckpointInterval,
    LogTensorboard,
    Precision,
    Restart,
    SmilesColumn,
    model_options,
    parse_option,
)
from deepchem_ead.commands.running import command, stop_on_interrupt
from deepchem_ead.locks import hold

if TYPE_CHECKING:
    from deepchem.data import Dataset

    from deepchem_ead import EADModel


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
            help="Change a field of the preset, e.g. --set n_layers=4 or --set network.n_layers=4; "
            "can be repeated.",
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
    from deepchem_ead.commands.jobs import datasets, runs
    from deepchem_ead.training.curve import summary_writer_type

    if tensorboard:
        summary_writer_type()  # fails before the data is loaded
    overrides = runs.EADConfig.flat(
        dict(parse_option(text) for text in option or []) | model_options(precision)
    )
    if conditions is not None:
        overrides["conditions"] = conditions
    if preset is None and start is None:
        preset = "qm9-small"
    names = runs.read_config(preset, overrides, start).condition_names
    if start is not None and preset is None and "conditions" not in overrides:
        names = tuple(datasets.conditions_in(data, names, start, smiles_column))
        overrides["conditions"] = ",".join(names)
    dataset = datasets.training_data(data, names, smiles_column)
    model = runs.new_model(preset, overrides, dataset, model_dir=out, start=start)
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
    from deepchem_ead.chem.atomic import write_text
    from deepchem_ead.commands.jobs import runs

    if restart:
        runs.forget_run(model)
    elif runs.restore(model):
        typer.echo(f"going on from step {model.get_global_step():,} of {out}")
    write_text(out / "config.yaml", yaml.safe_dump(model.config.sections(), sort_keys=False))
    reason = runs.nothing_left(model, epochs, minutes)
    if reason is not None:
        model.save_pretrained(out / "model")
        typer.echo(f"nothing to train: {reason}")
        return
    typer.echo(
        f"{len(dataset):,} molecules, {runs.n_parameters(model):,} parameters, "
        f"{model.model.denoiser.active_backend}"
    )
    with stop_on_interrupt(model) as stop:
        finished = runs.train(
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

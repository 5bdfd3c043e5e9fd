"""What 'train' and 'train-predictor' have in common: their options, and how a run goes and ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead.commands.options import Precision, model_options, parse_option
from deepchem_ead.commands.running import Stop, stop_on_interrupt
from deepchem_ead.locks import hold

if TYPE_CHECKING:
    from deepchem.data import Dataset

    from deepchem_ead.generator.settings import Settings
    from deepchem_ead.training.resumable import ResumableModel

RunFolder = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER", help="The run: checkpoints, config.yaml, curve.csv, and model/."
    ),
]
Epochs = Annotated[
    int, typer.Option(min=1, metavar="N", help="Passes over the data, of the whole run.")
]
Minutes = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        metavar="MINUTES",
        help="Time of training, if that is to end it before the epochs do. The time before an "
        "interruption counts, too.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a field of the preset, e.g. --set n_layers=4 or --set network.n_layers=4; "
        "can be repeated.",
    ),
]
CheckpointInterval = Annotated[
    int, typer.Option(min=1, metavar="STEPS", help="Steps between checkpoints.")
]
LogTensorboard = Annotated[
    bool,
    typer.Option(
        "--tensorboard",
        help="Log the curve for TensorBoard, too, in FOLDER/tensorboard (pip install tensorboard).",
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Begin anew: remove the checkpoints in the run's folder."),
]


@dataclass(frozen=True)
class Training:
    """How long to train, and what to write: the options of the same names."""

    epochs: int
    minutes: float | None
    checkpoint_interval: int
    tensorboard: bool
    restart: bool

    def __post_init__(self) -> None:
        if self.tensorboard:
            from deepchem_ead.training.curve import summary_writer_type

            summary_writer_type()  # fails before the data is loaded


def changes(
    config_type: type[Settings], texts: list[str] | None, precision: Precision | None
) -> dict:
    """Fields that ``--set`` and ``--precision`` give, by name."""
    return config_type.flat(
        dict(parse_option(text) for text in texts or []) | model_options(precision)
    )


def run_training(
    out: Path,
    model: ResumableModel,
    dataset: Dataset,
    training: Training,
    introduction: Callable[[], str],
    use: tuple[str, str],
    before_saving: Callable[[], None] = lambda: None,
) -> None:
    """Train a new model, or go on with what is in its folder.

    Parameters
    ----------
    out : Path
    model : ResumableModel
        Its folder is ``out``.
    dataset : dc.data.Dataset
    training : Training
    introduction : callable
        What is trained on what, once a model is there.
    use : (str, str)
        What the model is good for, and the command that does it.
    before_saving : callable
        Called when the training is over or stopped, also if nothing is left to be done.
    """
    from deepchem_ead.chem.atomic import write_text
    from deepchem_ead.commands.jobs import runs

    with hold(out, "training in it"):
        if training.restart:
            runs.forget_run(model)
        elif runs.restore(model):
            typer.echo(f"going on from step {model.get_global_step():,} of {out}")
        write_text(out / "config.yaml", yaml.safe_dump(model.config.sections(), sort_keys=False))
        reason = runs.nothing_left(model, training.epochs, training.minutes)
        finished = True
        with stop_on_interrupt(model) if reason is None else nullcontext(Stop()) as stop:
            if reason is None:
                typer.echo(introduction())
                finished = runs.train(
                    model, dataset, out, training.epochs, training.minutes,
                    training.checkpoint_interval, training.tensorboard,
                )  # fmt: skip
            before_saving()
            model.save_pretrained(out / "model")
    step, (what, example) = model.get_global_step(), use
    if reason is not None:
        typer.echo(f"nothing to train: {reason}")
        return
    if finished:
        typer.echo(f"trained {step:,} steps. {what} with:")
    else:
        typer.echo(
            f"stopped at step {step:,}; the same command goes on from there. {what} with the model "
            "so far:"
        )
    typer.echo(f"  {example} --model {out / 'model'}")
    stop.exit()

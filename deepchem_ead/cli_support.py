"""What the commands share: choices, the reading of NAME=VALUE, and clean stops."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from deepchem_ead import _start
from deepchem_ead.choices import REPEAT_RULES, SCHEDULES, STEPPERS

if TYPE_CHECKING:
    from deepchem_ead.training.resumable import ResumableModel


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
SmilesColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Column of a table with the SMILES; 'smiles' in any case by default."
    ),
]
Autoguidance = Annotated[
    float | None,
    typer.Option(
        "--autoguidance",
        min=0.0,
        metavar="W",
        help="Go away from what a weak model says: better molecules, somewhat less diverse; 0: do "
        "not. As the model's configuration says by default.",
    ),
]
Guide = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Property model whose gradient steers to the conditions it knows; conditions that the "
        "generating model does not know need one. Takes several times as long.",
    ),
]
DefaultGuide = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Property model whose gradient steers to the conditions it knows; conditions that the "
        "generating model does not know need one. Takes several times as long. By default "
        "qm9-guide for qm9, unless there is a --guidance-scale; none: do without.",
    ),
]
NoiseScale = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="S",
        help="Factor of the noise added in each step. 1 draws from what the model has learned; "
        "less makes fewer errors and less diverse molecules. As the model's configuration says by "
        "default.",
    ),
]
ClosedShell = Annotated[
    bool | None,
    typer.Option(
        "--closed-shell/--any-shell",
        help="Only molecules with an even number of electrons, as neutral ones without unpaired "
        "electrons have; or any. As the model's configuration says by default.",
    ),
]

#: Remedies that the library's messages name, and what they are called here.
OPTIONS = {
    "on_error='skip'": "--skip-bad",
    'vocabulary="geom"': "--vocabulary geom",
    "smiles_column=": "--smiles-column",
    "n_atoms=": "--n-atoms ",
    "protocol='edm'": "--protocol edm",
    "raise max_sa": "raise --max-sa",
    "raise the tolerance": "raise --tolerance",
    "gap='5.4 eV'": "--condition gap=5.4eV",
}

#: Numbers of the errors of a full disk.
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
#: What helps against errors of the operating system.
REMEDIES = {
    **dict.fromkeys(NO_ROOM, "free some space, raise the limit, or write elsewhere"),
    errno.EACCES: "choose a place that you may write to and read",
    errno.EPERM: "choose a place that you may write to and read",
    errno.EROFS: "choose a place that can be written to",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "one of the folders in it is a file",
}


def _known_part(kind: str, names: Sequence[str]) -> Callable[[str | None], str | None]:
    """Refuses what is no part of this kind; only what is not among ``names`` takes long."""

    def check(text: str | None) -> str | None:
        if text is None or text in names:
            return text
        from deepchem_ead import sampling

        try:
            getattr(sampling, f"resolve_{kind}")(text)
        except ValueError as error:
            raise typer.BadParameter(one_line(error)) from None
        return text

    return check


def part(kind: str, names: Sequence[str], text: str) -> typer.models.OptionInfo:
    """An option for a part by name, which may have options of its own after a colon."""
    return typer.Option(metavar="NAME", callback=_known_part(kind, names), help=text)


ScheduleName = Annotated[
    str | None,
    part(
        "schedule",
        SCHEDULES,
        f"Which atoms lose their noise when (default: the model's): {', '.join(SCHEDULES)}. "
        "Options follow a colon: random-coin:probability=0.6.",
    ),
]
RepeatRuleName = Annotated[
    str | None,
    part(
        "repeat_rule",
        REPEAT_RULES,
        "What happens to an atom that waits for others (default: the model's): "
        f"{', '.join(REPEAT_RULES)}.",
    ),
]
StepperName = Annotated[
    str,
    part(
        "stepper",
        STEPPERS,
        f"How one step removes noise: {', '.join(STEPPERS)}. Options follow a colon: "
        "ancestral:eta=0.5.",
    ),
]


def choice(names: type[StrEnum], text: str, *flags: str) -> typer.models.OptionInfo:
    """An option whose choices stand in its help text; as a metavar they would not fit."""
    return typer.Option(*flags, metavar="NAME", help=f"{text}: {', '.join(names)}.")


def examples(*lines: str) -> str:
    """The end of a command's help: lines that can be copied."""
    return "\n".join(["\b", "Examples:", *(f"  deepchem-ead {line}" for line in lines)])


def chosen_guide(
    guide: str | None, model: str, conditions: Iterable[str], guidance_scale: float
) -> str | None:
    """The guide to use: the one asked for, or the one that comes with the model's weights.

    Without one, molecules for wanted properties are hardly nearer to them than by their size.
    """
    from deepchem_ead.generator.pretrained import guide_of

    if guide is not None or guidance_scale > 0:
        return None if guide == "none" else guide
    shipped = guide_of(model)
    known = [name for name in conditions if shipped and name in shipped[1]]
    if not known:
        return None
    typer.echo(
        f"steering to {', '.join(known)} with {shipped[0]}, which takes longer; --guide none does "
        "without",
        err=True,
    )
    return shipped[0]


def one_line(message: object) -> str:
    """A message of the library as the command line says it."""
    if isinstance(message, OSError) and message.strerror:
        remedy = REMEDIES.get(message.errno)
        where = f"{message.filename}: " if message.filename else ""
        message = f"{where}{message.strerror}" + (f" ({remedy})" if remedy else "")
    text = " ".join(str(message).split())
    for argument, option in OPTIONS.items():
        text = text.replace(argument, option)
    return text


def parse_option(text: str) -> tuple[str, object]:
    """Name and YAML value of ``--set NAME=VALUE``."""
    name, value = split_assignment("--set", text)
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {text}: {value!r} is not a value") from error
    if isinstance(found, str):
        with suppress(ValueError):
            return name, float(found)  # YAML reads 1e-4 as text
    return name, found


def parse_assignments(flag: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Values by name from a repeated option ``FLAG NAME=VALUE``.

    Raises
    ------
    ValueError
        If there is no "=", or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, value = split_assignment(flag, text)
        if name in found:
            raise ValueError(f"{flag} {text}: {name} is given twice")
        found[name] = value
    return found


def split_assignment(flag: str, text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ValueError(f"{flag} {text}: must be of the form NAME=VALUE")
    return name.strip(), value.strip()


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Load what commands compute with, and end with one line when Ctrl-C is pressed."""

    @wraps(function)
    def run(*args, **options) -> None:
        from deepchem_ead import property_tasks  # noqa: F401  (imports all the rest)

        _start.interruptible()
        try:
            function(*args, **options)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(128 + signal.SIGINT) from None

    return run


class Stop:
    """The signal that ended a training early, if one did.

    Attributes
    ----------
    number : int
        Of the signal; 0 for none.
    """

    number = 0

    def exit(self) -> None:
        """End the program as interrupted, if it was."""
        if self.number:
            raise typer.Exit(128 + self.number)


@contextmanager
def stop_on_interrupt(model: ResumableModel) -> Iterator[Stop]:
    """Let the first Ctrl-C (or SIGTERM) end training after the step; a second one ends at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}
    stopped = Stop()

    def stop(number, frame) -> None:
        stopped.number = number
        model.stop_training()
        signal.signal(number, previous[number])

    for number in signals:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number in signals:
            signal.signal(number, previous[number])

"""Options that several commands share, and the reading of NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer
import yaml

from deepchem_ead.choices import REPEAT_RULES, SCHEDULES, STEPPERS
from deepchem_ead.commands.running import one_line


class Protocol(StrEnum):
    edm = "edm"
    strict = "strict"
    corrected = "corrected"


class Vocabulary(StrEnum):
    qm9 = "qm9"
    geom = "geom"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


NetworkPrecision = Annotated[
    Precision | None,
    typer.Option(metavar="NAME", help=f"Arithmetic of the network: {', '.join(Precision)}."),
]


def read_steps(text: str | None) -> int | str | list[float] | None:
    """Steps as written on the command line: ``100``, ``arcsin:steps=50`` or ``0,50,1000``.

    A grid's name and the numbers themselves are checked where the model is known.
    """
    if text is None or not text.replace(" ", "").replace(",", "").replace(".", "").isdigit():
        return text
    return [float(level) for level in text.split(",")] if "," in text else int(float(text))


Steps = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        callback=read_steps,
        help="Denoising steps (default: the model's); fewer are faster and worse. Or a grid, as "
        "arcsin:steps=50, or its levels, 0,...,1000.",
    ),
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
        help="Go away from what a weak model says: better, less diverse (default: the model's).",
    ),
]


Guide = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Property model, or radius-of-gyration, whose gradient steers to the conditions it "
        "knows; those that the generating model does not know need one. Takes several times as "
        "long.",
    ),
]


DefaultGuide = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Property model, or radius-of-gyration, whose gradient steers to the conditions it "
        "knows; takes several times as long. Default: qm9-guide for qm9, unless there is a "
        "--guidance-scale; none: without.",
    ),
]


GuidanceLevels = Annotated[
    str | None,
    typer.Option(
        metavar="LOW-HIGH",
        help="Levels at which guidance acts (and costs time), as 200-400; default: the model's.",
    ),
]


NoiseScale = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="S",
        help="Factor of the noise added in each step (default: the model's). Below 1 there are "
        "fewer errors and less diverse molecules.",
    ),
]


ClosedShell = Annotated[
    bool | None,
    typer.Option(
        "--closed-shell/--any-shell",
        help="Only molecules with an even number of electrons, or any (default: the model's).",
    ),
]


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
    str | None,
    part(
        "stepper",
        STEPPERS,
        f"How one step removes noise (default: the model's): {', '.join(STEPPERS)}; options as in "
        "churn:gamma=1.",
    ),
]


def model_options(precision: Precision | None) -> dict[str, str]:
    """What a model is loaded or made with."""
    return {} if precision is None else {"precision": precision.value}


def choice(names: type[StrEnum], text: str, *flags: str) -> typer.models.OptionInfo:
    """An option whose choices stand in its help text; as a metavar they would not fit."""
    return typer.Option(*flags, metavar="NAME", help=f"{text}: {', '.join(names)}.")


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


PREDICTOR_HELP = (
    "Property model: folder, or a name that 'info' lists. Several (repeat the option) are "
    "averaged; their disagreement adds to the uncertainty."
)

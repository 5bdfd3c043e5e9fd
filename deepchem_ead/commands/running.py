"""How a command runs and ends: its imports, its messages, and clean stops."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING

import typer

from deepchem_ead import _start
from deepchem_ead.errors import SKIP_HINT, MoleculeError

if TYPE_CHECKING:
    from deepchem_ead.training.resumable import ResumableModel

#: Remedies that the library's messages name, and what they are called here.
OPTIONS = {
    "on_error='skip'": "--skip-bad",
    'vocabulary="geom"': "--vocabulary geom",
    "smiles_column=": "--smiles-column",
    "n_atoms=": "--n-atoms ",
    "attach=": "--attach",
    "protocol='edm'": "--protocol edm",
    "raise max_sa": "raise --max-sa",
    "raise the tolerance": "raise --tolerance",
    "gap='5.4 eV'": "--condition gap=5.4eV",
    "guide='qm9-guide'": "--guide qm9-guide",
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
    errno.EEXIST: "a folder is to be made, and what has its name is a file",
    errno.ENOTDIR: "one of the folders in it is a file",
}


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


def command(*examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Load what a command computes with, and end with one line when Ctrl-C is pressed.

    Parameters
    ----------
    *examples : str
        The end of the command's help: lines that can be copied.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(*args, **options) -> None:
            from deepchem_ead.commands import jobs  # noqa: F401  (imports all the rest)

            _start.interruptible()
            try:
                function(*args, **options)
            except KeyboardInterrupt:
                typer.echo("interrupted", err=True)
                raise typer.Exit(128 + signal.SIGINT) from None
            except MoleculeError as error:
                if "skip_bad" in options or SKIP_HINT not in str(error):
                    raise
                raise MoleculeError(str(error).replace(f" {SKIP_HINT}", "")) from None

        run.epilog = "\n".join(["\b", "Examples:", *(f"  deepchem-ead {e}" for e in examples)])
        return run

    return decorate


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

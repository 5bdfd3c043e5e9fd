"""How the package starts: whole in a program, and no more than it needs at the command line."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from pathlib import Path


def is_command() -> bool:
    """Whether this process is ``deepchem-ead``, which loads what a command needs and no more."""
    name = Path(sys.argv[0]).name if getattr(sys, "argv", None) else ""
    return re.fullmatch(r"deepchem-ead(\.exe|-script\.pyw?)?", name) is not None


def leave_on_interrupt() -> None:
    """Let Ctrl-C end the process at once and without a traceback, until `interruptible`.

    For the time of imports, in which libraries take an exception for a missing part.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def interruptible() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    sys.stderr.write("interrupted\n")
    sys.stderr.flush()
    os._exit(128 + number)


def import_deepchem() -> None:
    """Import DeepChem without warnings about its optional parts, or say what is missing."""
    log = logging.getLogger("deepchem")
    level = log.level
    if "deepchem" not in sys.modules:
        log.setLevel(logging.ERROR)
    try:
        from deepchem.models import TorchModel  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "deepchem_ead needs deepchem >= 2.8 and torch, and dc.models.TorchModel cannot be "
            f"imported here ({error}). Install them with: pip install 'deepchem>=2.8,<3' torch"
        ) from error
    finally:
        log.setLevel(level)

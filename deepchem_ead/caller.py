"""Warnings that point at the line of the user's code that they are about."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

#: Packages that call each other for the user: their lines say nothing to him or her.
_BETWEEN = ("deepchem_ead", "deepchem", "importlib", "contextlib")


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the innermost line that is neither in this package nor in DeepChem.

    From however deep inside, as ``skip_file_prefixes`` does in Python 3.12. Where everything is
    inside, as in a command, it is the outermost line.
    """
    frame = sys._getframe(1)
    while _is_between(frame) and frame.f_back is not None:
        frame = frame.f_back
    names = frame.f_globals
    warnings.warn_explicit(
        message,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=names.get("__name__", "<unknown>"),
        registry=names.setdefault("__warningregistry__", {}),
    )


def _is_between(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _BETWEEN

"""Limits that keep one absurd input from taking all memory; each has an environment variable."""

from __future__ import annotations

import os

_DEFAULTS = {
    "DEEPCHEM_EAD_MAX_RECORD_MB": 64.0,
    "DEEPCHEM_EAD_MAX_GZIP_RATIO": 100.0,
    "DEEPCHEM_EAD_MAX_PADDED_GB": 1.0,
}


def limit(name: str) -> float:
    """Value of a limit: that of the environment variable, or the default.

    Raises
    ------
    ValueError
        If the variable is not a positive number.
    """
    text = os.environ.get(name)
    if text is None:
        return _DEFAULTS[name]
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{name}={text!r}: give a positive number (default {_DEFAULTS[name]:g})")
    return value


def record_limit() -> int:
    """Characters that one molecule's record, or one line, may take in a file."""
    return int(limit("DEEPCHEM_EAD_MAX_RECORD_MB") * 2**20)


def record_too_large() -> str:
    """Reason and remedy for a record beyond the limit."""
    return (
        f"it is larger than {limit('DEEPCHEM_EAD_MAX_RECORD_MB'):g} MB; if that is meant, set the "
        "environment variable DEEPCHEM_EAD_MAX_RECORD_MB to more"
    )

"""Limits that keep one absurd input from taking all memory; each has an environment variable."""

from __future__ import annotations

import os

import numpy as np

from deepchem_ead.errors import MoleculeError

_DEFAULTS = {
    "DEEPCHEM_EAD_MAX_RECORD_MB": 64.0,
    "DEEPCHEM_EAD_MAX_GZIP_RATIO": 100.0,
    "DEEPCHEM_EAD_MAX_PADDED_GB": 1.0,
    "DEEPCHEM_EAD_MAX_PAIRS_GB": 2.0,
}
_BYTES_A_PAIR = 50
_HARMLESS_GB = 0.05  # of ordinary molecules: not worth a look at the environment


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


def too_many_pairs(n_atoms: int) -> str | None:
    """Why the distances of all pairs of a molecule's atoms cannot be taken; None if they can.

    With what is made of them each pair takes about fifty bytes.
    """
    gigabytes = _BYTES_A_PAIR * n_atoms**2 / 2**30
    if gigabytes < _HARMLESS_GB or gigabytes <= limit("DEEPCHEM_EAD_MAX_PAIRS_GB"):
        return None
    return (
        f"{n_atoms} atoms are too many to find bonds by distances, which would take "
        f"{gigabytes:.1f} GB (limit {limit('DEEPCHEM_EAD_MAX_PAIRS_GB'):g}); give the bonds, in an "
        "SDF file, or set the environment variable DEEPCHEM_EAD_MAX_PAIRS_GB to more"
    )


def refuse_wasteful_padding(counts: np.ndarray, max_atoms: int) -> None:
    """Refuse a dense X that would be huge and nearly empty.

    Parameters
    ----------
    counts : numpy.ndarray
        Atoms of each molecule, shape (N,).
    max_atoms : int
        Rows for each molecule.

    Raises
    ------
    MoleculeError
        If X needs more memory than allowed and less than a tenth of it are atoms; names the largest
        molecule and the remedy.
    """
    gigabytes = 16 * len(counts) * max_atoms / 2**30
    if gigabytes <= limit("DEEPCHEM_EAD_MAX_PADDED_GB"):
        return
    if int(counts.sum()) < 0.1 * len(counts) * max_atoms:
        raise MoleculeError(
            f"X would take {gigabytes:.1f} GB, because each of {len(counts)} molecules gets "
            f"{max_atoms} rows, while half of them have at most {int(np.median(counts))} atoms "
            f"(molecule {int(counts.argmax())} has {int(counts.max())}); leave the large ones out, "
            "lower max_atoms, or set the environment variable DEEPCHEM_EAD_MAX_PADDED_GB to more"
        )

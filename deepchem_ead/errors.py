"""Exceptions that callers may want to catch by type."""

from __future__ import annotations


class MoleculeError(ValueError):
    """A molecule given as input cannot be used; the message names it, the value and the remedy."""


#: The remedy where one record of a file is bad.
SKIP_HINT = "(on_error='skip' leaves bad records out)"


class CheckpointError(RuntimeError):
    """A checkpoint or weight file is missing, damaged or belongs to another configuration."""


class InUseError(OSError):
    """Another process is writing the file or folder that this one wants to write."""

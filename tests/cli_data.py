"""What a command answered, and a model that trains in a second."""

from __future__ import annotations

from typing import NamedTuple

TINY = {
    "n_layers": 2, "n_features": 32, "timesteps": 30, "interval": 5, "batch_size": 16,
    "ema_decay": 0.9,
}  # fmt: skip
SET_TINY = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


class Result(NamedTuple):
    code: int
    out: str
    err: str


def assert_one_line(result: Result, *parts: str) -> None:
    """The command failed as a person can use it: one line on stderr."""
    assert result.code == 1
    assert result.err.startswith("error: ") and result.err.count("\n") == 1, result.err
    for part in parts:
        assert part in result.err

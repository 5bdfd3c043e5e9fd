"""The learning rate in the course of a run."""

from __future__ import annotations

import math


def rate_factor(decay: str, warmup_steps: int, step: int, progress: float) -> float:
    """Linear warm-up, then constant or a cosine to zero.

    Parameters
    ----------
    decay : str
        "none" or "cosine".
    warmup_steps : int
    step : int
        Steps since training began, from 0.
    progress : float
        Share of the training that is done, 0 to 1.
    """
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if decay == "none":
        return warmup
    return warmup * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))

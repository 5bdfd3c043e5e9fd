"""The learning rate in the course of a run."""

from __future__ import annotations

import math

#: Choices of ``learning_rate_decay``.
DECAYS = ("none", "cosine", "wsd")

#: Share of a run in which "wsd" lets the rate fall.
DECAY_SHARE = 0.3


def rate_factor(decay: str, warmup_steps: int, step: int, progress: float) -> float:
    """Linear warm-up, then constant, or a cosine to zero, or constant with a linear fall to zero.

    "wsd" (warm-up, stable, decay) falls in the last 30 % only. A run at constant rate ("none") is
    finished by going on with it for 3/7 of its length; its state before that can be trained further
    at any time.

    Parameters
    ----------
    decay : str
        "none", "cosine" or "wsd".
    warmup_steps : int
    step : int
        Steps since training began, from 0.
    progress : float
        Share of the training that is done, 0 to 1.

    References
    ----------
    Hägele et al., arXiv:2405.18392 (constant rate with a short decay against a cosine).
    """
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if decay == "none":
        return warmup
    progress = min(max(progress, 0.0), 1.0)
    if decay == "wsd":
        return warmup * min(1.0, (1 - progress) / DECAY_SHARE)
    return warmup * 0.5 * (1 + math.cos(math.pi * progress))

"""Where bf16 is asked for and fp32 is faster, because the processor cannot multiply in bf16."""

from __future__ import annotations

import logging
import platform
from functools import lru_cache

import torch

logger = logging.getLogger(__name__)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether PyTorch's products in bf16 are faster than in fp32 on a device."""
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@lru_cache(maxsize=8)
def say_exact(reason: str) -> None:
    """Say, once, that fp32 computes although bf16 was asked for."""
    logger.warning(
        "precision='bf16' computes in fp32 here, which is the fastest there is: %s", reason
    )

"""Who computes an attention denoiser: the compiled kernel where it can run, PyTorch elsewhere."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

try:
    from deepchem_ead.denoisers.native import attention_kernel, attention_network
except ImportError:  # the compiled kernel is an optional part of the package
    attention_kernel = attention_network = None

logger = logging.getLogger(__name__)


class AttentionBackend:
    """Mixin of a network with the attributes of `AttentionDenoiser`.

    Attributes
    ----------
    n_features, n_heads : int
    backend : {"auto", "torch", "native"}
    precision : {"auto", "fp32", "bf16"}
        See `AttentionDenoiser` for both.
    """

    def _choose_kernel(self, n_features: int, n_heads: int, backend: str, precision: str) -> None:
        if backend not in ("auto", "torch", "native"):
            raise ValueError(f'backend is {backend!r}; choose "auto", "torch" or "native"')
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f'precision is {precision!r}; choose "auto", "fp32" or "bf16"')
        self.n_features = n_features
        self.n_heads = n_heads
        self.backend = backend
        self.precision = precision
        self._announced = False

    @property
    def active_backend(self) -> str:
        """Which implementation computes float32 tensors on the CPU, in which format, and why."""
        reason = self._why_torch()
        return f"torch {self._format} ({reason})" if reason else f"native {self._format}"

    @property
    def _format(self) -> str:
        return "bf16" if self.precision == "bf16" else "fp32"

    def _why_torch(self) -> str:
        """Why the native kernel does not run; empty if it does."""
        if self.backend == "torch":
            return "asked for"
        reason = "the native kernel is not part of this installation"
        if attention_kernel is not None:
            reason = attention_kernel.why_not(self.n_features, self.n_heads, self._format)
        if reason and self.backend == "native":
            raise RuntimeError(f'backend="native": {reason}; use backend="auto" or "torch"')
        return reason

    def _kernel(self, x: Tensor) -> attention_kernel.AttentionKernel | None:
        """The native kernel, or None where PyTorch computes."""
        if x.dtype != torch.float32 or x.device.type != "cpu":
            if self.backend == "native":
                raise RuntimeError(
                    f'backend="native" computes float32 on the CPU, not {x.dtype} on {x.device}; '
                    'use backend="auto"'
                )
            return None
        if not self._announced:
            logger.info("attention denoiser: %s", self.active_backend)
            self._announced = True
        if self._why_torch():
            return None
        return attention_kernel.attention_or_reason(self._format)[0]

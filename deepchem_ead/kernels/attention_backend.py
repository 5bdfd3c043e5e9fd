"""Who computes an attention denoiser: a kernel where one can run, PyTorch elsewhere."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from deepchem_ead.kernels.formats import multiplies_bf16, say_exact
from deepchem_ead.kernels.triton import attention as fused

try:
    from deepchem_ead.kernels.native import attention_kernel, attention_network
except ImportError:  # the compiled kernel is an optional part of the package
    attention_kernel = attention_network = None

logger = logging.getLogger(__name__)

_NO_PAIR_COLUMNS = "no kernel reads columns of pairs, as frame='preconditioned' has them"


class AttentionBackend:
    """Mixin of a network with the attributes of `AttentionDenoiser`.

    Attributes
    ----------
    n_features, n_heads, n_pair_columns : int
    blocks : ModuleList
        With the weights of the pair operation, `PairWeights`, as ``pair``.
    backend : {"auto", "torch", "native", "triton"}
        "native" computes the whole network on the CPU, "triton" its pair operation on a GPU.
    precision : {"auto", "fp32", "bf16"}
        See `AttentionDenoiser` for both.
    """

    def _choose_kernel(self, n_features: int, n_heads: int, backend: str, precision: str) -> None:
        if backend not in ("auto", "torch", "native", "triton"):
            raise ValueError(
                f'backend is {backend!r}; choose "auto", "torch", "native" or "triton"'
            )
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f'precision is {precision!r}; choose "auto", "fp32" or "bf16"')
        self.n_features = n_features
        self.n_heads = n_heads
        self.backend = backend
        self.precision = precision
        self._announced = False

    @property
    def active_backend(self) -> str:
        """Which implementation computes float32 tensors, in which format, and why.

        Where the network's weights are: the compiled kernel on the CPU, Triton's for the pairs on a
        GPU.
        """
        who, number_format, reason = self._choose(next(self.parameters()).device)
        return f"{who} {number_format}" + (f" ({reason})" if reason else "")

    def _choose(self, device: torch.device) -> tuple[str, str, str]:
        """Who computes float32 tensors, in which format, and why nobody faster does."""
        wanted = "bf16" if self.precision == "bf16" else "fp32"
        if self._asks_triton(device):
            reason = self._why_no_triton(device)
            return ("torch", wanted, reason) if reason else ("triton", wanted, "")
        reason = self._why_torch(device, wanted)
        if not reason:
            return "native", wanted, ""
        if wanted == "fp32" or self.backend == "torch":
            return "torch", wanted, reason
        if not self._why_torch(device, "fp32"):
            return "native", "fp32", reason
        return "torch", wanted if multiplies_bf16(device) else "fp32", reason

    def _asks_triton(self, device: torch.device) -> bool:
        return self.backend == "triton" or (self.backend == "auto" and device.type != "cpu")

    def _why_no_triton(self, device: torch.device) -> str:
        """Why the Triton kernels do not compute the pairs; empty if they do."""
        n_pair_features = self.blocks[0].pair.logits.shape[1]
        reason = _NO_PAIR_COLUMNS if self.n_pair_columns else ""
        reason = reason or fused.why_not(self.n_features, self.n_heads, n_pair_features, device)
        if reason and self.backend == "triton":
            raise RuntimeError(f'backend="triton": {reason}; use backend="auto" or "torch"')
        return reason

    def _why_torch(self, device: torch.device, number_format: str) -> str:
        """Why the native kernel does not run in a format; empty if it does."""
        if self.backend == "torch":
            return "asked for"
        reason = "the native kernel is not part of this installation"
        if self.n_pair_columns:
            reason = _NO_PAIR_COLUMNS
        elif device.type != "cpu":
            reason = f"the native kernel computes on the CPU, not on {device}"
        elif attention_kernel is not None:
            reason = attention_kernel.why_not(self.n_features, self.n_heads, number_format)
        if reason and self.backend == "native":
            raise RuntimeError(f'backend="native": {reason}; use backend="auto" or "torch"')
        return reason

    def _kernel(self, x: Tensor) -> attention_kernel.AttentionKernel | None:
        """The native kernel, or None where PyTorch or Triton compute."""
        if self.backend == "native" and (x.dtype != torch.float32 or x.device.type != "cpu"):
            raise RuntimeError(
                f'backend="native" computes float32 on the CPU, not {x.dtype} on {x.device}; '
                'use backend="auto"'
            )
        for block in self.blocks:  # who was asked for also decides about the pair operation
            block.pair.backend = self.backend
        if x.dtype != torch.float32:
            return None
        who, number_format, reason = self._choose(x.device)
        if not self._announced:
            logger.info("attention denoiser: %s", self.active_backend)
            if self.precision == "bf16" and number_format == "fp32":
                say_exact(reason)
            self._announced = True
        return attention_kernel.attention_or_reason(number_format)[0] if who == "native" else None

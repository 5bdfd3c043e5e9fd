"""Who computes the pairs of an EGNN: a kernel where one can run, PyTorch elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels import triton as fused
from deepchem_ead.kernels.backend import Backend, Choice

try:
    from deepchem_ead.kernels import native
except ImportError:  # the compiled kernel is an optional part of the package
    native = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class EdgeBackend(Backend):
    """Mixin of a network that uses the EGNN's edge functions.

    Attributes
    ----------
    n_features : int
        Width F of the edge networks.
    """

    computes = "EGNN edge functions"

    def _choose_edges(self, n_features: int, backend: str, precision: str) -> None:
        self._take_backend(backend, precision)
        self.n_features = n_features

    def _describe(self, choice: Choice) -> str:
        if choice.who != "torch":
            return super()._describe(choice)
        exact = "; computes in fp32 although bf16 was asked for" * (self._wanted == "bf16")
        return f"torch ({choice.reason}{exact})"

    def _why_not(self, who: str, device: torch.device, number_format: str) -> str:
        if who == "triton":
            return fused.why_not(self.n_features, device, number_format)
        if device.type != "cpu":
            return f"the native kernel computes on the CPU, not on {device}"
        if native is None:
            return "the native kernel is not part of this installation"
        if native.available(self.n_features, number_format):
            return ""
        reason = f"no native {number_format} kernel for {self.n_features} features here: "
        return reason + native.status()

    def _chosen_for(self, x: Tensor) -> Choice:
        """Who computes for these coordinates."""
        if x.dtype != torch.float32:
            if self.backend in ("native", "triton"):
                raise RuntimeError(
                    f'backend="{self.backend}" computes float32, not {x.dtype}; use backend="auto"'
                )
            return Choice("torch", "fp32", f"for {x.dtype}")
        choice = self._choose(x.device)
        self._announce(logger, choice)
        return choice

    def _native_precision(self, x: Tensor) -> str | None:
        """Format of the native kernel if it computes for these coordinates, else None."""
        choice = self._chosen_for(x)
        return choice.number_format if choice.who == "native" else None

    def _edge_functions(self, x: Tensor) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
        who, number_format, _ = self._chosen_for(x)
        if who == "torch":
            return edge_torch.messages, edge_torch.coordinate_updates
        kernel = native if who == "native" else fused
        return (
            partial(kernel.messages, precision=number_format),
            partial(kernel.coordinate_updates, precision=number_format),
        )

"""Who computes the pairs of an EGNN: a kernel where one can run, PyTorch elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from deepchem_ead.denoisers import edge_torch
from deepchem_ead.denoisers import triton as fused

try:
    from deepchem_ead.denoisers import native
except ImportError:  # the compiled kernel is an optional part of the package
    native = None

logger = logging.getLogger(__name__)


class EdgeBackend:
    """Mixin of a network that uses the EGNN's edge functions.

    Attributes
    ----------
    n_features : int
        Width F of the edge networks.
    backend : {"auto", "torch", "native", "triton"}
    precision : {"auto", "fp32", "bf16"}
        See `EGNN` for both.
    """

    def _choose_edges(self, n_features: int, backend: str, precision: str) -> None:
        if backend not in ("auto", "torch", "native", "triton"):
            raise ValueError(
                f'backend is {backend!r}; choose "auto", "torch", "native" or "triton"'
            )
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f'precision is {precision!r}; choose "auto", "fp32" or "bf16"')
        self.n_features = n_features
        self.backend = backend
        self.precision = precision
        self._announced = False

    @property
    def active_backend(self) -> str:
        """Which implementation computes the pairs of float32 tensors, and why.

        Where the network's weights are: the compiled kernel on the CPU, Triton's on a GPU.
        """
        return self._choose_backend(next(self.parameters()).device)[1]

    def _choose_backend(self, device: torch.device) -> tuple[ModuleType | None, str]:
        """The module with the kernel, or None for PyTorch, and the reason in words."""
        wanted = self._wanted_precision
        exact = "; computes in fp32 although bf16 was asked for" if wanted == "bf16" else ""
        if self.backend == "torch":
            return None, f"torch (asked for{exact})"
        if self.backend == "triton" or (self.backend == "auto" and device.type != "cpu"):
            reason = fused.why_not(self.n_features, device, wanted)
            if not reason:
                return fused, f"triton {wanted}"
        elif device.type != "cpu":
            reason = f"the native kernel computes on the CPU, not on {device}"
        elif native is None:
            reason = "the native kernel is not part of this installation"
        elif native.available(self.n_features, wanted):
            return native, f"native {wanted}"
        else:
            reason = f"no native {wanted} kernel for {self.n_features} features here: "
            reason += native.status()
        if self.backend != "auto":
            raise RuntimeError(f'backend="{self.backend}": {reason}; use backend="auto" or "torch"')
        return None, f"torch ({reason}{exact})"

    @property
    def _wanted_precision(self) -> str:
        return "fp32" if self.precision == "auto" else self.precision

    def _kernel_for(self, x: Tensor) -> ModuleType | None:
        """The module with the kernel for these coordinates; None for PyTorch."""
        if x.dtype != torch.float32:
            if self.backend in ("native", "triton"):
                raise RuntimeError(
                    f'backend="{self.backend}" computes float32, not {x.dtype}; use backend="auto"'
                )
            return None
        kernel, reason = self._choose_backend(x.device)
        if not self._announced:
            logger.info("EGNN edge functions: %s", reason)
            self._announced = True
        return kernel

    def _native_precision(self, x: Tensor) -> str | None:
        """Format of the native kernel if it computes for these coordinates, else None."""
        kernel = self._kernel_for(x)
        return None if kernel is None or kernel is not native else self._wanted_precision

    def _edge_functions(self, x: Tensor) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
        kernel = self._kernel_for(x)
        if kernel is None:
            return edge_torch.messages, edge_torch.coordinate_updates
        return (
            partial(kernel.messages, precision=self._wanted_precision),
            partial(kernel.coordinate_updates, precision=self._wanted_precision),
        )

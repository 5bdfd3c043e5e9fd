"""Who computes the pairs of an EGNN: a kernel where one can run, PyTorch elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels import triton as fused
from deepchem_ead.kernels.formats import say_exact

try:
    from deepchem_ead.kernels import native
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
        return self._choose_backend(next(self.parameters()).device)[2]

    def _choose_backend(self, device: torch.device) -> tuple[ModuleType | None, str, str]:
        """The module with the kernel, or None for PyTorch, its format, and the reason in words."""
        wanted = self._wanted_precision
        exact = "; computes in fp32 although bf16 was asked for" if wanted == "bf16" else ""
        if self.backend == "torch":
            return None, "fp32", f"torch (asked for{exact})"
        kernel, reason = self._find_kernel(device, wanted)
        if kernel is not None:
            return kernel, wanted, f"{_name(kernel)} {wanted}"
        if self.backend != "auto":
            raise RuntimeError(f'backend="{self.backend}": {reason}; use backend="auto" or "torch"')
        if wanted == "bf16":
            kernel, _ = self._find_kernel(device, "fp32")
        if kernel is not None:
            return kernel, "fp32", f"{_name(kernel)} fp32 ({reason})"
        return None, "fp32", f"torch ({reason}{exact})"

    def _find_kernel(self, device: torch.device, precision: str) -> tuple[ModuleType | None, str]:
        """The module with a kernel of this format, or None and why there is none."""
        if self.backend == "triton" or (self.backend == "auto" and device.type != "cpu"):
            reason = fused.why_not(self.n_features, device, precision)
            return (None, reason) if reason else (fused, "")
        if device.type != "cpu":
            return None, f"the native kernel computes on the CPU, not on {device}"
        if native is None:
            return None, "the native kernel is not part of this installation"
        if native.available(self.n_features, precision):
            return native, ""
        reason = f"no native {precision} kernel for {self.n_features} features here: "
        return None, reason + native.status()

    @property
    def _wanted_precision(self) -> str:
        return "fp32" if self.precision == "auto" else self.precision

    def _kernel_for(self, x: Tensor) -> tuple[ModuleType | None, str]:
        """The module with the kernel for these coordinates, or None for PyTorch, and its format."""
        if x.dtype != torch.float32:
            if self.backend in ("native", "triton"):
                raise RuntimeError(
                    f'backend="{self.backend}" computes float32, not {x.dtype}; use backend="auto"'
                )
            return None, "fp32"
        kernel, precision, reason = self._choose_backend(x.device)
        if not self._announced:
            logger.info("EGNN edge functions: %s", reason)
            if precision != self._wanted_precision and self.backend != "torch":
                say_exact(reason)
            self._announced = True
        return kernel, precision

    def _native_precision(self, x: Tensor) -> str | None:
        """Format of the native kernel if it computes for these coordinates, else None."""
        kernel, precision = self._kernel_for(x)
        return None if kernel is None or kernel is not native else precision

    def _edge_functions(self, x: Tensor) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
        kernel, precision = self._kernel_for(x)
        if kernel is None:
            return edge_torch.messages, edge_torch.coordinate_updates
        return (
            partial(kernel.messages, precision=precision),
            partial(kernel.coordinate_updates, precision=precision),
        )


def _name(kernel: ModuleType) -> str:
    return "native" if kernel is native else "triton"

"""Who computes a network: a kernel where one can run, PyTorch elsewhere; asked in one way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.kernels.formats import say_exact

BACKENDS = ("auto", "torch", "native", "triton")
PRECISIONS = ("auto", "fp32", "bf16")


class Choice(NamedTuple):
    """Who computes float32 tensors, in which format, and why nobody faster does.

    Attributes
    ----------
    who : {"torch", "native", "triton"}
    number_format : {"fp32", "bf16"}
    reason : str
        Empty if it is who and what was wanted.
    """

    who: str
    number_format: str
    reason: str


class Backend:
    """Mixin of a network with kernels: who is asked, and what is said of it.

    A subclass says in `_why_not` what its kernels cannot do. What a kernel does not read falls back
    to PyTorch.

    Attributes
    ----------
    backend : {"auto", "torch", "native", "triton"}
        "auto" takes the compiled kernel on the CPU and Triton's on a GPU where they can run, and
        PyTorch elsewhere; the others insist.
    precision : {"auto", "fp32", "bf16"}
        "auto" is "fp32".
    computes : str
        What is computed, for the log.
    """

    computes = "network"

    def _take_backend(self, backend: str, precision: str) -> None:
        for name, value, known in (
            ("backend", backend, BACKENDS), ("precision", precision, PRECISIONS),
        ):  # fmt: skip
            if value not in known:
                listed = ", ".join(f'"{choice}"' for choice in known[:-1])
                raise ValueError(f'{name} is {value!r}; choose {listed} or "{known[-1]}"')
        self.backend = backend
        self.precision = precision
        self._announced = False

    @property
    def active_backend(self) -> str:
        """Which implementation computes float32 tensors, in which format, and why.

        Where the network's weights are: the compiled kernel on the CPU, Triton's on a GPU.
        """
        weights: Iterator[Tensor] = self.parameters()  # type: ignore[attr-defined]  # a network's
        return self._describe(self._choose(next(weights).device))

    def _why_not(self, who: str, device: torch.device, number_format: str) -> str:
        """Why the "native" or "triton" kernel does not compute in a format; empty if it does."""
        raise NotImplementedError

    def _format_of_torch(self, device: torch.device) -> str:
        """The format in which PyTorch computes."""
        return "fp32"

    def _describe(self, choice: Choice) -> str:
        who, number_format, reason = choice
        return f"{who} {number_format}" + (f" ({reason})" if reason else "")

    @property
    def _wanted(self) -> str:
        return "fp32" if self.precision == "auto" else self.precision

    def _choose(self, device: torch.device) -> Choice:
        """Who computes on a device.

        Raises
        ------
        RuntimeError
            If the backend that is insisted on cannot.
        """
        wanted = self._wanted
        if self.backend == "torch":
            return Choice("torch", self._format_of_torch(device), "asked for")
        on_gpu = self.backend == "triton" or (self.backend == "auto" and device.type != "cpu")
        who = "triton" if on_gpu else "native"
        reason = self._why_not(who, device, wanted)
        if not reason:
            return Choice(who, wanted, "")
        if self.backend != "auto":
            raise RuntimeError(f'backend="{self.backend}": {reason}; use backend="auto" or "torch"')
        if wanted == "bf16" and not self._why_not(who, device, "fp32"):
            return Choice(who, "fp32", reason)
        return Choice("torch", self._format_of_torch(device), reason)

    def _announce(self, logger: logging.Logger, choice: Choice) -> None:
        """Say, once, who computes."""
        if self._announced:
            return
        logger.info("%s: %s", self.computes, self._describe(choice))
        if choice.number_format != self._wanted and self.backend != "torch":
            say_exact(choice.reason)
        self._announced = True

"""Who computes an attention denoiser: a kernel where one can run, PyTorch elsewhere."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from deepchem_ead.kernels.backend import Backend
from deepchem_ead.kernels.formats import multiplies_bf16
from deepchem_ead.kernels.triton import attention as fused

try:
    from deepchem_ead.kernels.native import attention_kernel, attention_network, pair_outputs
except ImportError:  # the compiled kernel is an optional part of the package
    attention_kernel = attention_network = pair_outputs = None

logger = logging.getLogger(__name__)


class AttentionBackend(Backend):
    """Mixin of a network with the attributes of `AttentionDenoiser`.

    Attributes
    ----------
    n_features, n_heads, n_pair_columns, n_pair_outputs : int
    blocks : ModuleList
        With the weights of the pair operation, `PairWeights`, as ``pair``.
    read_outs : list of Linear
        What is read from the features of atoms beside the outputs.
    backend : {"auto", "torch", "native", "triton"}
        "native" computes the whole network on the CPU, "triton" its pair operation on a GPU.
    precision : {"auto", "fp32", "bf16"}
        See `AttentionDenoiser` for both.
    """

    computes = "attention denoiser"

    def _choose_kernel(self, n_features: int, n_heads: int, backend: str, precision: str) -> None:
        self._take_backend(backend, precision)
        self.n_features = n_features
        self.n_heads = n_heads

    def _format_of_torch(self, device: torch.device) -> str:
        multiplies = self.backend == "torch" or multiplies_bf16(device)
        return self._wanted if multiplies else "fp32"

    def _why_not(self, who: str, device: torch.device, number_format: str) -> str:
        if who == "triton":
            n_pair_features = self.blocks[0].pair.logits.shape[1]
            return fused.why_not(
                self.n_features, self.n_heads, n_pair_features, device,
                told=bool(self.n_pair_columns),
            )  # fmt: skip
        if device.type != "cpu":
            return f"the native kernel computes on the CPU, not on {device}"
        if attention_kernel is None:
            return "the native kernel is not part of this installation"
        return attention_kernel.why_not(
            self.n_features, self.n_heads, number_format, self.n_pair_columns
        )

    def weights_kept(self) -> AbstractContextManager[None]:
        """See `DenoiserNetwork.weights_kept`."""
        return nullcontext() if attention_network is None else attention_network.weights_kept(self)

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
        choice = self._choose(x.device)
        self._announce(logger, choice)
        if choice.who != "native":
            return None
        return attention_kernel.attention_or_reason(choice.number_format)[0]

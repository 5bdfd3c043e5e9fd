"""What a network says about pairs of atoms, by the native kernel, without gradients."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.kernels.native.attention_kernel import AttentionKernel

_WEIGHTS = {
    "radial_w": "radial.weight", "told_w": "told.weight", "w1": "mlp.0.weight", "b1": "mlp.0.bias",
    "w2": "mlp.2.weight", "b2": "mlp.2.bias",
}  # fmt: skip


class PairOutputsProblem(ctypes.Structure):
    """As in pair_outputs.h."""

    _fields_ = [
        *[(name, ctypes.c_int64) for name in ("n_molecules", "n_told", "n_outputs", "n_threads")],
        *[(name, ctypes.c_void_p) for name in ("counts", "atoms", "x", "told", *_WEIGHTS, "out")],
    ]


def evaluate(
    outputs: nn.Module,
    atoms: Tensor,
    x: Tensor,
    layout: AtomLayout,
    told: Tensor | None,
    kernel: AttentionKernel,
) -> Tensor:
    """What `PairOutputs.forward` returns, in float32 on the CPU, without gradients.

    A molecule's numbers are bitwise the same whatever else is in the batch and however many threads
    run.
    """
    found = {name: outputs.get_parameter(key).detach() for name, key in _WEIGHTS.items()
             if told is not None or name != "told_w"}  # fmt: skip
    found |= {"counts": layout.counts, "atoms": atoms, "x": x}
    if told is not None:
        found["told"] = told
    arrays = {name: tensor.contiguous() for name, tensor in found.items()}
    n_outputs = len(found["w2"])
    out = x.new_empty(len(layout.pairs.first), n_outputs)
    problem = PairOutputsProblem(
        n_molecules=layout.n_molecules,
        n_told=0 if told is None else told.shape[1],
        n_outputs=n_outputs,
        n_threads=torch.get_num_threads(),
        out=out.data_ptr(),
        **{name: tensor.data_ptr() for name, tensor in arrays.items()},
    )
    kernel.library.attention_pair_outputs(ctypes.byref(problem))
    return out

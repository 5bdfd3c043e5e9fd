"""Gradients of the native attention denoiser.

The kernel takes gradients from the outputs to the inputs, block by block, and multiplies what went
into each linear map with the gradient of what came out. What lies outside the blocks is PyTorch's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepchem_ead.kernels.native.attention_kernel import (
    MOVE_COLUMNS,
    AttentionBackwardProblem,
    AttentionKernel,
    AttentionProblem,
    BlockPointers,
    Sizes,
)


class Wanted(NamedTuple):
    """Which gradients are wanted: of x, of h, of steps, of what is told of pairs, of parameters."""

    x: bool
    h: bool
    step: bool
    told: bool
    parameters: bool


def backward(
    network: nn.Module,
    kernel: AttentionKernel,
    sizes: Sizes,
    problem: AttentionProblem,
    inputs: dict[str, Tensor | None],
    kept: dict[str, Tensor],
    parameters: dict[str, Tensor],
    ddx: Tensor,
    dh_out: Tensor,
    wanted: Wanted,
) -> tuple[tuple[Tensor | None, ...], dict[str, Tensor]]:
    """Gradients of x, h, step and pairs, and of the parameters by their names, where wanted.

    Parameters
    ----------
    network, kernel, sizes, problem
        As in the forward pass.
    inputs : dict of str to Tensor
        "h" (A, in_features), "step" (A,) and "told" (E, W), the last two perhaps None.
    kept : dict of str to Tensor
        What the forward pass kept (``AttentionActivations`` of attention_problem.h).
    parameters : dict of str to Tensor
    ddx, dh_out : Tensor
        Gradients of the outputs.
    wanted : Wanted
    """
    a, f, layers = sizes.atoms, sizes.features, sizes.layers
    gradients: dict[str, Tensor] = {}
    carried = {"dh": torch.zeros(a, f), "dposition": torch.zeros(a, 3), "dx": torch.zeros(a, 3)}
    h = inputs["h"]
    by_sigma = inputs["step"] is None and network.sigma_column is not None
    if wanted.step or (wanted.h and by_sigma):
        carried["dstep"] = torch.zeros(a)
    if wanted.told:
        carried["dtold"] = torch.zeros_like(inputs["told"])
    dcondition = torch.zeros(a, sizes.condition)
    found = _arrays(sizes, kernel, wanted)
    pointers = {n: t.data_ptr() for n, t in (carried | found).items()}
    for layer in reversed(range(layers + 1)):
        block = BlockPointers()
        if wanted.parameters and layer < layers:
            prefix = f"blocks.{layer}."
            names = [prefix + name for name in BlockPointers.NAMES.values()]
            names = [name for name in names if name in parameters]
            gradients |= {name: torch.empty(parameters[name].shape) for name in names}
            block = BlockPointers.of(gradients, prefix)
        step = AttentionBackwardProblem(
            forward=problem, layer=layer, ddx=ddx.data_ptr(), dh_out=dh_out.data_ptr(),
            wants_x=wanted.x, gradients=block, **pointers,
        )  # fmt: skip
        kernel.call("attention_backward", step)
        if layer < layers:
            norms = [f"blocks.{layer}.{n}.modulation" for n in ("norm", "norm_mlp")]
        else:
            norms = ["norm_out.modulation"]
        for norm, dmodulation in zip(norms, found["dmodulations"], strict=False):
            weight = parameters[f"{norm}.weight"].to(kernel.dtype)
            dcondition += dmodulation @ weight
        if wanted.parameters and layer == layers:
            dmodulation = found["dmodulations"][0]
            gradients |= _linear("norm_out.modulation", dmodulation, kept["condition"], kernel)
            gradients["embedding_out.weight"] = dh_out.T @ found["normed"][0].float()
            gradients["embedding_out.bias"] = dh_out.sum(0)
    if wanted.parameters:
        gradients |= _linear("embedding", carried["dh"], h, kernel)
    dh, through = _condition(network, h, dcondition, wanted.h)
    gradients |= through
    if dh is not None:
        dh = dh + carried["dh"] @ parameters["embedding.weight"]
        if by_sigma:
            dh[:, network.sigma_column] += carried["dstep"]
    of_inputs = (
        carried["dx"] if wanted.x else None,
        dh,
        carried["dstep"] if wanted.step else None,
        carried.get("dtold"),
    )
    return of_inputs, gradients


def _arrays(sizes: Sizes, kernel: AttentionKernel, wanted: Wanted) -> dict[str, Tensor]:
    """Memory for what each step of ``AttentionBackwardProblem`` writes down."""
    a, f = sizes.atoms, sizes.features

    def rounded(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=kernel.dtype)

    arrays = {"dmodulations": rounded(2, a, 2 * f)}
    if wanted.parameters:
        arrays |= {
            "normed": rounded(2, a, f),
            "activated": rounded(a, 3 * f),
            "dprojected": rounded(a, sizes.projected),
            "dout": rounded(a, f),
            "dmlp": rounded(a, f),
            "dhidden": rounded(a, 3 * f),
            "dmove": rounded(a, MOVE_COLUMNS),
        }
    return arrays


def _linear(
    name: str, doutput: Tensor, operand: Tensor, kernel: AttentionKernel
) -> dict[str, Tensor]:
    """Gradients of a map's weight and bias."""
    weight = (doutput.T @ operand).float()
    return {f"{name}.weight": weight, f"{name}.bias": kernel.column_sums(doutput)}


def _condition(
    network: nn.Module, h: Tensor, dcondition: Tensor, wants_h: bool
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Gradients of h, if wanted, and of the condition's parameters."""
    with torch.enable_grad():
        leaf = h.detach().requires_grad_(wants_h)
        condition = network.condition(leaf)
    names, inputs = [], []
    for name, parameter in network.condition.named_parameters():
        if parameter.requires_grad:
            names.append(f"condition.{name}")
            inputs.append(parameter)
    if wants_h:
        inputs.append(leaf)
    found = torch.autograd.grad(condition, inputs, dcondition) if inputs else ()
    return found[-1] if wants_h else None, dict(zip(names, found, strict=False))

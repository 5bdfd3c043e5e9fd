"""The attention denoiser by the native kernel: one differentiable function of the whole network."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native.attention_backward import Wanted, backward
from deepchem_ead.kernels.native.attention_kernel import (
    MOVE_COLUMNS,
    NETWORK,
    Activations,
    AttentionKernel,
    AttentionProblem,
    BlockPointers,
    Sizes,
    parameters_of,
)


def evaluate(
    network: nn.Module,
    x: Tensor,
    h: Tensor,
    layout: AtomLayout,
    kernel: AttentionKernel,
    reference: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Outputs of an attention denoiser, as its ``forward`` describes them.

    A molecule's result is bitwise the same whatever else is in the batch, however many threads run,
    with and without gradients. Differentiable once, with respect to x, h and all parameters; the
    gradients are reproducible. The weights are read afresh in every call.

    Raises
    ------
    ValueError
        If a tensor or a parameter is not float32 on the CPU.
    """
    parameters = parameters_of(network)
    tensors = (x.contiguous(), h.contiguous(), *parameters.values())
    if reference is not None:
        reference = reference.detach().contiguous()
    for tensor in tensors if reference is None else (*tensors, reference):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"an input or a parameter is {tensor.dtype} on {tensor.device}; the native kernel "
                f"takes float32 on the CPU (use the PyTorch backend for anything else)"
            )
    # Inside forward() the gradient mode is always off, so this has to be asked here.
    saving = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    arguments = (network, layout.counts.contiguous(), kernel, saving, tuple(parameters), reference)
    return _Network.apply(*arguments, *tensors)


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx, network, counts, kernel, saving, names, reference, x, h, *parameters):
        sizes = Sizes.of(network, len(x), kernel)
        kept = _keep(sizes, kernel) if saving else {}
        named = dict(zip(names, parameters, strict=True))
        dx, h_out = torch.empty_like(x), h.new_empty(len(x), network.out_features)
        problem, _alive = _problem(
            network, sizes, counts, x, reference, h, {"dx": dx, "h_out": h_out}, kept, named
        )
        kernel.call("attention_forward", problem)
        if saving:
            ctx.network, ctx.kernel, ctx.sizes = network, kernel, sizes
            ctx.names, ctx.kept, ctx.reference = names, tuple(kept), reference
            ctx.save_for_backward(counts, x, h, *kept.values(), *parameters)
        return dx, h_out

    @staticmethod
    @once_differentiable
    def backward(ctx, ddx, dh_out):
        network, sizes = ctx.network, ctx.sizes
        counts, x, h, *rest = ctx.saved_tensors
        kept = dict(zip(ctx.kept, rest, strict=False))
        parameters = dict(zip(ctx.names, rest[len(kept) :], strict=True))
        problem, _alive = _problem(
            network, sizes, counts, x, ctx.reference, h, {}, kept, parameters
        )
        dx, dh, gradients = backward(
            network, ctx.kernel, sizes, problem, h, kept,
            parameters, ddx.contiguous(), dh_out.contiguous(),
            Wanted(*ctx.needs_input_grad[6:8], any(ctx.needs_input_grad[8:])),
        )  # fmt: skip
        return *[None] * 6, dx, dh, *(gradients.get(name) for name in ctx.names)


def _problem(
    network: nn.Module,
    sizes: Sizes,
    counts: Tensor,
    x: Tensor,
    reference: Tensor | None,
    h: Tensor,
    outputs: dict[str, Tensor],
    kept: dict[str, Tensor],
    parameters: dict[str, Tensor],
) -> tuple[AttentionProblem, object]:
    """Arguments of the kernel, and what must stay alive while it runs."""
    # Parameters that are not contiguous are copied.
    named = {name: p.contiguous() for name, p in parameters.items()}
    blocks = (BlockPointers * sizes.layers)(
        *(BlockPointers.of(named, f"blocks.{k}.") for k in range(sizes.layers))
    )
    pointers = {"counts": counts, "x": x, "h": h, **outputs}
    pointers |= {field: named[name] for field, name in NETWORK.items()}
    sigma_column = network.sigma_column
    problem = AttentionProblem(
        n_molecules=len(counts),
        n_atoms=sizes.atoms,
        n_layers=sizes.layers,
        n_features=sizes.features,
        n_heads=sizes.heads,
        in_features=network.in_features,
        out_features=network.out_features,
        n_threads=torch.get_num_threads(),
        sigma_column=-1 if sigma_column is None else sigma_column,
        reference=None if reference is None else reference.data_ptr(),
        blocks=ctypes.addressof(blocks),
        saved=Activations(**{name: t.data_ptr() for name, t in kept.items()}),
        **{name: t.data_ptr() for name, t in pointers.items()},
    )
    return problem, (named, blocks)


def _keep(sizes: Sizes, kernel: AttentionKernel) -> dict[str, Tensor]:
    """Memory for ``AttentionActivations`` of attention_problem.h."""
    a, n, f = sizes.atoms, sizes.layers, sizes.features

    def rounded(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=kernel.dtype)

    return {
        "condition": rounded(a, sizes.condition),
        "modulations": rounded(a, (2 * n + 1) * 2 * f),
        "h": torch.empty(n + 1, a, f),
        "h_mlp": torch.empty(n, a, f),
        "projected": rounded(n, a, sizes.projected),
        "received": rounded(n, a, sizes.received),
        "x": torch.empty(n + 1, a, 3),
        "vectors": torch.empty(n, a, 3, sizes.padded_heads),
        "softmax": torch.empty(n, a, 2, sizes.padded_heads),
        "hidden": rounded(n, a, 3 * f),
        "move_weights": torch.empty(n, a, MOVE_COLUMNS),
    }

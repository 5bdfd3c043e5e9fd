"""The attention denoiser by the native kernel: one differentiable function of the whole network."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from deepchem_ead.diffusion.seen import Seen
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


def evaluate(network: nn.Module, seen: Seen, kernel: AttentionKernel) -> tuple[Tensor, Tensor]:
    """Outputs of an attention denoiser, as its ``forward`` describes them.

    A molecule's result is bitwise the same whatever else is in the batch, however many threads run,
    with and without gradients. Differentiable once, with respect to x, h, step, pairs and all
    parameters; the gradients are reproducible. The weights are read afresh in every call.

    Returns
    -------
    dx : Tensor, (A, 3)
    h : Tensor, (A, F or more)
        Behind the network's own outputs stands what `read_outs` ask for about each atom.

    Raises
    ------
    ValueError
        If a tensor or a parameter is not float32 on the CPU.
    """
    parameters = parameters_of(network)
    reference = None if seen.reference is None else seen.reference.detach().contiguous()
    inputs = [
        None if t is None else t.contiguous() for t in (seen.x, seen.h, seen.step, seen.pairs)
    ]
    tensors = [t for t in (reference, *inputs, *parameters.values()) if t is not None]
    for tensor in tensors:
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"an input or a parameter is {tensor.dtype} on {tensor.device}; the native kernel "
                f"takes float32 on the CPU (use the PyTorch backend for anything else)"
            )
    # Inside forward() the gradient mode is always off, so this has to be asked here.
    saving = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    counts = seen.layout.counts.contiguous()
    arguments = (network, counts, kernel, saving, tuple(parameters), reference)
    return _Network.apply(*arguments, *inputs, *parameters.values())


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx, network, counts, kernel, saving, names, reference, x, h, step, told, *weights):
        sizes = Sizes.of(network, len(x), kernel)
        kept = _keep(sizes, kernel) if saving else {}
        parameters = dict(zip(names, weights, strict=True))
        dx = torch.empty_like(x)
        h_out = h.new_empty(len(x), len(parameters["embedding_out.weight"]))
        inputs = {
            "counts": counts, "x": x, "reference": reference, "h": h, "step": step, "told": told
        }  # fmt: skip
        outputs = {"dx": dx, "h_out": h_out}
        problem, _alive = _problem(network, sizes, counts, inputs | outputs, kept, parameters)
        kernel.call("attention_forward", problem)
        if saving:
            ctx.network, ctx.kernel, ctx.sizes = network, kernel, sizes
            ctx.names, ctx.inputs, ctx.kept = names, tuple(inputs), tuple(kept)
            ctx.save_for_backward(*inputs.values(), *kept.values(), *weights)
        return dx, h_out

    @staticmethod
    @once_differentiable
    def backward(ctx, ddx, dh_out):
        saved = iter(ctx.saved_tensors)
        inputs, kept, parameters = (
            dict(zip(names, saved, strict=False)) for names in (ctx.inputs, ctx.kept, ctx.names)
        )
        problem, _alive = _problem(
            ctx.network, ctx.sizes, inputs["counts"], inputs, kept, parameters
        )
        needs = ctx.needs_input_grad
        found = backward(
            ctx.network, ctx.kernel, ctx.sizes, problem, inputs, kept,
            parameters, ddx.contiguous(), dh_out.contiguous(),
            Wanted(*needs[6:10], any(needs[10:])),
        )  # fmt: skip
        of_inputs, of_parameters = found
        return *[None] * 6, *of_inputs, *(of_parameters.get(name) for name in ctx.names)


def _problem(
    network: nn.Module,
    sizes: Sizes,
    counts: Tensor,
    arrays: dict[str, Tensor | None],
    kept: dict[str, Tensor],
    parameters: dict[str, Tensor],
) -> tuple[AttentionProblem, object]:
    """Arguments of the kernel, and what must stay alive while it runs."""
    # Parameters that are not contiguous are copied.
    named = {name: p.contiguous() for name, p in parameters.items()}
    blocks = (BlockPointers * sizes.layers)(
        *(BlockPointers.of(named, f"blocks.{k}.") for k in range(sizes.layers))
    )
    pointers = {name: t.data_ptr() for name, t in arrays.items() if t is not None}
    pointers |= {field: named[name].data_ptr() for field, name in NETWORK.items()}
    sigma_column = network.sigma_column
    problem = AttentionProblem(
        n_molecules=len(counts),
        n_atoms=sizes.atoms,
        n_layers=sizes.layers,
        n_features=sizes.features,
        n_heads=sizes.heads,
        in_features=named["embedding.weight"].shape[1],
        out_features=len(named["embedding_out.weight"]),
        n_threads=torch.get_num_threads(),
        sigma_column=-1 if sigma_column is None else sigma_column,
        n_told=network.n_pair_columns,
        blocks=ctypes.addressof(blocks),
        saved=Activations(**{name: t.data_ptr() for name, t in kept.items()}),
        **pointers,
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

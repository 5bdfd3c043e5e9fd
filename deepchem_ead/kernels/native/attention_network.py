"""The attention denoiser by the native kernel: one differentiable function of the whole network."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

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
    parameters; the gradients are reproducible. The weights are read afresh in every call, but for
    those within `weights_kept`.

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
    kept = None if torch.is_grad_enabled() else _kept_weights(network, kernel)
    parameters = parameters_of(network) if kept is None else {}
    reference = None if seen.reference is None else seen.reference.detach().contiguous()
    step, told = (None if t is None else t.contiguous() for t in (seen.step, seen.pairs))
    x, h = seen.x.contiguous(), seen.h.contiguous()
    tensors = [t for t in (x, h, step, told, reference, *parameters.values()) if t is not None]
    for tensor in tensors:
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"an input or a parameter is {tensor.dtype} on {tensor.device}; the native kernel "
                f"takes float32 on the CPU (use the PyTorch backend for anything else)"
            )
    if kept is not None:
        return kept.evaluate(seen.layout.counts.contiguous(), reference, x, h, step, told)
    # Inside forward() the gradient mode is always off, so this has to be asked here.
    saving = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    counts = seen.layout.counts.contiguous()
    arguments = (network, counts, kernel, saving, tuple(parameters), reference)
    return _Network.apply(*arguments, x, h, step, told, *parameters.values())


#: Networks whose weights do not change at present, and these, once they were needed.
_kept: weakref.WeakKeyDictionary[nn.Module, KeptWeights | None] = weakref.WeakKeyDictionary()


@contextmanager
def weights_kept(network: nn.Module) -> Iterator[None]:
    """Pack weights once for all evaluations without gradients inside.

    They must not change there. What PyTorch counts as a change, an optimizer's step for example, is
    noticed; a change of ``parameter.data`` in place is not.
    """
    _kept[network] = None
    try:
        yield
    finally:
        _kept.pop(network, None)


def _kept_weights(network: nn.Module, kernel: AttentionKernel) -> KeptWeights | None:
    if network not in _kept:
        return None
    found = _kept[network]
    if found is None or not found.fits(kernel):
        found = _kept[network] = KeptWeights(network, kernel)
    return found


def _version(parameter: Tensor) -> int:
    """How often it was changed in place, as far as PyTorch counts."""
    return 0 if parameter.is_inference() else parameter._version


class KeptWeights:
    """Weights of a network as the kernel reads them, and evaluations with them."""

    def __init__(self, network: nn.Module, kernel: AttentionKernel) -> None:
        self._kernel, self._handle = kernel, None
        self._versions = [(p, _version(p), p.data_ptr()) for p in network.parameters()]
        parameters = parameters_of(network)
        if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in parameters.values()):
            raise ValueError("a parameter is not float32 on the CPU")
        self._sizes = Sizes.of(network, 0, kernel)
        self._out_features = len(parameters["embedding_out.weight"])
        nothing = torch.empty(0, dtype=torch.int64)
        self._problem, self._alive = _problem(network, self._sizes, nothing, {}, {}, parameters)
        self._problem.packed = self._handle = kernel.keep(self._problem)

    def __del__(self) -> None:
        if self._handle is not None:
            self._kernel.release(self._handle)

    def fits(self, kernel: AttentionKernel) -> bool:
        """Whether weights are as they were, and for this kernel."""
        return kernel is self._kernel and all(
            _version(p) == version and p.data_ptr() == place for p, version, place in self._versions
        )

    def evaluate(
        self,
        counts: Tensor,
        reference: Tensor | None,
        x: Tensor,
        h: Tensor,
        step: Tensor | None,
        told: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Outputs as of `evaluate`."""
        dx, h_out = torch.empty_like(x), h.new_empty(len(x), self._out_features)
        problem = AttentionProblem.from_buffer_copy(self._problem)
        problem.n_molecules, problem.n_atoms = len(counts), len(x)
        problem.n_threads = torch.get_num_threads()
        for name, array in (
            ("counts", counts), ("x", x), ("reference", reference), ("h", h), ("step", step),
            ("told", told), ("dx", dx), ("h_out", h_out),
        ):  # fmt: skip
            if array is not None:
                setattr(problem, name, array.data_ptr())
        self._kernel.call("attention_forward", problem)
        return dx, h_out


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

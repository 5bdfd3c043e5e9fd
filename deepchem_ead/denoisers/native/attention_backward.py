"""Backward pass of the native attention denoiser.

Matrix products of all atoms are PyTorch's, in the kernel's number format; everything else is the
kernel's. Of the activations, those that one pass over rows gives back are computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepchem_ead.denoisers.native.attention_kernel import (
    MOVE_COLUMNS,
    AttentionKernel,
    PairBackwardProblem,
    PairPointers,
    Sizes,
)

if TYPE_CHECKING:
    from deepchem_ead.denoisers.attention import AttentionDenoiser


def backward(
    network: AttentionDenoiser,
    kernel: AttentionKernel,
    sizes: Sizes,
    counts: Tensor,
    h_in: Tensor,
    kept: dict[str, Tensor],
    parameters: dict[str, Tensor],
    ddx: Tensor,
    dh_out: Tensor,
    wants_x: bool,
    wants_h: bool,
    wants_parameters: bool,
) -> tuple[Tensor | None, Tensor | None, dict[str, Tensor]]:
    """Gradients of x, of h and of the parameters by their names, where wanted.

    Parameters
    ----------
    network, kernel, sizes, counts
        As in the forward pass.
    h_in : Tensor, (A, in_features)
    kept : dict of str to Tensor
        What the forward pass left (``AttentionActivations`` of attention_problem.h).
    parameters : dict of str to Tensor
    ddx, dh_out : Tensor
        Gradients of the outputs.
    wants_x, wants_h, wants_parameters : bool
    """
    step = 1.0
    if network.sigma_column is not None:
        step = h_in[:, network.sigma_column, None]
    pass_ = _Backward(kernel, sizes, counts, kept, parameters, wants_x, wants_parameters)
    pass_.read_out(dh_out)
    dposition = torch.zeros_like(ddx)  # of the coordinates after the block
    dstep = torch.zeros(sizes.atoms)
    for k in reversed(range(sizes.layers)):
        if wants_h:
            vectors = kept["vectors"][k]
            weights = kept["move_weights"][k, :, None, : vectors.shape[2]]
            dstep -= (dposition * (weights * vectors).sum(2)).sum(1)
        dmove = ddx - step * dposition
        through = pass_.block(k, dmove)
        if through is not None:
            dposition = dposition + through
    dx = _centered(dposition + pass_.dx0, counts) if wants_x else None
    dh = pass_.inputs(network, h_in, wants_h)
    if dh is not None and network.sigma_column is not None:
        dh[:, network.sigma_column] += dstep
    return dx, dh, pass_.gradients


def _centered(x: Tensor, counts: Tensor) -> Tensor:
    index = torch.repeat_interleave(torch.arange(len(counts)), counts)
    sums = x.new_zeros(len(counts), 3).index_add_(0, index, x)
    return x - (sums / counts.unsqueeze(1))[index]


class _Backward:
    """State of one backward pass: dh, the gradient of the features, travels from last to first."""

    def __init__(self, kernel, sizes, counts, kept, parameters, wants_x, wants_parameters) -> None:
        self.kernel, self.sizes, self.counts, self.kept = kernel, sizes, counts, kept
        self.parameters, self.wants_parameters = parameters, wants_parameters
        self.gradients: dict[str, Tensor] = {}
        a, f = sizes.atoms, sizes.features
        self.dh = torch.zeros(a, f)
        self.dh_rounded, self.n = self._empty(f), self._empty(f)
        self.dmodulations = torch.empty_like(kept["modulations"])
        self.dx0 = torch.zeros(a, 3) if wants_x else None

    def read_out(self, dh_out: Tensor) -> None:
        """Through the last linear map and its norm."""
        dn = self._rounded(dh_out @ self.parameters["embedding_out.weight"])
        self._norm(2 * self.sizes.layers, self.kept["h"][-1], dn)
        if self.wants_parameters:
            self.gradients["embedding_out.weight"] = dh_out.T @ self.n.to(dh_out.dtype)
            self.gradients["embedding_out.bias"] = dh_out.sum(0)

    def block(self, k: int, dmove: Tensor) -> Tensor | None:
        """Through block k; returns the gradient of its coordinates (A, 3), None if not wanted."""
        kernel, kept, a, f = self.kernel, self.kept, self.sizes.atoms, self.sizes.features
        prefix = f"blocks.{k}."
        # The move.
        dweights = self._empty(MOVE_COLUMNS)
        kernel.rows(
            "move_backward", a, self.sizes.heads, kept["vectors"][k], dmove.contiguous(), dweights
        )
        move = torch.zeros(MOVE_COLUMNS, f)
        move[: self.sizes.heads + 1] = self.parameters[prefix + "move.weight"]
        through = dweights @ self._rounded(move)
        kernel.rows("add_rows", a, f, self.dh, through, self.dh_rounded)
        if self.wants_parameters:
            used = slice(self.sizes.heads + 1)
            h = self._rounded(kept["h"][k + 1])
            self._gradient(prefix + "move.weight", (dweights.T @ h)[used])
            self.gradients[prefix + "move.bias"] = self._column_sums(dweights)[used]
        # The perceptron.
        dhidden = self.dh_rounded @ self._weight(prefix + "mlp.2.weight")
        activated = self._empty(3 * f)
        kernel.rows("silu_backward", a, 3 * f, kept["hidden"][k], dhidden, activated)
        self._linear(prefix + "mlp.2.", self.dh_rounded, activated, self.dh)
        dn = dhidden @ self._weight(prefix + "mlp.0.weight")
        self._norm(2 * k + 1, kept["h_mlp"][k], dn)
        self._linear(prefix + "mlp.0.", dhidden, self.n, dhidden)
        # What the pairs give.
        used = self.sizes.received_used
        out = torch.zeros(f, self.sizes.received, dtype=kernel.dtype)
        weight = self.parameters[prefix + "out.weight"]
        self._by_component(weight[:, :f], out[:, :f])
        out[:, f:used] = weight[:, f:]
        dreceived = self.dh_rounded @ out
        if self.wants_parameters:
            found = self.dh_rounded.T @ kept["received"][k]
            gradient = torch.empty_like(weight)
            self._by_head(found[:, :f], gradient[:, :f])
            gradient[:, f:] = found[:, f:used]
            self.gradients[prefix + "out.weight"] = gradient
            self.gradients[prefix + "out.bias"] = self._column_sums(self.dh)
        dprojected, dposition = self._pairs(k, dreceived, dmove)
        weight = self.parameters[prefix + "project.weight"]
        project = torch.empty(weight.shape, dtype=kernel.dtype)
        for part in range(3):  # q, k, v
            rows = slice(part * f, (part + 1) * f)
            self._by_component(weight[rows].T, project[rows].T)
        project[3 * f :] = weight[3 * f :]
        dn = dprojected @ project
        self._norm(2 * k, kept["h"][k], dn)
        if self.wants_parameters:
            for name, found in (
                ("project.weight", dprojected.T @ self.n),
                ("project.bias", self._column_sums(dprojected).unsqueeze(1)),
            ):
                gradient = torch.empty(found.shape)
                for part in range(3):
                    rows = slice(part * f, (part + 1) * f)
                    self._by_head(found[rows].T, gradient[rows].T)
                gradient[3 * f :] = found[3 * f :]
                self.gradients[prefix + name] = gradient.view_as(self.parameters[prefix + name])
        return dposition

    def inputs(self, network: AttentionDenoiser, h_in: Tensor, wants_h: bool) -> Tensor | None:
        """Through embedding and condition; returns the gradient of the input features if wanted."""
        names, rounded = [], []
        for name in [
            *(f"blocks.{k}.{n}" for k in range(self.sizes.layers) for n in ("norm", "norm_mlp")),
            "norm_out",
        ]:
            names.append(f"{name}.modulation.")
            rounded.append(self._weight(names[-1] + "weight"))
        dcondition = (self.dmodulations @ torch.cat(rounded)).float()
        if self.wants_parameters:
            weights = (self.dmodulations.T @ self.kept["condition"]).float()
            biases = self._column_sums(self.dmodulations)
            width = 2 * self.sizes.features
            for name, weight, bias in zip(
                names, weights.split(width), biases.split(width), strict=True
            ):
                self.gradients[name + "weight"], self.gradients[name + "bias"] = weight, bias
            self.gradients["embedding.weight"] = self.dh.T @ h_in
            self.gradients["embedding.bias"] = self._column_sums(self.dh)
        with torch.enable_grad():
            leaf = h_in.detach().requires_grad_(wants_h)
            condition = network.condition(leaf)
        wanted = [(f"condition.{n}", p) for n, p in network.condition.named_parameters()]
        wanted = [(n, p) for n, p in wanted if p.requires_grad]
        inputs = [p for _, p in wanted] + [leaf] * wants_h
        found = torch.autograd.grad(condition, inputs, dcondition) if inputs else ()
        self.gradients.update(zip((n for n, _ in wanted), found, strict=False))
        if not wants_h:
            return None
        return found[-1] + self.dh @ self.parameters["embedding.weight"]

    def _pairs(self, k: int, dreceived: Tensor, dmove: Tensor) -> tuple[Tensor, Tensor]:
        kept, sizes, prefix = self.kept, self.sizes, f"blocks.{k}."
        dmove = dmove.contiguous()
        dprojected, dposition = self._empty(sizes.projected), None
        if k > 0 or self.dx0 is not None:
            dposition = torch.empty(sizes.atoms, 3)
        named = {
            n: p.detach().contiguous() for n, p in self.parameters.items() if n.startswith(prefix)
        }
        wanted = {}
        if self.wants_parameters:
            for key, name in PairPointers.NAMES.items():
                wanted[f"d{key}"] = torch.empty_like(named[prefix + name])
                self.gradients[prefix + name] = wanted[f"d{key}"]
        arrays = {n: kept[n][k] for n in ("projected", "vectors", "softmax", "move_weights")}
        arrays |= {
            "counts": self.counts, "x": kept["x"][k], "x0": kept["x"][0], "dmove": dmove,
            "dreceived": dreceived, "dprojected": dprojected, "dx": dposition, "dx0": self.dx0,
        } | wanted  # fmt: skip
        problem = PairBackwardProblem(
            n_molecules=len(self.counts),
            n_features=sizes.features,
            n_heads=sizes.heads,
            n_threads=torch.get_num_threads(),
            weights=PairPointers.of(named, prefix),
            **{name: t.data_ptr() for name, t in arrays.items() if t is not None},
        )
        self.kernel.call("pairs_backward", problem)
        return dprojected, dposition

    def _by_component(self, by_head: Tensor, by_component: Tensor) -> None:
        """Copy columns (heads, width) to the kernel's order (width, heads)."""
        heads = self.sizes.heads
        by_component.unflatten(1, (-1, heads)).copy_(by_head.unflatten(1, (heads, -1)).mT)

    def _by_head(self, by_component: Tensor, by_head: Tensor) -> None:
        """Copy columns from the kernel's order back."""
        heads = self.sizes.heads
        by_head.unflatten(1, (heads, -1)).copy_(by_component.unflatten(1, (-1, heads)).mT)

    def _norm(self, which: int, h: Tensor, dn: Tensor) -> None:
        """Through norm number `which`, whose input was h: adds to dh, sets n."""
        f = self.sizes.features
        columns = slice(2 * f * which, 2 * f * (which + 1))
        modulation = self.kept["modulations"][:, columns]
        self.kernel.rows(
            "norm_backward", self.sizes.atoms, f, h, modulation, dn, modulation.stride(0),
            self.dh, self.dh_rounded, self.dmodulations[:, columns], self.n,
        )  # fmt: skip

    def _linear(self, prefix: str, doutput: Tensor, operand: Tensor, exact: Tensor) -> None:
        if self.wants_parameters:
            self._gradient(prefix + "weight", doutput.T @ operand)
            self.gradients[prefix + "bias"] = self._column_sums(exact)

    def _gradient(self, name: str, value: Tensor) -> None:
        self.gradients[name] = value.float()

    def _column_sums(self, matrix: Tensor) -> Tensor:
        sums = torch.empty(matrix.shape[1])
        precision = "fp32" if matrix.dtype == torch.float32 else "bf16"
        self.kernel.rows("sum_rows", *matrix.shape, matrix, sums, precision=precision)
        return sums

    def _weight(self, name: str) -> Tensor:
        return self._rounded(self.parameters[name])

    def _rounded(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.kernel.dtype)

    def _empty(self, width: int) -> Tensor:
        return torch.empty(self.sizes.atoms, width, dtype=self.kernel.dtype)

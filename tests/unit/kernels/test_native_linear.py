"""The native linear map against double precision."""

from __future__ import annotations

import pytest
import torch
from native_variants import VARIANTS

from deepchem_ead.kernels import native
from deepchem_ead.kernels.native import build
from deepchem_ead.kernels.native.linear import linear

# Relative L2 error. One bf16 rounding is up to 2^-9 = 2e-3; there are two in each term of a sum.
BOUNDS = {"fp32": 1e-6, "bf16": 4e-3}


def problem(rows: int, inner: int, outputs: int) -> dict[str, torch.Tensor]:
    """The weight is some columns of a wider matrix, as in the network."""
    generator = torch.Generator().manual_seed(rows)
    wide = torch.randn(outputs, inner + 34, generator=generator)
    return {
        "x": torch.randn(rows, inner, generator=generator),
        "weight": wide[:, 2 : inner + 2],
        "bias": torch.randn(outputs, generator=generator),
    }


def output_and_gradients(run, tensors: dict, dtype=torch.float32) -> dict[str, torch.Tensor]:
    leaves = {name: t.to(dtype).detach().requires_grad_() for name, t in tensors.items()}
    y = run(*leaves.values())
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(7))
    (y * weight.to(dtype)).sum().backward()
    return {"y": y.detach()} | {name: t.grad for name, t in leaves.items()}


def kernel_linear(variant):
    name, precision = variant
    return lambda x, w, b=None: linear(x, w, b, precision, build.load_kernel(name))


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("shape", [(1, 32, 32), (95, 64, 96), (97, 96, 64), (385, 512, 256)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_equals_double_precision_with_all_gradients(variant, shape, with_bias):
    tensors = problem(*shape)
    if not with_bias:
        del tensors["bias"]
    expected = output_and_gradients(torch.nn.functional.linear, tensors, torch.float64)
    found = output_and_gradients(kernel_linear(variant), tensors)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        error = (value - expected[name]).norm() / expected[name].norm()
        assert error <= BOUNDS[variant[1]], f"{name}: {error:.1e}"


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_reproducible_with_any_number_of_threads(variant):
    tensors = problem(300, 64, 96)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = output_and_gradients(kernel_linear(variant), tensors)
        for n in (2, 3):
            torch.set_num_threads(n)
            again = output_and_gradients(kernel_linear(variant), tensors)
            assert all(torch.equal(first[name], again[name]) for name in first)
        part = kernel_linear(variant)(tensors["x"][100:117], tensors["weight"], tensors["bias"])
        assert torch.equal(part, first["y"][100:117])
    finally:
        torch.set_num_threads(threads)


def test_only_wanted_gradients():
    tensors = problem(40, 32, 64)
    every = output_and_gradients(native.linear, tensors)
    for wanted in ("x", "weight", "bias"):
        leaves = {name: t.detach().requires_grad_(name == wanted) for name, t in tensors.items()}
        y = native.linear(*leaves.values())
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(7)))
        assert torch.equal(leaves[wanted].grad, every[wanted])
        assert all(t.grad is None for name, t in leaves.items() if name != wanted)


def test_arguments_are_checked():
    x, weight, bias = problem(10, 32, 64).values()
    with pytest.raises(ValueError, match=r"bias has shape \(32,\), expected \(64,\)"):
        native.linear(x, weight, bias[:32])
    with pytest.raises(ValueError, match=r"x has shape \(10, 32\), expected \(10, 64\)"):
        native.linear(x, torch.zeros(32, 64))
    with pytest.raises(ValueError, match="weight is torch.float64"):
        native.linear(x, weight.double())
    with pytest.raises(RuntimeError, match="33 features"):
        native.linear(x, torch.zeros(33, 32))
    assert torch.equal(native.linear(x, weight.t().contiguous().t()), native.linear(x, weight))

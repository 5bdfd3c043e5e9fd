"""Does what the compiler made compute the right thing on this device?"""

from __future__ import annotations

from collections.abc import Callable

import torch

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.triton.autograd import edge_function, product_precision

#: Largest relative error of an output or a gradient. Products of float32 numbers err by 1e-6 in
#: "tf32x3" and 1e-3 in "tf32", of bfloat16 numbers by up to 1e-2; a wrong kernel by 1.
TOLERANCES = {"tf32x3": 1e-4, "tf32": 2e-2, "bf16": 5e-2}

_COUNTS = (1, 2, 5, 21)
_COORDS_RANGE, _NORM_CONSTANT = 15.0, 1.0


def failure(n_features: int, precision: str, device: torch.device) -> str:
    """Compare the kernels with the PyTorch functions in float64; what is wrong, empty if nothing.

    It compiles what a training step needs (a few seconds the first time).
    """
    return verdict(
        lambda: torch.cat(
            [_errors(n_features, precision, device, which) for which in (True, False)]
        ),
        TOLERANCES["bf16" if precision == "bf16" else product_precision()],
    )


def verdict(errors: Callable[[], torch.Tensor], tolerance: float) -> str:
    """What is wrong with kernels that have these relative errors, empty if nothing."""
    try:
        with torch.enable_grad():
            worst = float(errors().max())
    except Exception as error:  # Triton, its compiler and the driver raise many unrelated types
        return f"they do not run here ({type(error).__name__}: {error})"
    if not worst <= tolerance:  # NaN is no success
        return f"they are wrong here (relative error {worst:.1e})"
    return ""


def _errors(f: int, precision: str, device: torch.device, attention: bool) -> torch.Tensor:
    layout = AtomLayout.from_counts(_COUNTS, device=device)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
        values = scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.to(device).requires_grad_()

    atoms = layout.n_nodes
    inputs = [random(atoms, f), random(atoms, f), random(atoms, 3), random(atoms, 3)]
    inputs += [random(f, scale=0.1), random(f, scale=0.1), random(f, f, scale=f**-0.5)]
    inputs += [random(f), random(f, scale=f**-0.5)] + [random(1)] * attention
    g_out = random(atoms, f if attention else 3).detach()
    single = [t.detach().float().requires_grad_() for t in inputs]

    def weights(tensors) -> EdgeWeights:
        return EdgeWeights(*tensors[4:], *[None] * (not attention))

    if attention:
        expected = edge_torch.messages(*inputs[:4], layout, weights(inputs))
    else:
        scales = (_COORDS_RANGE, _NORM_CONSTANT)
        expected = edge_torch.coordinate_updates(*inputs[:4], layout, weights(inputs), *scales)
    found = edge_function(
        *single[:4], layout, weights(single), precision, _COORDS_RANGE, _NORM_CONSTANT
    )
    pairs = [(found, expected)]
    pairs += zip(
        torch.autograd.grad(found, single, g_out.float()),
        torch.autograd.grad(expected, inputs, g_out),
        strict=True,
    )
    return torch.stack([(a.double() - b).norm() / b.norm() for a, b in pairs]).detach()

"""Does what the compiler made of the pair operation compute the right thing on this device?"""

from __future__ import annotations

import torch

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_torch import pair_attention
from deepchem_ead.kernels.pair_weights import PairWeights
from deepchem_ead.kernels.triton.attention_autograd import pair_function
from deepchem_ead.kernels.triton.autograd import product_precision
from deepchem_ead.kernels.triton.self_check import TOLERANCES, verdict

#: Columns of a pair, where there are any.
COLUMNS = 3


def failure(
    n_features: int,
    n_heads: int,
    n_pair_features: int,
    device: torch.device,
    block: int,
    told: bool = False,
) -> str:
    """Compare the kernels with the PyTorch function in float64; what is wrong, empty if nothing.

    It compiles what evaluating and training need for molecules of up to ``block`` atoms (half a
    minute the first time), with columns of pairs if ``told``.
    """
    counts, n_columns = (block // 2 + 5, block // 2 + 1), COLUMNS if told else 0
    return verdict(
        lambda: torch.cat(
            [
                relative_errors(
                    n_features, n_heads, n_pair_features, counts, device, with_x0, n_columns
                )
                for with_x0 in (True, False)
            ]
        ),
        TOLERANCES[product_precision()],
    )


def relative_errors(
    n_features: int,
    n_heads: int,
    n_pair_features: int,
    counts: tuple[int, ...],
    device: torch.device,
    with_x0: bool = True,
    n_columns: int = 0,
) -> torch.Tensor:
    """Of the three results and the gradients of everything, x0 perhaps left out.

    Those of the columns of pairs, if there are any, come last of the inputs'.
    """
    layout = AtomLayout.from_counts(counts, device=device)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device)

    f, p = n_features, n_pair_features
    widths = (f, f, f, p, p, 3, 3)
    double = [random(layout.n_nodes, width).requires_grad_() for width in widths]
    double[-1].requires_grad_(with_x0)
    columns = []
    if n_columns:
        columns = [random(len(layout.pairs.first), n_columns).requires_grad_()]
    weights = PairWeights(p, n_heads, n_columns).to(device, torch.float64)
    weights.backend = "torch"  # the specification; nobody asked for kernels in float64
    for weight in weights.parameters():
        weight.data = random(*weight.shape) / weight.shape[1] ** 0.5
    single, single_columns = (
        [t.detach().float().requires_grad_(t.requires_grad) for t in inputs]
        for inputs in (double, columns)
    )
    single_weights = PairWeights(p, n_heads, n_columns).to(device)
    single_weights.load_state_dict(weights.state_dict())
    expected = pair_attention(PairInputs(*double, layout, *columns), weights)
    found = pair_function(PairInputs(*single, layout, *single_columns), single_weights)
    g_out = [random(*t.shape) for t in expected]
    leaves = [t for t in (*double, *columns, *weights.parameters()) if t.requires_grad]
    single_leaves = [
        t for t in (*single, *single_columns, *single_weights.parameters()) if t.requires_grad
    ]
    found += torch.autograd.grad(found, single_leaves, [g.float() for g in g_out])
    expected += torch.autograd.grad(expected, leaves, g_out)
    errors = [(a.double() - b).norm() / b.norm() for a, b in zip(found, expected, strict=True)]
    return torch.stack(errors).detach()

"""Numbers of pairs by the native kernel, against PyTorch in double precision."""

from __future__ import annotations

import ctypes

import pytest
import torch
from native_variants import INSTRUCTION_SETS

from deepchem_ead.denoisers.pair_outputs import N_HIDDEN, PairOutputs
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels.native import attention_kernel, pair_outputs
from deepchem_ead.kernels.pairs import Pairs

SIZES = [9, 1, 2, 18, 29, 3, 61]


def drawn(counts, n_columns: int):
    """Features of atoms, positions near and far, layout, and columns that differ by direction."""
    generator = torch.Generator().manual_seed(0)
    layout = AtomLayout.from_counts(counts)
    atoms = torch.randn(layout.n_nodes, 2 * N_HIDDEN, generator=generator)
    x = 1.5 * torch.randn(layout.n_nodes, 3, generator=generator)
    x[::7] *= 30  # beyond all radial features
    told = torch.randn(len(layout.pairs.first), n_columns, generator=generator)
    return atoms, x, layout, told if n_columns else None


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
@pytest.mark.parametrize("n_columns, n_outputs", [(0, 5), (22, 5), (1, 1), (64, 33)])
@pytest.mark.parametrize("counts", [SIZES, [1, 1], [2]], ids=str)
@torch.no_grad()
def test_matches_pytorch(instructions, n_columns, n_outputs, counts):
    torch.manual_seed(0)
    module, kernel = (
        PairOutputs(32, n_outputs, n_columns),
        attention_kernel.load_attention("fp32", instructions),
    )
    atoms, x, layout, told = drawn(counts, n_columns)
    found = pair_outputs.evaluate(module, atoms, x, layout, told, kernel)
    assert torch.equal(found, found[Pairs.of(layout).reverse])  # (i, j) and (j, i)
    double = (atoms.double(), x.double(), layout, None if told is None else told.double())
    expected = module.double()(*double)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6)


@torch.no_grad()
def test_columns_that_are_not_told_count_as_zeros():
    kernel, module = attention_kernel.load_attention("fp32"), PairOutputs(32, 5, 7)
    atoms, x, layout, told = drawn([5, 8], 7)
    found, zeros = (
        pair_outputs.evaluate(module, atoms, x, layout, columns, kernel)
        for columns in (None, torch.zeros_like(told))
    )
    torch.testing.assert_close(found, zeros, rtol=0, atol=1e-6)


@torch.no_grad()
def test_what_is_not_finite_stays_in_its_molecule():
    kernel, module = attention_kernel.load_attention("fp32"), PairOutputs(32, 5)
    atoms, x, layout, _ = drawn([4, 6, 5], 0)
    whole = pair_outputs.evaluate(module, atoms, x, layout, None, kernel)
    x[5] = torch.nan
    found = pair_outputs.evaluate(module, atoms, x, layout, None, kernel)
    touched = (layout.pairs.first == 5) | (layout.pairs.second == 5)
    assert found[touched].isnan().all() and torch.equal(found[~touched], whole[~touched])


def test_the_structure_has_the_size_of_the_header():
    sizes = (ctypes.c_int64 * 4)()
    attention_kernel.load_attention("fp32").library.attention_structure_sizes(sizes)
    assert sizes[3] == ctypes.sizeof(pair_outputs.PairOutputsProblem)

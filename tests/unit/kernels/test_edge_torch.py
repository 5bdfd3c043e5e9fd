"""The PyTorch edge functions by themselves: gradients, and the order of pairs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import edge_torch
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.pairs import Pairs


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("saved_bytes", [0, 2**20])
def test_gradcheck(attention, saved_bytes, monkeypatch):
    monkeypatch.setattr(edge_torch, "SAVED_BYTES", saved_bytes)
    f, layout = 3, AtomLayout.from_counts([1, 2, 2, 4])
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    shapes = [(f,), (f,), (f, f), (f,), (f,)] + ([(1,)] if attention else [])
    inputs = [random(9, f), random(9, f), random(9, 3), random(9, 3)]
    inputs += [random(*shape) for shape in shapes]
    function = edge_torch.messages if attention else edge_torch.coordinate_updates

    def call(u, v, x, x0, *weights):
        weights = EdgeWeights(*weights, *([] if attention else [None]))
        return function(u, v, x, x0, layout, weights)

    assert torch.autograd.gradcheck(call, inputs)


@pytest.mark.parametrize("attention", [True, False])
def test_gradients_need_no_layout(attention):
    """What is differentiated may have been computed with a layout that nobody holds any more."""
    generator = torch.Generator().manual_seed(0)
    u, x = torch.randn(9, 3, generator=generator), torch.randn(9, 3, generator=generator)
    weights = [torch.ones(3), torch.ones(3), torch.ones(3, 3), torch.ones(3), torch.ones(3)]
    weights = EdgeWeights(*weights, torch.ones(1) if attention else None)
    function = edge_torch.messages if attention else edge_torch.coordinate_updates
    layout = AtomLayout.from_counts([4, 5])
    gradients = []
    for holds in (True, False):
        leaf = x.clone().requires_grad_()
        out = function(u, u, leaf, x, layout, weights).square().sum()
        if not holds:
            del layout
        gradients.append(torch.autograd.grad(out, leaf)[0])
    assert torch.equal(*gradients)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(1, 60), st.booleans())
def test_chunks_visit_every_pair_once(counts, max_edges, fill):
    layout = AtomLayout.from_counts(counts)
    pairs = Pairs.of(layout)
    expected = [
        (i, j)
        for s, n in zip(layout.starts.tolist(), counts, strict=True)
        for i in range(s, s + n)
        for j in range(s, s + n)
        if i != j
    ]
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert sorted(found) == expected
    reverse = pairs.reverse.tolist()
    assert all(found[reverse[e]] == (j, i) for e, (i, j) in enumerate(found))
    nodes = torch.arange(layout.n_nodes).unsqueeze(1)
    doubled = nodes.index_select(0, pairs.doubled)
    visited = []
    for chunk in pairs.chunks(max_edges, fill):
        assert chunk.n_edges <= max(max_edges, pairs.longest_row)
        assert chunk.edges.start == len(visited)
        for piece in chunk.pieces:
            centres = nodes[piece.nodes].view(piece.n_molecules, piece.n_rows, 1, 1)
            neighbours = piece.windows(doubled)
            both = torch.cat([centres.expand_as(neighbours), neighbours], -1)
            visited += [tuple(p) for p in both.reshape(-1, 2).tolist()]
    assert visited == found

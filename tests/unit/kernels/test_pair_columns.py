"""Columns of pairs in PyTorch's edge functions and pair attention, against plain formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import silu

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.kernels import edge_torch, pair_torch
from deepchem_ead.kernels.edge_weights import EdgeWeights
from deepchem_ead.kernels.pair_inputs import PairInputs
from deepchem_ead.kernels.pair_weights import PairWeights, radial_features
from deepchem_ead.kernels.pairs import Pairs

LAYOUT = AtomLayout.from_counts([3, 1, 4, 4])
FIRST, SECOND = LAYOUT.pairs


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_pairs_are_all_of_a_molecule_in_order():
    expected = [
        (start + i, start + (i + k) % n)
        for start, n in zip(LAYOUT.starts.tolist(), LAYOUT.counts.tolist(), strict=True)
        for i in range(n)
        for k in range(1, n)
    ]
    assert list(zip(FIRST.tolist(), SECOND.tolist(), strict=True)) == expected


def test_each_two_are_counted_once():
    pairs = Pairs.of(LAYOUT)
    edges, number = pairs.once
    assert bool((FIRST[edges] < SECOND[edges]).all()) and 2 * len(edges) == len(FIRST)
    assert torch.equal(number[edges], torch.arange(len(edges)))
    assert torch.equal(number[pairs.reverse], number)


@pytest.mark.parametrize("attention", [True, False])
def test_edge_functions_and_their_gradients(attention):
    f, w = 8, 3
    u, v, x, told, w_told = (draw(12, f), draw(12, f, seed=1), draw(12, 3), draw(len(FIRST), w),
                             draw(f, w))  # fmt: skip
    weights = EdgeWeights(
        draw(f), draw(f, seed=1), draw(f, f), draw(f, seed=2), draw(f, seed=3),
        draw(1) if attention else None,
    )  # fmt: skip
    d2 = (x[FIRST] - x[SECOND]).square().sum(1)
    first = u[FIRST] + v[SECOND] + d2[:, None] * (weights.c_d + weights.c_0) + told @ w_told.T
    message = silu(silu(first) @ weights.w2.T + weights.b2)
    score = message @ weights.w_out
    if attention:
        rows = torch.sigmoid(score + weights.b_out)[:, None] * message
        found = edge_torch.messages(u, v, x, x, LAYOUT, weights, told=(told, w_told))
    else:
        pull = (x[FIRST] - x[SECOND]) / ((d2 + 1e-8).sqrt() + 1)[:, None]
        rows = 15 * torch.tanh(score)[:, None] * pull
        found = edge_torch.coordinate_updates(u, v, x, x, LAYOUT, weights, told=(told, w_told))
    expected = torch.zeros(12, rows.shape[1]).double().index_add(0, FIRST, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    target = draw(*found.shape, seed=9).detach()
    ours, theirs = (
        torch.autograd.grad((out * target).sum(), (u, v, x, told, w_told), retain_graph=True)
        for out in (found, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_pair_attention():
    f, p, w = 8, 4, 3
    torch.manual_seed(0)
    weights = PairWeights(p, 1, w).double()
    q, k, v = (draw(12, f, seed=s) for s in range(3))
    own, other, x, told = draw(12, p), draw(12, p, seed=1), draw(12, 3), draw(len(FIRST), w)
    inputs = PairInputs(q, k, v, own, other, x, x, LAYOUT, told)
    with torch.no_grad():
        values, _, _ = pair_torch.pair_attention(inputs, weights)
    radial = radial_features((x[FIRST] - x[SECOND]).square().sum(1))
    mixed = radial @ (weights.radial + weights.radial_input).T + told @ weights.told.T
    logits = (
        silu(mixed + own[FIRST] + other[SECOND]) @ weights.logits[0]
        + (q[FIRST] * k[SECOND]).sum(1) / f**0.5
    )
    for i in range(12):
        mine = FIRST == i
        expected = torch.softmax(logits[mine], 0) @ v[SECOND[mine]]
        torch.testing.assert_close(values[i], expected, rtol=0, atol=1e-10)
    batched = pair_torch.pair_attention(inputs, weights)[0]
    torch.testing.assert_close(batched, values, rtol=0, atol=1e-10)  # molecules side by side

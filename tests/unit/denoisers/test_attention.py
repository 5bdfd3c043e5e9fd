"""The attention denoiser: equivariant, independent of the batch, finite, able to learn."""

from __future__ import annotations

import math

import pytest
import torch
from attention_data import attention
from denoiser_data import N_IN, N_OUT, real_batch

from deepchem_ead.denoisers import AttentionDenoiser
from deepchem_ead.denoisers.layers import LARGEST_MOVE
from deepchem_ead.denoisers.pair_outputs import PairOutputs
from deepchem_ead.diffusion import Seen
from deepchem_ead.diffusion.layout import AtomLayout
from deepchem_ead.kernels import attention_backend
from deepchem_ead.kernels.pair_attention import (
    RADIAL_RANGE,
    PairInputs,
    PairWeights,
    pair_attention,
    radial_features,
)
from deepchem_ead.testing import assert_equivariant

BACKENDS = ["torch", "auto"]
PRECISIONS = ["fp32", "bf16"]


def synthetic_batch(counts: list[int], dtype=torch.float32):
    """Positions 1.5 apart on average and random features with a level in the last column."""
    generator = torch.Generator().manual_seed(0)
    layout = AtomLayout.from_counts(counts)
    x = 1.5 * torch.randn(layout.n_nodes, 3, generator=generator, dtype=dtype)
    h = torch.randn(layout.n_nodes, N_IN, generator=generator, dtype=dtype)
    h[:, -1] = torch.rand(layout.n_nodes, generator=generator, dtype=dtype)
    return layout.center(x), h, layout


@pytest.mark.parametrize("backend, dtype", [("torch", torch.float64), ("torch", torch.float32),
                                            ("auto", torch.float32)])  # fmt: skip
@pytest.mark.parametrize("sigma_column", [None, N_IN - 1])
def test_equivariant_on_real_molecules_with_mixed_levels(backend, dtype, sigma_column):
    denoiser = attention(dtype=dtype, backend=backend, sigma_column=sigma_column)
    assert_equivariant(denoiser, *real_batch(range(12), dtype, mixed=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equivariant_for_one_two_and_many_atoms(dtype):
    assert_equivariant(attention(dtype=dtype), *synthetic_batch([1, 2, 29, 1, 3], dtype))


def definition(q, k, v, own, other, x, x0, weights: PairWeights, n_heads: int):
    """The pair operation of one molecule, one pair and one head at a time."""
    width = q.shape[1] // n_heads
    values, pairs = torch.zeros_like(q), q.new_zeros(len(x), n_heads, own.shape[1])
    vectors = q.new_zeros(len(x), n_heads, 3)
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        p = {}
        for j in others:
            d = ((x[i] - x[j]).square().sum() + 1e-8).sqrt()
            d0 = ((x0[i] - x0[j]).square().sum() + 1e-8).sqrt()
            centers = torch.linspace(0, 1, 32, dtype=q.dtype) * math.log1p(15)
            r = torch.exp(-0.5 * ((torch.log1p(d) - centers) / centers[1]).square())
            r0 = torch.exp(-0.5 * ((torch.log1p(d0) - centers) / centers[1]).square())
            z = own[i] + other[j] + weights.radial @ r + weights.radial_input @ r0
            p[j] = z * torch.sigmoid(z), (x[i] - x[j]) / (d + 1)
        for head in range(n_heads):
            at = slice(head * width, (head + 1) * width)
            scores = torch.stack(
                [q[i, at] @ k[j, at] / width**0.5 + weights.logits[head] @ p[j][0] for j in others]
            )
            for a, j in zip(torch.softmax(scores, 0), others, strict=True):
                values[i, at] += a * v[j, at]
                pairs[i, head] += a * p[j][0]
                vectors[i, head] += a * (weights.gates[head] @ p[j][0]) * p[j][1]
    return values, pairs.flatten(1), vectors


def test_pair_operation_follows_its_definition():
    layout = AtomLayout.from_counts([2, 5, 4])
    generator = torch.Generator().manual_seed(0)
    shapes = [(12,), (12,), (12,), (32,), (32,), (3,), (3,)]
    arrays = [
        torch.randn(layout.n_nodes, *shape, generator=generator, dtype=torch.float64)
        for shape in shapes
    ]
    torch.manual_seed(0)
    weights = PairWeights(32, 3).double().requires_grad_(False)
    found = pair_attention(PairInputs(*arrays, layout), weights)
    for start, n in zip(layout.starts.tolist(), layout.counts.tolist(), strict=True):
        rows = slice(start, start + n)
        expected = definition(*(a[rows] for a in arrays), weights, 3)
        for value, target in zip(found, expected, strict=True):
            torch.testing.assert_close(value[rows], target, rtol=1e-10, atol=1e-10)


def test_radial_features_reach_their_range():
    d2 = torch.tensor([0.0, RADIAL_RANGE**2], dtype=torch.float64)
    first, last = radial_features(d2)
    assert first.argmax() == 0 and last.argmax() == len(last) - 1
    assert last.max() == pytest.approx(1, abs=1e-6)


# 20 features are no multiple of a vector register: rounding at the ends of arrays shows there.
@pytest.mark.parametrize(
    "backend, precision, n_features",
    [("torch", "fp32", 64), ("torch", "fp32", 20), ("auto", "fp32", 64), ("auto", "bf16", 64)],
)
def test_output_is_bitwise_independent_of_the_batch(backend, precision, n_features):
    denoiser = attention(n_features=n_features, backend=backend, precision=precision)

    def evaluate(molecules):
        x, h, layout = real_batch(molecules, mixed=True)
        with torch.no_grad():
            out = torch.cat(denoiser(Seen(x, h, layout)), 1)
        return dict(zip(molecules, out.split(layout.counts.tolist()), strict=True))

    everything = list(range(30))
    alone = {i: evaluate([i])[i] for i in everything}
    for molecules in (everything, everything[::-1], everything[3:20:2], everything[25:28]):
        for i, out in evaluate(molecules).items():
            assert torch.equal(out, alone[i]), f"molecule {i} in a batch of {len(molecules)}"


def test_pair_outputs_are_bitwise_independent_of_the_batch():
    denoiser = attention(n_pair_columns=2, n_pair_outputs=5)

    def evaluate(molecules):
        x, h, layout = real_batch(molecules, mixed=True)
        i, j = layout.pairs
        with torch.no_grad():
            return denoiser(Seen(x, h, layout, pairs=torch.cat([h[i, :1], h[j, :1]], 1))).pairs

    for molecules in ([0, 1, 2, 29], list(range(12, 29, 2))):
        alone = torch.cat([evaluate([molecule]) for molecule in molecules])
        assert torch.equal(evaluate(molecules), alone)


def test_pair_outputs_against_the_formula():
    torch.manual_seed(0)
    said = PairOutputs(8, 3, 2).double()
    layout = AtomLayout.from_counts([3, 1, 2, 4, 4])
    i, j = layout.pairs
    n, x = torch.randn(14, 8).double(), torch.randn(14, 3).double()
    told = torch.randn(len(i), 2).double()
    where = {(a, b): edge for edge, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True))}
    a, b = said.atoms(n).chunk(2, 1)
    found = said(said.atoms(n), x, layout, told)
    for (first, second), edge in where.items():
        d2 = (x[first] - x[second]).square().sum()
        both = told[edge] + told[where[second, first]]
        z = a[first] + a[second] + b[first] * b[second] + said.told.weight @ both
        z = z + said.radial.weight @ radial_features(d2)
        expected = said.mlp(torch.nn.functional.silu(z))
        torch.testing.assert_close(found[edge], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_pair_outputs_a_network_is_what_it_was(backend):
    plain, more = attention(backend=backend), attention(backend=backend, n_pair_outputs=3)
    names = set(plain.state_dict())
    assert set(more.state_dict()) - names == {
        n for n in more.state_dict() if n.startswith("pair_outputs.")
    }
    more.load_state_dict(plain.state_dict(), strict=False)
    seen = Seen(*real_batch(range(4), mixed=True))
    with torch.no_grad():
        one, other = plain(seen), more(seen)
    assert one.pairs is None and other.pairs.shape == (len(seen.layout.pairs.first), 3)
    for value, target in zip(one, other, strict=True):  # a tuple of two, as ever
        torch.testing.assert_close(value, target, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_and_coincident_atoms(backend):
    layout = AtomLayout.from_counts([1, 3, 1])
    x = torch.zeros(5, 3, requires_grad=True)  # the three atoms of the second molecule coincide
    h = torch.randn(5, N_IN, generator=torch.Generator().manual_seed(0))
    denoiser = attention(backend=backend)
    dx, h_out = denoiser(Seen(x, h, layout))
    (dx.sum() + h_out.sum()).backward()
    assert torch.equal(dx[[0, 4]], torch.zeros(2, 3))
    for value in (dx, h_out, x.grad, *(p.grad for p in denoiser.parameters())):
        assert value.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_sigma_scales_the_inner_moves_only(backend):
    """With sigma 0 every block sees the input coordinates, and the output is still their sum."""
    x, h, layout = real_batch(range(3))
    h[:, -1] = 0
    still = attention(backend=backend)
    with torch.no_grad():
        dx, _ = still(Seen(x, h, layout))
        moving = attention(backend=backend, sigma_column=None)
        moved, _ = moving(Seen(x, h, layout))
        h[:, -2] = 1  # another column, read as sigma: as without one, but for the features
        assert (dx - moved).abs().max() > 1e-3
        one = attention(backend=backend, sigma_column=N_IN - 2)
        expected, _ = moving(Seen(x, h, layout))
        assert torch.allclose(one(Seen(x, h, layout))[0], expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_moves_do_not_build_up_to_infinity(backend):
    """Each block's move grows with the positions and features that the moves before made."""
    x, h, layout = real_batch(range(5))
    denoiser = attention(n_layers=6, backend=backend)
    for block in denoiser.blocks:
        block.move.weight.data *= 1e6
    dx, h_out = denoiser(Seen(x, h, layout))
    # Centred moves of all blocks together; without a bound they overflow.
    assert dx.norm(dim=1).max() <= 6 * LARGEST_MOVE * 1.001
    assert dx.norm(dim=1).max() > 3 * LARGEST_MOVE
    (dx.sum() + h_out.sum()).backward()
    assert all(p.grad.isfinite().all() for p in denoiser.parameters())


@pytest.mark.parametrize("backend", BACKENDS)
def test_new_network_predicts_almost_no_noise(backend):
    x, h, layout = real_batch(range(5))
    torch.manual_seed(0)
    dx, _ = AttentionDenoiser(N_IN, N_OUT, 2, 64, 4, backend=backend)(Seen(x, h, layout))
    assert 0 < dx.abs().max() < 0.1


@pytest.mark.parametrize("backend", BACKENDS)
def test_bf16_stays_close_to_fp32(backend):
    x, h, layout = real_batch(range(20), mixed=True)
    with torch.no_grad():
        exact = torch.cat(attention(backend=backend)(Seen(x, h, layout)), 1)
        bf16 = attention(backend=backend, precision="bf16")
        rounded = torch.cat(bf16(Seen(x, h, layout)), 1)
    assert rounded.dtype == torch.float32
    if "fp32" in bf16.active_backend.split()[1]:  # this processor has no instructions for it
        assert torch.equal(rounded, exact)
        return
    assert 1e-5 < (rounded - exact).norm() / exact.norm() < 1e-2


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_learns_the_noise_of_a_few_molecules(backend, precision):
    generator = torch.Generator().manual_seed(1)
    clean, h, layout = real_batch(range(3))
    noise = layout.center(torch.randn(clean.shape, generator=generator))
    denoiser = attention(backend=backend, precision=precision)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        dx, h_out = denoiser(Seen(clean + 0.2 * noise, h, layout))
        loss = (dx - noise).square().mean() + (h_out - h[:, :N_OUT]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4, losses[::5]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="backend is 'gpu'"):
        attention(backend="gpu")
    with pytest.raises(ValueError, match="precision is 'fp16'"):
        attention(precision="fp16")
    with pytest.raises(ValueError, match="5 heads do not divide 64"):
        attention(n_heads=5)
    x, h, layout = real_batch([0])
    for arguments in ((x, h[:, 1:], layout), (x[1:], h, layout), (x[:, :2], h, layout)):
        with pytest.raises(ValueError, match="do not fit"):
            attention()(Seen(*arguments))
    with pytest.raises(RuntimeError, match='backend="native"'):
        attention(n_features=20, backend="native")(Seen(x, h, layout))
    with pytest.raises(RuntimeError, match='backend="native"'):
        attention(backend="native", dtype=torch.float64)(Seen(x.double(), h.double(), layout))


def test_active_backend_says_what_runs_and_why(monkeypatch):
    assert attention(backend="torch").active_backend == "torch fp32 (asked for)"
    assert attention(backend="torch", precision="bf16").active_backend == "torch bf16 (asked for)"
    assert "20 features in 4 heads of 5" in attention(n_features=20).active_backend
    monkeypatch.setattr(attention_backend, "attention_kernel", None)
    assert "not part of this installation" in attention().active_backend

"""Noising and the training loss, against exact results for Gaussian data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sampling_toys import bond_denoiser, make_process, pair_denoiser, seeing

from deepchem_ead.diffusion import (
    AtomLayout,
    EDMFrame,
    NoSymmetry,
    QuotientSymmetry,
    sample_levels,
)


def test_loss_of_the_exact_denoiser_is_the_posterior_variance():
    """Two atoms with a bond vector N(0, s I) and one feature N(0, v) at mixed levels."""
    process, n, s, v = make_process(100), 20_000, 0.09, 0.25
    layout = AtomLayout.from_counts([2] * n)
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([30, 45]).repeat(n)
    bond = s**0.5 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    feature = v**0.5 * torch.randn(2 * n, 1, generator=generator, dtype=torch.float64)
    positions = torch.stack([bond / 2, -bond / 2], 1).reshape(2 * n, 3)
    clean = torch.cat([positions, feature], 1)
    eps = torch.randn(2 * n, 4, generator=generator, dtype=torch.float64)
    loss = process.loss(bond_denoiser(process, s, v), clean, levels, eps, layout)
    assert loss.shape == (n,)
    tau2 = process.schedule.tau[[30, 45]] ** 2
    # the projected noise has one degree of freedom per axis: the difference of the two atoms, whose
    # noise tau_1^2 + tau_2^2 the data of variance s hides; a feature's noise has one
    positional = 3 * s / (s + tau2.sum())
    features = (v / (v + tau2)).sum()
    expected = float((positional + features) / (4 * 2))
    assert float(loss.mean()) == pytest.approx(expected, abs=4 * float(loss.std()) / n**0.5)
    assert float(loss.std()) / n**0.5 < 0.01 * expected


def two_molecules():
    """Layout, levels (10,), clean data (10, 5) and noise (10, 5)."""
    layout = AtomLayout.from_counts([4, 6])
    generator = torch.Generator().manual_seed(1)
    levels = sample_levels(layout, 100, 10, generator=generator)
    clean, eps = torch.randn(2, 10, 5, generator=generator, dtype=torch.float64)
    return layout, levels, clean, eps


def test_loss_ignores_what_cannot_be_known():
    """Output along a common shift, and where the molecule lies, do not enter the loss."""
    process = make_process(100)
    layout, levels, clean, eps = two_molecules()
    tau = process.schedule.tau[levels]

    @seeing
    def shifted_output(x, h, inner):
        dx, h_out = pair_denoiser(x, h, inner)
        return dx + inner.expand(torch.tensor([[1.0, 2, 3], [-5, 0, 1]])) / tau[:, None], h_out

    loss = process.loss(pair_denoiser, clean, levels, eps, layout)
    moved = process.loss(shifted_output, clean, levels, eps, layout)
    assert torch.allclose(loss, moved, rtol=1e-10)
    elsewhere = clean + torch.tensor([9.0, -3, 2, 0, 0])
    assert torch.allclose(loss, process.loss(pair_denoiser, elsewhere, levels, eps, layout))


def test_quotient_loss_ignores_rotations_and_nothing_else():
    """Against least squares: what is left of the error after the best shift and rotation."""
    process = make_process(100)
    layout, levels, clean, eps = two_molecules()
    tau = process.schedule.tau[levels][:, None]
    y = (clean + tau * eps)[:, :3]

    @seeing
    def turned_output(x, h, inner):
        dx, h_out = pair_denoiser(x, h, inner)
        turn = inner.expand(torch.tensor([[1.0, 2, 3], [-5, 0, 1]]).double())
        return dx + torch.linalg.cross(turn, y) / tau, h_out

    found = {}
    for quotient in (False, True):
        changed = replace(process, symmetry=QuotientSymmetry() if quotient else NoSymmetry())
        found[quotient] = changed.loss(pair_denoiser, clean, levels, eps, layout)
        turned = changed.loss(turned_output, clean, levels, eps, layout)
        assert torch.allclose(found[quotient], turned, rtol=1e-8) == quotient

    estimate = process.predict_noise(
        pair_denoiser, process.add_noise(clean, levels, eps), levels, layout
    )
    missed = (estimate - eps)[:, :3]
    for atoms, loss, all_of_it in zip(
        torch.arange(10).split([4, 6]), found[True], found[False], strict=True
    ):
        axes = torch.eye(3, dtype=torch.float64)
        moves = [(a.expand(len(atoms), 3) / tau[atoms]).flatten() for a in axes]
        spins = [
            (torch.linalg.cross(a.expand(len(atoms), 3), y[atoms]) / tau[atoms]).flatten()
            for a in axes
        ]
        error = missed[atoms].flatten()
        left = []
        for explained in (moves, moves + spins):
            basis = torch.stack(explained, 1)
            left.append((error - basis @ torch.linalg.lstsq(basis, error).solution).square().sum())
        assert torch.allclose(all_of_it - loss, (left[0] - left[1]) / (5 * len(atoms)))
        assert left[0] - left[1] > 1e-3


def test_loss_of_a_molecule_does_not_depend_on_the_batch():
    process = make_process(100)
    counts = [4, 6, 3]
    layout = AtomLayout.from_counts(counts)
    generator = torch.Generator().manual_seed(1)
    levels = sample_levels(layout, 100, 10, generator=generator)
    clean, eps = torch.randn(2, 13, 5, generator=generator, dtype=torch.float64)
    weight = torch.rand(13, generator=generator, dtype=torch.float64)
    together = process.loss(pair_denoiser, clean, levels, eps, layout, weight)
    pieces = [value.split(counts) for value in (clean, levels, eps, weight)]
    for m, (c, t, e, w) in enumerate(zip(*pieces, strict=True)):
        alone = process.loss(pair_denoiser, c, t, e, AtomLayout.from_counts([counts[m]]), w)
        assert torch.equal(alone, together[m : m + 1])


def test_gradients_come_from_weighted_nodes_only():
    process = make_process(100)
    layout = AtomLayout.from_counts([4])
    generator = torch.Generator().manual_seed(1)
    clean, eps = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    output = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([1.0, 0, 1, 1], dtype=torch.float64)

    @seeing
    def denoiser(x, h, inner):
        return torch.zeros_like(x), output

    process.loss(denoiser, clean, torch.tensor([9, 3, 7, 1]), eps, layout, weight).sum().backward()
    assert (output.grad != 0).all(1).tolist() == [True, False, True, True]


def test_clean_data_come_back_from_the_true_noise():
    process = make_process(100)
    layout = AtomLayout.from_counts([4, 2])
    generator = torch.Generator().manual_seed(1)
    clean, eps = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    levels = torch.tensor([0, 30, 100, 7, 50, 50])
    w = process.add_noise(clean, levels, eps)

    @seeing
    def knows(x, h, inner):
        return eps[:, :3], torch.cat([eps[:, 3:], h[:, -1:]], 1)

    x_hat = process.predict_clean(knows, w, levels, layout)
    assert torch.allclose(x_hat[:, 3:], clean[:, 3:], atol=1e-12)
    # positions come back but for where the molecule lies
    shift = x_hat[:, :3] - clean[:, :3]
    assert torch.allclose(shift[1:4], shift[:1].expand(3, 3), atol=1e-10)
    assert torch.allclose(shift[5], shift[4], atol=1e-10)


def test_denoiser_sees_edms_input_at_equal_levels():
    process = make_process(100)
    layout = AtomLayout.from_counts([3])
    seen = {}

    @seeing
    def denoiser(x, h, inner):
        seen.update(x=x, h=h)
        return x, h

    w = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    process.predict_noise(denoiser, w, torch.full((3,), 40), layout)
    z = process.schedule.alpha[40] * w
    assert torch.allclose(seen["x"], layout.center(z[:, :3]), atol=1e-14)
    assert torch.allclose(seen["h"][:, :-1], z[:, 3:], atol=1e-14)
    assert (seen["h"][:, -1] == 0.4).all()


def test_error_estimate_of_the_edm_frame():
    assert EDMFrame.error_estimate(29, 1000, 3.0) == pytest.approx(0.246, abs=1e-3)


def test_each_node_is_told_its_molecules_context():
    process = make_process(100)
    layout = AtomLayout.from_counts([2, 3, 1])
    generator = torch.Generator().manual_seed(2)
    w = torch.randn(6, 5, generator=generator)
    context = torch.randn(3, 4, generator=generator)
    levels = torch.arange(6) * 10
    seen = []

    @seeing
    def denoiser(x, h, inner):
        seen.append(h)
        return x, h

    plain = process.predict_noise(denoiser, w, levels, layout)
    told = process.predict_noise(denoiser, w, levels, layout, context)
    assert [h.shape[1] for h in seen] == [3, 7]  # two features and the level; the context after it
    assert torch.equal(seen[1][:, :3], seen[0])
    assert torch.equal(seen[1][:, 3:], context[[0, 0, 1, 1, 1, 2]])
    # what a denoiser returns beyond the features is not noise
    assert plain.shape == told.shape == w.shape and torch.equal(plain, told)


def test_context_reaches_estimate_and_loss():
    process = make_process(100)
    layout = AtomLayout.from_counts([3, 2])
    generator = torch.Generator().manual_seed(2)
    clean, eps = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    levels = torch.full((5,), 50)
    tau = process.schedule.tau[50]

    @seeing
    def says_context(x, h, inner):
        return torch.zeros_like(x), h[:, -1:]

    for value in (0.0, 2.0):
        context = torch.full((2, 1), value, dtype=torch.float64)
        x_hat = process.predict_clean(says_context, clean, levels, layout, context)
        assert torch.allclose(x_hat[:, 3], clean[:, 3] - tau * value)
        loss = process.loss(says_context, clean, levels, eps, layout, context=context)
        error = layout.center(eps[:, :3]).square().sum(1) + (value - eps[:, 3]).square()
        assert torch.allclose(loss, layout.sum(error) / (4 * layout.counts))

"""What the loss makes of rotations, against sums over a grid of all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampling_toys import make_process, pair_denoiser, random_rotation, seeing

from deepchem_ead.diffusion import (
    SYMMETRIES,
    AtomLayout,
    PositionResidual,
    PreconditionedFrame,
    project_noise,
    project_rotation,
    resolve_symmetry,
)
from deepchem_ead.diffusion.orientations import (
    likeliest_rotation,
    mean_loss,
    mean_rotation,
    proper_svd,
)

ONE = AtomLayout.from_counts([5])
TAU = torch.tensor([1.2, 1.6, 1.4, 2.2, 1.8], dtype=torch.float64)
ALIGNING = ["averaged", "kabsch", "kabsch:to=estimate"]


def draws(n, layout=ONE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, layout.n_nodes, 3)
    return torch.randn(shape, generator=generator, dtype=torch.float64).unbind(0)


def all_rotations(n=28):
    """Rotations (N, 3, 3) and weights (N,) of a quadrature on SO(3) by Euler's angles."""
    turns = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    nodes, weights = np.polynomial.legendre.leggauss(n)
    a, b, c = torch.meshgrid(turns, torch.tensor(nodes).arccos(), turns, indexing="ij")
    weights = torch.tensor(weights)[None, :, None].expand_as(a).reshape(-1)

    def about(axis, angle):
        generator = torch.zeros(3, 3, dtype=torch.float64)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        generator[j, i], generator[i, j] = 1, -1
        return torch.linalg.matrix_exp(angle.reshape(-1, 1, 1) * generator)

    return about(2, a) @ about(1, b) @ about(2, c), weights / weights.sum()


ROTATIONS, WEIGHTS = all_rotations()


def posterior(y, x, tau):
    """Probability of each rotation of x given y, positions around their weighted means."""
    turned = torch.einsum("nij,aj->nai", ROTATIONS, x)
    exponent = -((y - turned).square().sum(2) / (2 * tau**2)).sum(1)
    p = WEIGHTS * torch.exp(exponent - exponent.max())
    return p, exponent.max()


def around_mean(x, tau):
    weight = tau[:, None] ** -2
    return x - (weight * x).sum(0) / weight.sum()


def target(symmetry, clean, noise, tau=TAU, layout=ONE):
    """What an estimate is compared with: what the estimate 0 misses, with the other sign."""
    zero = torch.zeros_like(clean)
    return -resolve_symmetry(symmetry).missed(zero, noise, clean, tau, layout)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_mean_rotation_is_that_of_a_sum_over_all(scale):
    generator = torch.Generator().manual_seed(0)
    f = scale * torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    f[2] = torch.outer(f[2, 0], f[2, 1]) / f[2].norm() * scale  # atoms on a line
    f[3] = 0
    exponent = torch.einsum("bij,nij->bn", f, ROTATIONS)
    p = WEIGHTS * torch.exp(exponent - exponent.amax(1, keepdim=True))
    expected = torch.einsum("bn,nij->bij", p / p.sum(1, keepdim=True), ROTATIONS)
    assert torch.allclose(mean_rotation(f), expected, atol=1e-7)
    best = exponent.amax(1)
    found = (f * likeliest_rotation(f)).sum((1, 2))
    assert (found > best - 1e-9).all() and torch.allclose(found, best, rtol=0.05, atol=1e-9)


def test_little_noise_leaves_what_is_known_of_the_limit():
    """``d_1 = 1/2 (1 / (s_1 + s_2) + 1 / (s_1 + s_3))`` and so on, up to 1e8: clean atoms."""
    s = torch.tensor([[1e8, 1e6, 1e5], [1e5, 1e5, 1e5], [4e4, 3e4, -1e4]], dtype=torch.float64)
    a, b, c = (1 / (s[:, [i]] + s[:, [j]]) / 2 for i, j in ((0, 1), (0, 2), (1, 2)))
    expected = torch.cat([a + b, a + c, b + c], 1)
    assert torch.allclose(mean_loss(s), expected, rtol=1e-4)


def test_decomposition_is_one_by_rotations_whatever_the_rank():
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(6, 3, 3, generator=generator, dtype=torch.float64)
    f[1] = torch.outer(f[1, 0], f[1, 1])
    f[2], f[3] = 0, torch.diag(torch.tensor([-1.0, -1.0, 1e-9]))
    f[4], f[5] = 1e8 * f[4], -torch.eye(3)
    u, s, v = proper_svd(f)
    assert torch.allclose(u * s[:, None] @ v.mT, f, rtol=1e-12, atol=1e-12)
    assert torch.allclose(torch.linalg.det(u), torch.ones(6).double())
    assert torch.allclose(torch.linalg.det(v), torch.ones(6).double())
    assert (s[:, 0] >= s[:, 1]).all() and (s[:, 1] >= s[:, 2].abs() - 1e-12 * s[:, 0]).all()


def test_averaged_target_is_the_mean_of_what_would_be_targets_without():
    """Of all rotations of the clean molecule as far as they explain the noisy one."""
    clean, eps = draws(2)
    noise = project_noise(eps, TAU, ONE)
    x = around_mean(clean, TAU)
    y = x + TAU[:, None] * noise
    p, _ = posterior(y, x, TAU)
    turned = torch.einsum("nij,aj->nai", ROTATIONS, x)
    targets = (y - turned) / TAU[:, None]
    plain = target("none", turned[7], targets[7])
    assert torch.allclose(plain, targets[7])
    expected = torch.einsum("n,nai->ai", p / p.sum(), targets)
    found = target("averaged", clean + 3, noise)
    assert torch.allclose(found, expected, atol=1e-7)
    assert torch.allclose(target("averaged", turned[7], targets[7]), expected, atol=1e-7)
    assert torch.allclose(target("kabsch", turned[7], targets[7]), target("kabsch", clean, noise))


def test_the_exact_denoiser_of_a_mixture_does_not_turn_molecules():
    """Two molecules in any orientation, by quadrature: no angular momentum; nor has the averaged
    or the aligned target of one of them."""
    first, second, eps = draws(3)
    noise = project_noise(eps, TAU, ONE)
    molecules = [around_mean(x, TAU) for x in (first, second)]
    y = molecules[0] + TAU[:, None] * noise
    estimates, logs = [], []
    for x in molecules:
        p, top = posterior(y, x, TAU)
        turned = torch.einsum("n,nij,aj->ai", p / p.sum(), ROTATIONS, x)
        estimates.append((y - turned) / TAU[:, None])
        logs.append(float(top + p.sum().log()))
    share = torch.softmax(torch.tensor(logs, dtype=torch.float64), 0)
    assert 1e-6 < float(share.min())
    exact = share[0] * estimates[0] + share[1] * estimates[1]
    for what in (exact, target("averaged", first, noise), target("kabsch", first, noise)):
        assert torch.allclose(project_rotation(what, y, TAU, ONE), what, atol=1e-7)
    assert (project_rotation(noise, y, TAU, ONE) - noise).abs().max() > 0.1


def test_alignment_leaves_the_smallest_error():
    clean, eps, estimate = draws(3)
    noise, estimate = (project_noise(e, TAU, ONE) for e in (eps, estimate))
    x = around_mean(clean, TAU)
    y = x + TAU[:, None] * noise
    turned = torch.einsum("nij,aj->nai", ROTATIONS[::7], x)
    of_noisy = ((y - turned) / TAU[:, None]).square().sum((1, 2))
    assert target("kabsch", clean, noise).square().sum() <= of_noisy.min() + 1e-12
    of_estimate = (estimate - (y - turned) / TAU[:, None]).square().sum((1, 2))
    missed = resolve_symmetry("kabsch:to=estimate").missed(estimate, noise, clean, TAU, ONE)
    assert missed.square().sum() <= of_estimate.min() + 1e-12
    right = (y - x @ random_rotation(3).T) / TAU[:, None]
    missed = resolve_symmetry("kabsch:to=estimate").missed(right, noise, clean, TAU, ONE)
    assert missed.abs().max() < 1e-9


def test_gradients_of_the_quotient_loss_do_not_turn_molecules():
    layout = AtomLayout.from_counts([5, 4])
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 100, (9,), generator=generator)
    clean, eps = torch.randn(2, 9, 5, generator=generator, dtype=torch.float64)
    process = make_process(100, symmetry=resolve_symmetry("quotient"))
    tau = process.schedule.tau[levels]
    y = (clean + tau[:, None] * eps)[:, :3]
    out = torch.randn(9, 3, generator=generator, dtype=torch.float64).requires_grad_()
    spin = torch.linalg.cross(layout.expand(eps[:2, :3]), y) / tau[:, None]

    @seeing
    def says(x, h, inner):
        return out + turn * spin, torch.zeros_like(h)

    found = []
    for turn in (0.0, 1.0):  # noqa: B007 (says() looks at it)
        loss = process.loss(says, clean, levels, eps, layout)
        found.append((loss.detach(), *torch.autograd.grad(loss.sum(), out)))
    (loss, gradient), (turned_loss, _) = found
    assert torch.allclose(loss, turned_loss, rtol=1e-10)
    kept = project_rotation(project_noise(gradient, tau, layout), y, tau, layout)
    assert gradient.norm() > 0.01 and torch.allclose(kept, gradient, atol=1e-12)


@pytest.mark.parametrize("symmetry", ["quotient", *ALIGNING])
def test_known_atoms_say_how_a_molecule_is_turned(symmetry):
    """Molecules with none, one, two and three known atoms."""
    layout = AtomLayout.from_counts([6, 6, 6, 6])
    tau = torch.rand(24, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.3
    clean, eps, estimate = draws(3, layout)
    for molecule in range(4):
        tau[6 * molecule : 6 * molecule + molecule] = 0
    frame = PreconditionedFrame()
    noise, estimate = (frame.project(e, tau, layout) for e in (eps, estimate))
    missed = resolve_symmetry(symmetry).missed(estimate, noise, clean, tau, layout)
    differs = layout.sum((missed - (estimate - noise)).square()).sum(1) > 1e-9
    aligning = symmetry in ALIGNING
    assert differs.tolist() == [True, not aligning, not aligning, False]
    assert not missed[tau == 0].any()
    assert missed.isfinite().all()


@pytest.mark.parametrize("symmetry", ["none", "quotient", *ALIGNING])
@pytest.mark.parametrize("residual", [False, True])
def test_any_molecule_has_a_loss_and_gradients(symmetry, residual):
    """One and two atoms, atoms on a line and in one place, at all levels; each for itself."""
    counts = [1, 2, 3, 4, 5]
    layout = AtomLayout.from_counts(counts)
    generator = torch.Generator().manual_seed(0)
    clean, eps = torch.randn(2, 15, 5, generator=generator, dtype=torch.float64)
    clean[3:6, :3] = torch.tensor([-1.0, 0.5, 2.0]).double()[:, None] * clean[3, :3]
    clean[6:10, :3] = 0
    frame, options = (
        (PreconditionedFrame(), {"positions": PositionResidual(1.5)}) if residual else (None, {})
    )
    process = make_process(1000, frame, symmetry=resolve_symmetry(symmetry), **options)
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)

    @seeing
    def scaled(x, h, inner, *reference):
        dx, h_out = pair_denoiser(x, h, inner)
        return weight * dx, weight * h_out

    for level in (0, 1, 500, 1000):
        levels = torch.where(torch.arange(15) % 2 == 0, level, min(level + 9, 1000))
        loss = process.loss(scaled, clean, levels, eps, layout)
        (gradient,) = torch.autograd.grad(loss.sum(), weight)
        assert loss.isfinite().all() and gradient.isfinite()
        starts = [0, 1, 3, 6, 10]
        for m, (start, count) in enumerate(zip(starts, counts, strict=True)):
            rows = slice(start, start + count)
            alone = process.loss(
                scaled, clean[rows], levels[rows], eps[rows], AtomLayout.from_counts([count])
            )
            assert torch.equal(alone, loss[m : m + 1])


def test_single_precision_suffices_beside_clean_atoms():
    """Targets of float32 data are those of float64 to its precision, from level 0 to T."""
    process = make_process(1000)
    layout = AtomLayout.from_counts([12])
    tau = process.schedule.tau[torch.tensor([0, 0, 1, 9, 30, 100, 200, 300, 500, 900, 1000, 0])]
    clean, eps = draws(2, layout)
    noise = project_noise(eps, tau, layout)
    for symmetry in ("averaged", "kabsch", "quotient"):
        exact = target(symmetry, clean, noise, tau, layout)
        single = target(symmetry, clean.float(), noise.float(), tau, layout)
        assert single.dtype == torch.float32
        assert (single - exact).abs().max() < 2e-4  # of which 1e-7 A / tau_0 is the data's own


def test_wrong_symmetries_are_refused():
    assert set(SYMMETRIES) == {"none", "quotient", "averaged", "kabsch"}
    with pytest.raises(ValueError, match="must be one of none, quotient, averaged, kabsch"):
        resolve_symmetry("procrustes")
    with pytest.raises(ValueError, match="to must be 'noisy' or 'estimate', not 'both'"):
        resolve_symmetry("kabsch:to=both")

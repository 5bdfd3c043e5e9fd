"""Guidance: classifier-free by its formula, by gradients exact on Gaussians, both equivariant."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import (
    RecordedNoise,
    bond_denoiser,
    make_process,
    pair_denoiser,
    pairs,
    random_rotation,
    seeing,
)

from deepchem_ead.diffusion import AtomLayout, TypeTarget, sample_levels
from deepchem_ead.sampling import (
    ClassifierFreeGuidance,
    GradientGuidance,
    PropertyGuidance,
    evaluations_of,
    sample,
)

LAYOUT = AtomLayout.from_counts([4, 3, 6])


def noisy(seed=0, dtype=torch.float64):
    """A state of three molecules with two features at mixed levels, and two rows of context."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(13, 5, generator=generator, dtype=dtype)
    levels = sample_levels(LAYOUT, 100, 10, generator=generator)
    told, null = torch.randn(2, 3, 1, generator=generator, dtype=dtype)
    return w, levels, told, null


@seeing
def told_denoiser(x, h, layout):
    """`pair_denoiser` that depends on one column of context (and has t / T last)."""
    dx, h_out = pair_denoiser(x, torch.cat([h[:, :2] * (1 + h[:, 3:]), h[:, 2:3]], 1), layout)
    return dx * (1 + 0.3 * h[:, 3:]), h_out


# ---------------------------------------------------------------------------- classifier-free


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_noise_is_extrapolated_from_null_to_condition(scale):
    process = make_process(100)
    w, levels, told, null = noisy()
    guided = ClassifierFreeGuidance(process, scale)
    eps = guided.predict_noise(told_denoiser, w, levels, LAYOUT, torch.cat([told, null], 1))
    given = process.predict_noise(told_denoiser, w, levels, LAYOUT, told)
    free = process.predict_noise(told_denoiser, w, levels, LAYOUT, null)
    assert not torch.allclose(given, free)
    expected = (1 + scale) * given - scale * free
    length = LAYOUT.sum(expected[:, :3].square().sum(1)).sqrt()
    allowed = LAYOUT.sum(given[:, :3].square().sum(1)).sqrt()
    assert (length > allowed).any()
    expected[:, :3] *= LAYOUT.expand((allowed / length).clamp_max(1)).unsqueeze(1)
    torch.testing.assert_close(eps, expected, rtol=0, atol=1e-12)
    x_hat = guided.predict_clean(told_denoiser, w, levels, LAYOUT, torch.cat([told, null], 1))
    torch.testing.assert_close(x_hat, w - process.schedule.tau[levels][:, None] * eps)


def test_scale_zero_and_equal_conditions_change_nothing_to_the_last_bit():
    process = make_process(100)
    w, levels, told, null = noisy(dtype=torch.float32)
    given = process.predict_noise(told_denoiser, w, levels, LAYOUT, told)
    for scale, other in ((0.0, null), (2.0, told)):
        guided = ClassifierFreeGuidance(process, scale)
        eps = guided.predict_noise(told_denoiser, w, levels, LAYOUT, torch.cat([told, other], 1))
        assert torch.equal(eps, given)


@pytest.mark.parametrize("scale", [2.0, 8.0])
def test_guided_types_stay_types(scale):
    """Of a network that speaks of types, whatever the scale; positions as without types."""
    table = torch.eye(2, dtype=torch.float64) / 4
    process = make_process(100, features=TypeTarget(table))
    w, levels, told, null = noisy()

    @seeing
    def says(x, h, layout):
        dx, _ = pair_denoiser(x, h[:, :3], layout)
        return dx, 3 * torch.cat([h[:, -1:], -h[:, -1:]], 1)

    guided = ClassifierFreeGuidance(process, scale)
    x_hat = guided.predict_clean(says, w, levels, LAYOUT, torch.cat([told, null], 1))
    p = x_hat[:, 3:] @ torch.linalg.inv(table)
    assert p.min() > -2e-3
    torch.testing.assert_close(p.sum(1), torch.ones(13, dtype=torch.float64))
    given, free = (
        process.predict_clean(says, w, levels, LAYOUT, context) for context in (told, null)
    )
    beyond = (given + scale * (given - free))[:, 3:] @ torch.linalg.inv(table)
    assert beyond.min() < -0.1


def test_guidance_commutes_with_the_projection():
    process = make_process(100)
    w, levels, told, null = noisy()
    raw = {}

    @seeing
    def remember(x, h, layout):
        dx, h_out = told_denoiser(x, h, layout)
        raw[float(h[0, 3])] = dx
        return dx, h_out

    guided = ClassifierFreeGuidance(process, 1.5)
    eps = guided.predict_noise(remember, w, levels, LAYOUT, torch.cat([told, null], 1))
    before = 2.5 * raw[float(told[0])] - 1.5 * raw[float(null[0])]
    expected = process.frame.project(before, process.schedule.tau[levels], LAYOUT)
    # up to the length of each molecule's
    for found, wanted in zip(*(x[:, :3].split([4, 3, 6]) for x in (eps, expected)), strict=True):
        ratio = (found * wanted).sum() / wanted.square().sum()
        assert 0 < ratio <= 1 + 1e-12
        torch.testing.assert_close(found, ratio * wanted, rtol=0, atol=1e-12)


def test_a_run_at_scale_zero_is_the_conditional_run():
    process = make_process(25)
    _, _, told, null = noisy(dtype=torch.float32)

    def run(process, context):
        noise = RecordedNoise(13, dtype=torch.float32)
        return sample(
            process, told_denoiser, LAYOUT, 2, "adaptive", noise=noise, context=context
        ).states

    conditional = run(process, told)
    both = torch.cat([told, null], 1)
    assert torch.equal(run(ClassifierFreeGuidance(process, 0.0), both), conditional)
    assert not torch.equal(run(ClassifierFreeGuidance(process, 1.0), both), conditional)


def test_calls_of_the_network_are_counted():
    process = make_process(10)
    w, _, told, null = noisy()
    calls = []

    @seeing
    def count(x, h, layout):
        calls.append(1)
        return told_denoiser(x, h, layout)

    guided = ClassifierFreeGuidance(process, 1.0)
    context = torch.cat([told, null, told], 1)
    steered = GradientGuidance(guided, feature_sum, torch.ones(1))
    steered.predict_clean(count, w, torch.full((13,), 5), LAYOUT, context)
    assert len(calls) == steered.evaluations == guided.evaluations == 2
    assert evaluations_of(process) == 1


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match="must not be negative, not -1"):
        ClassifierFreeGuidance(make_process(10), -1)


# ---------------------------------------------------------------------------- gradients


def feature_sum(x_hat, layout):
    return layout.sum(x_hat[:, 3:4])


def two_properties(x_hat, layout):
    """Invariant, not linear: mean squared distance, and features weighted by distance."""
    receiver, sender = pairs(layout)
    d2 = (x_hat[receiver, :3] - x_hat[sender, :3]).square().sum(1)
    product = (x_hat[receiver, 3] * x_hat[sender, 4]) / (1 + d2)
    both = torch.stack([d2, product], 1)
    molecule = layout.index[receiver]
    return both.new_zeros(layout.n_molecules, 2).index_add(0, molecule, both)


def test_noise_moves_by_the_formula():
    """Molecule by molecule against dense matrices, two targets, one not asked for."""
    process = make_process(100)
    w, levels, _, _ = noisy()
    targets = torch.tensor([[3.0, 0.1], [50.0, float("nan")], [float("nan")] * 2]).double()
    tolerance = torch.tensor([2.0, 0.05])
    guided = GradientGuidance(process, two_properties, tolerance, max_change=1e9)
    eps = process.predict_noise(pair_denoiser, w, levels, LAYOUT)
    found = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, targets)
    x_hat = process.predict_clean(pair_denoiser, w, levels, LAYOUT)
    tau = process.schedule.tau[levels]

    start = 0
    for molecule, n in enumerate(LAYOUT.counts.tolist()):
        nodes = slice(start, start + n)
        start += n
        asked = targets[molecule].isfinite()
        if not asked.any():
            assert torch.equal(found[nodes], eps[nodes])
            continue
        inner = AtomLayout.from_counts([n])

        def values(x, inner=inner, asked=asked):
            return two_properties(x.view(-1, 5), inner)[0, asked]

        def clean(x, inner=inner, nodes=nodes):
            estimate = process.predict_clean(pair_denoiser, x.view(-1, 5), levels[nodes], inner)
            return estimate.reshape(-1)

        jacobian = torch.autograd.functional.jacobian
        x = x_hat[nodes].reshape(-1)
        G, J = jacobian(values, x), jacobian(clean, w[nodes].reshape(-1))
        t = tau[nodes].repeat_interleave(5)
        # both factors of tau on the side of the clean data, which at one level is tau^2 J
        C = G @ torch.diag(t**2) @ J.T @ G.T
        s = torch.diag(1 / tolerance.double()[asked])
        e, V = torch.linalg.eigh(s @ (C + C.T) @ s / 2)
        S = torch.linalg.inv(s) @ V @ torch.diag(1 + e.clamp_min(0)) @ V.T @ torch.linalg.inv(s)
        missed = values(x) - targets[molecule, asked]
        change = (t * (J.T @ G.T @ torch.linalg.solve(S, missed))).view(n, 5)
        change[:, :3] = process.frame.project(change[:, :3], tau[nodes], inner)
        torch.testing.assert_close(found[nodes] - eps[nodes], change, rtol=1e-7, atol=1e-10)
        assert change.abs().max() > 1e-3


def test_at_low_noise_it_is_the_gradient_of_the_loss():
    """``eps + tau grad`` of ``scale ((f - y) / MAD)^2``, where ``s = MAD / sqrt(2 scale)``."""
    process = make_process(1000)
    w, _, _, _ = noisy()
    levels = torch.zeros(13, dtype=torch.int64)
    scale, mad, target = 4.0, 2.0, torch.full((3, 1), 1.5, dtype=torch.float64)
    guided = GradientGuidance(process, feature_sum, torch.tensor([mad / (2 * scale) ** 0.5]))
    change = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, target)
    change -= process.predict_noise(pair_denoiser, w, levels, LAYOUT)
    w.requires_grad_()
    x_hat = process.predict_clean(pair_denoiser, w, levels, LAYOUT)
    loss = scale * ((feature_sum(x_hat, LAYOUT) - target) / mad).square().sum()
    expected = process.schedule.tau[0] * torch.autograd.grad(loss, w)[0]
    torch.testing.assert_close(change, expected, rtol=1e-3, atol=1e-12)


def test_gaussian_data_and_a_linear_property_give_the_exact_posterior():
    """Features N(0, v) weighted by exp(-(f - y)^2 / 2 s^2), f their sum over two atoms."""
    process, n, v, target, tolerance = make_process(100), 1500, 0.25, 1.2, 0.3
    layout = AtomLayout.from_counts([2] * n)
    guided = GradientGuidance(process, feature_sum, torch.tensor([tolerance]), max_change=1e9)
    denoiser = bond_denoiser(process, 0.09, v)

    def run(process, context):
        noise = RecordedNoise(2 * n)
        return sample(process, denoiser, layout, 1, noise=noise, context=context).states

    targets = torch.full((n, 1), target, dtype=torch.float64)
    states = run(guided, targets)
    f = states[:, 3].view(n, 2).sum(1)
    prior = 2 * v
    mean, spread = target * prior / (prior + tolerance**2), (1 / (1 / prior + tolerance**-2)) ** 0.5
    assert float(f.mean()) == pytest.approx(mean, abs=4 * spread / n**0.5 + 0.01 * target)
    assert float(f.std()) == pytest.approx(spread, rel=0.1)
    # what the property does not depend on is as it was
    difference = states[:, 3].view(n, 2).diff(dim=1)
    assert float(difference.var()) == pytest.approx(prior, rel=0.12)
    # and without a target everything is
    free = run(process, None)
    assert torch.equal(run(guided, torch.full_like(targets, float("nan"))), free)
    assert abs(float(free[:, 3].view(n, 2).sum(1).mean())) < 4 * (prior / n) ** 0.5


def test_an_atoms_noise_changes_by_no_more_than_allowed():
    process = make_process(100)
    w, levels, _, _ = noisy()
    for bound in (0.01, 0.3):
        guided = GradientGuidance(process, feature_sum, torch.tensor([1e-3]), max_change=bound)
        targets = torch.full((3, 1), 1e3, dtype=torch.float64)
        change = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, targets)
        change -= process.predict_noise(pair_denoiser, w, levels, LAYOUT)
        # the projection moves it a little once more
        assert 0.8 * bound < float(change.norm(dim=1).max()) < 1.2 * bound


def test_atoms_with_much_noise_are_left_alone():
    """Some atoms of each molecule are guided; without any the properties are not asked for."""
    process = make_process(100)
    w, levels, _, _ = noisy()
    tau = process.schedule.tau[levels]
    targets = torch.full((3, 1), 9.0, dtype=torch.float64)
    asked = []

    def feature(x_hat, layout):
        asked.append(1)
        return feature_sum(x_hat, layout)

    for limit in (float(tau.median()), float(tau.min()) / 2):
        guided = GradientGuidance(process, feature, torch.ones(1), max_tau=limit)
        change = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, targets)
        change -= process.predict_noise(pair_denoiser, w, levels, LAYOUT)
        assert ((change[:, 3:] != 0).any(1) == (tau <= limit)).all()
    assert len(asked) == 1


def test_the_change_pulls_no_molecule_as_a_whole():
    process = make_process(100)
    w, levels, _, _ = noisy()
    targets = torch.tensor([[40.0, 1.0]] * 3, dtype=torch.float64)
    guided = GradientGuidance(process, two_properties, torch.tensor([0.1, 0.1]), max_change=0.2)
    eps = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, targets)
    pull = LAYOUT.sum(eps[:, :3] / process.schedule.tau[levels][:, None])
    assert pull.abs().max() < 1e-9


def test_properties_that_are_not_numbers_guide_nothing():
    process = make_process(100)
    w, levels, _, _ = noisy()

    def broken(x_hat, layout):
        values = feature_sum(x_hat, layout)
        return values + torch.tensor([[0.0], [float("nan")], [0.0]])

    guided = GradientGuidance(process, broken, torch.ones(1))
    targets = torch.full((3, 1), 9.0, dtype=torch.float64)
    eps = guided.predict_noise(pair_denoiser, w, levels, LAYOUT, targets)
    changed = (eps != process.predict_noise(pair_denoiser, w, levels, LAYOUT)).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 3 + [True] * 6


@pytest.mark.parametrize("schedule", ["synchronous", "adaptive"])
@pytest.mark.parametrize("reflect", [False, True])
def test_guided_sampling_is_equivariant(schedule, reflect):
    """Rotated, reflected noise of permuted atoms gives the moved molecules at the same levels."""
    process = make_process(60)
    told, null = torch.tensor([[0.4], [1.0], [-0.7]]), torch.zeros(3, 1)
    targets = torch.tensor([[4.0, 0.1], [2.0, -0.1], [30.0, 0.0]])
    context = torch.cat([told, null, targets], 1).double()
    guided = GradientGuidance(
        ClassifierFreeGuidance(process, 1.0), two_properties, torch.tensor([0.5, 0.05]), 0.5
    )
    Q = random_rotation(5, reflect)
    permutation = torch.cat([torch.tensor(p) for p in ([2, 0, 3, 1], [6, 4, 5])])
    permutation = torch.cat([permutation, torch.tensor([12, 7, 9, 8, 11, 10])])

    def run(noise):
        result = sample(
            guided, told_denoiser, LAYOUT, 2, schedule, repeat_rule="repaint", noise=noise,
            context=context, record_levels=True,
        )  # fmt: skip
        return result.states, result.levels

    states, levels = run(RecordedNoise(13))
    moved, moved_levels = run(RecordedNoise(13, rotation=Q, permutation=permutation))
    assert torch.equal(moved_levels, levels[:, permutation])
    expected = torch.cat([states[:, :3] @ Q.T, states[:, 3:]], 1)[permutation]
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-6)
    assert states.isfinite().all()


# ---------------------------------------------------------------------------- what a user passes


class Oracle:
    tasks = ["gap", "mu"]
    mad = [0.04, 1.2]
    elements = "H,C,N,O,F"

    def property_of(self, positions, type_probabilities, layout):
        return layout.sum(type_probabilities[:, :2])


def test_a_guide_takes_what_it_needs_from_its_model():
    guide = PropertyGuidance(Oracle(), {"gap": 0.2})
    assert guide.tasks == ["gap", "mu"] and guide.mad == [0.04, 1.2]
    values = guide.property_of(torch.zeros(2, 3), torch.ones(2, 5), AtomLayout.from_counts([2]))
    assert values.tolist() == [[2, 2]]
    plain = PropertyGuidance(
        Oracle().property_of, {"a": 1.0}, tasks=["a", "b"], mad=[1, 1], elements="H,C"
    )
    assert plain.property_of is not None and plain.tasks == ["a", "b"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(targets={"lumo": 1.0}), "choose among the guiding model's properties, gap, mu"),
        (dict(targets={}), "choose among"),
        (dict(targets={"gap": 0.2}, scale=0.0), "scale of a guide must be positive, not 0"),
        (dict(targets={"gap": 0.2}, max_tau=-1), "max_tau of a guide must be positive, not -1"),
        (dict(targets={"gap": 0.2}, model=lambda x, p, layout: x), "has no 'tasks'; pass tasks="),
    ],
)
def test_guides_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PropertyGuidance(**{"model": Oracle(), **arguments})

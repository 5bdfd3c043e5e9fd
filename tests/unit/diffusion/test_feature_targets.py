"""What the network says about features: noise, or types combined with the atom's own features."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from sampling_toys import make_process, seeing

from deepchem_ead.diffusion import (
    AtomLayout,
    NoiseTarget,
    TypeTarget,
    atoms_only,
    closed_shell,
    feature_target,
)
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.models import EADConfig

TABLE = AtomEncoding(EADConfig()).table.double()  # H, C, N, O, F and dummy; types and charge
N_TYPES = len(TABLE)


def draw(tau: float, n: int = 50_000):
    """Types from a known prior, their noisy features and the noise."""
    generator = torch.Generator().manual_seed(0)
    prior = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.02, 0.08], dtype=torch.float64)
    types = torch.multinomial(prior, n, replacement=True, generator=generator)
    noise = torch.randn(n, TABLE.shape[1], generator=generator, dtype=torch.float64)
    return prior, types, TABLE[types] + tau * noise, noise


@pytest.mark.parametrize("tau", [0.003, 0.1, 0.4, 3.0, 300.0])
def test_outputs_that_are_log_priors_give_the_posterior(tau):
    """Against Bayes' rule written out with normal densities, atom by atom."""
    prior, _, w, _ = draw(tau, 200)
    tau = torch.tensor([[tau]], dtype=torch.float64)
    density = torch.distributions.Normal(TABLE, tau).log_prob(w.unsqueeze(1)).sum(2)  # (A, K)
    weight = (density + prior.log()).softmax(1)
    out = prior.log().expand(len(w), -1)
    x_hat = w - tau * TypeTarget(TABLE).noise(out, w, tau, None)
    assert torch.allclose(x_hat, weight @ TABLE, atol=1e-8)


def test_no_other_outputs_have_a_smaller_loss():
    """Cross-entropy and squared error of the noise both have their minimum at the true prior."""
    tau = torch.tensor([[0.3]], dtype=torch.float64)
    prior, _, w, noise = draw(0.3)
    target = TypeTarget(TABLE)

    def losses(out):
        out = out.expand(len(w), -1)
        squared = (target.noise(out, w, tau, None) - noise).square().sum(1)
        return target.error(out, w, tau, noise).mean(), squared.mean()

    best = losses(prior.log())
    for k in range(N_TYPES):
        for change in (-0.5, 0.5):
            other = prior.log().clone()
            other[k] += change
            assert all(o > b for o, b in zip(losses(other), best, strict=True))


def test_error_is_the_cross_entropy_of_the_true_type():
    tau = torch.tensor([[1e6]], dtype=torch.float64)  # own features say nothing
    _, types, w, noise = draw(1e6, 20)
    out = torch.randn(20, N_TYPES + 1, generator=torch.Generator().manual_seed(1)).double()
    target = TypeTarget(TABLE)
    expected = -0.5 * out[:, :N_TYPES].log_softmax(1)[torch.arange(20), types]
    assert torch.allclose(target.error(out, w, tau, noise), expected, atol=1e-6)


def test_composition_error_counts_atoms():
    """Molecules of two types, as if their own features said nothing: expected against true."""
    tau = torch.full((5, 1), 1e6, dtype=torch.float64)
    types = torch.tensor([0, 0, 1, 1, 1])
    noise = torch.zeros(5, TABLE.shape[1], dtype=torch.float64)
    out = torch.full((5, N_TYPES), -1e3, dtype=torch.float64)
    out[:, 0], out[:, 1] = math.log(0.75), math.log(0.25)
    layout = AtomLayout.from_counts([2, 3])
    found = TypeTarget(TABLE).composition_error(out, TABLE[types], tau, noise, layout)
    # expected 1.5 and 0.5, then 2.25 and 0.75 atoms
    assert found.tolist() == pytest.approx([2 * 0.5**2, 2 * 2.25**2], rel=1e-4)


def test_composition_error_is_least_for_the_truth():
    tau = torch.tensor([[0.3]], dtype=torch.float64)
    prior, _, w, noise = draw(0.3)
    layout = AtomLayout.from_counts([50] * 1000)

    def error(out):
        out, levels = out.expand(len(w), -1), tau.expand(len(w), 1)
        return TypeTarget(TABLE).composition_error(out, w, levels, noise, layout).mean()

    best = error(prior.log())
    for k in range(N_TYPES):
        for change in (-0.3, 0.3):
            other = prior.log().clone()
            other[k] += change
            assert error(other) > best


def test_extrapolated_types_stay_types():
    """Probabilities that are some stay to the last bit; negative ones become 0."""
    target = TypeTarget(TABLE.float())
    generator = torch.Generator().manual_seed(4)
    w = torch.randn(50, TABLE.shape[1], generator=generator)
    tau = torch.full((50, 1), 0.5)
    out = 3 * torch.randn(2, 50, N_TYPES, generator=generator)
    given, other = (target.noise(o, w, tau, None) for o in out)
    assert torch.equal(target.admissible(given, w, tau), given)
    p, q = (target.probabilities(o, w, tau, None) for o in out)
    beyond = p + 2 * (p - q)
    outside = (beyond < -1e-3).any(1)
    assert 5 < outside.sum() < 50
    found = target.admissible(given + 2 * (given - other), w, tau)
    assert torch.equal(found[~outside], (given + 2 * (given - other))[~outside])
    beyond = beyond.clamp_min(0) / beyond.clamp_min(0).sum(1, keepdim=True)
    x_hat = w - tau * found
    torch.testing.assert_close(x_hat[outside], beyond[outside] @ target.table, rtol=0, atol=1e-5)
    noise = torch.randn(3, 5)
    assert NoiseTarget().admissible(noise, noise, noise) is noise


def test_nothing_is_left_to_learn_without_noise():
    """At the lowest level any outputs give the type, and no gradient: nothing is amplified."""
    process = make_process(1000)
    tau = process.schedule.tau[0].float().reshape(1, 1)
    _, types, w, noise = draw(float(tau), 100)
    out = torch.randn(100, N_TYPES, generator=torch.Generator().manual_seed(1)).requires_grad_()
    target = TypeTarget(TABLE.float())
    error = target.error(out, w.float(), tau, noise.float())
    assert float(error.detach().max()) == 0
    error.sum().backward()
    assert not out.grad.any()
    clean = w.float() - tau * target.noise(out, w.float(), tau, None)
    assert torch.allclose(clean, TABLE[types].float(), atol=1e-6)


@pytest.mark.parametrize("tau", [0.003, 0.4, 300.0])
def test_the_network_is_told_what_own_features_say(tau):
    _, types, w, _ = draw(tau, 200)
    tau = torch.tensor([[tau]], dtype=torch.float64)
    density = torch.distributions.Normal(TABLE, tau).log_prob(w.unsqueeze(1)).sum(2)
    evidence = TypeTarget(TABLE).evidence(w, tau)
    assert torch.allclose(evidence, density.softmax(1), atol=1e-8)
    process = make_process(1000, features=TypeTarget(TABLE))
    seen = []

    @seeing
    def denoiser(x, h, inner):
        seen.append(h)
        return x, torch.zeros(len(x), N_TYPES, dtype=x.dtype)

    levels = torch.full((5,), 300)
    state = torch.cat([torch.zeros(5, 3), TABLE[types[:5]] + 0.2], 1)
    process.predict_noise(denoiser, state, levels, AtomLayout.from_counts([5]))
    width = TABLE.shape[1]
    at_level = process.schedule.tau[levels].unsqueeze(1)
    expected = TypeTarget(TABLE).evidence(state[:, 3:], at_level)
    assert torch.equal(seen[0][:, width : width + N_TYPES], expected)
    assert seen[0].shape[1] == width + N_TYPES + 1


def test_the_process_uses_the_target():
    """Noise of the features and loss of a molecule, at mixed levels."""
    table = TABLE[:3]
    target = TypeTarget(table)
    process = make_process(100, features=target)
    layout = AtomLayout.from_counts([2, 3])
    generator = torch.Generator().manual_seed(2)
    clean = torch.cat([torch.randn(5, 3, generator=generator).double(), table[[0, 1, 2, 0, 0]]], 1)
    eps = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    out = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    levels = torch.tensor([10, 90, 40, 40, 70])

    @seeing
    def says(x, h, inner):
        return torch.zeros_like(x), out

    w = process.add_noise(clean, levels, eps)
    tau = process.schedule.tau[levels].unsqueeze(1)
    predicted = process.predict_noise(says, w, levels, layout)
    assert torch.equal(predicted[:, 3:], target.noise(out, w[:, 3:], tau, None))
    weight = torch.rand(5, generator=generator, dtype=torch.float64)
    loss = process.loss(says, clean, levels, eps, layout, weight)
    noise = process.draw_noise(eps, layout)
    w = process.add_noise(clean, levels, noise)
    positional = process.frame.project(noise[:, :3], tau[:, 0], layout).square().sum(1)
    error = positional + target.error(out, w[:, 3:], tau, noise[:, 3:])
    assert torch.allclose(loss, layout.sum(weight * error) / (layout.counts * clean.shape[1]))
    told = out, w[:, 3:], tau, noise[:, 3:], layout
    counting = replace(process, composition_weight=0.3)
    more = counting.loss(says, clean, levels, eps, layout, weight) - loss
    expected = 0.3 * target.composition_error(*told) / (layout.counts * clean.shape[1])
    assert torch.allclose(more, expected) and (expected > 1e-3).all()


ODD = torch.tensor([True, False, True, False, True, False])  # electrons of H, C, N, O, F, dummy


def even_posterior(log_p: torch.Tensor) -> torch.Tensor:
    """Probabilities (n, K) of types given an even sum, over all K^n molecules."""
    n, k = log_p.shape
    types = torch.cartesian_prod(*[torch.arange(k)] * n).view(-1, n)
    weight = log_p[torch.arange(n), types].sum(1).exp()
    weight = weight * (ODD[types].sum(1) % 2 == 0)
    found = torch.stack([weight @ (types == t).double() for t in range(k)], 1)
    return found / weight.sum()


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0, 12.0])
def test_closed_shells_are_bayes_rule_for_an_even_sum(spread):
    """Against all molecules there are, with types between undecided and all but certain."""
    generator = torch.Generator().manual_seed(3)
    counts = [1, 2, 3, 4, 5]
    layout = AtomLayout.from_counts(counts)
    out = spread * torch.randn(15, N_TYPES, generator=generator, dtype=torch.float64)
    tau, w = torch.full((15, 1), 1e6).double(), torch.zeros(15, TABLE.shape[1]).double()
    target = closed_shell(TypeTarget(TABLE), ODD)
    found = target.probabilities(out, w, tau, layout)
    own = TypeTarget(TABLE).probabilities(out, w, tau, layout)
    assert not torch.allclose(found, own, atol=1e-3)
    log_p = own.log().split(counts)
    expected = torch.cat([even_posterior(molecule) for molecule in log_p])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_the_least_certain_atom_makes_the_sum_even():
    """C, H, H and a nitrogen that could be oxygen; then types that nothing can change."""
    layout = AtomLayout.from_counts([4])
    tau, w = torch.full((4, 1), 1e6).double(), torch.zeros(4, TABLE.shape[1]).double()
    out = torch.full((4, N_TYPES), -300.0, dtype=torch.float64)
    out[torch.arange(4), torch.tensor([1, 0, 0, 2])] = 0.0
    out[0, 2], out[3, 3] = -60.0, -50.0  # carbon could be nitrogen, but is surer
    target = closed_shell(TypeTarget(TABLE), ODD)
    found = target.probabilities(out, w, tau, layout)
    assert found.argmax(1).tolist() == [1, 0, 0, 3]
    assert float(found[3, 3]) == pytest.approx(1, abs=1e-4)
    assert float(found[0, 2]) == pytest.approx(math.exp(-10), rel=1e-3)
    out[out < -40] = -1000.0
    assert target.probabilities(out, w, tau, layout).argmax(1).tolist() == [1, 0, 0, 2]


def test_closed_shells_have_gradients_where_parity_is_undecided():
    layout = AtomLayout.from_counts([3])
    out = torch.zeros(3, N_TYPES, dtype=torch.float64, requires_grad=True)  # q = 1/2 exactly
    w, tau = torch.zeros(3, TABLE.shape[1]).double(), torch.full((3, 1), math.inf).double()
    target = closed_shell(TypeTarget(TABLE), ODD)
    target.probabilities(out, w, tau, layout).square().sum().backward()
    assert out.grad.isfinite().all()


def test_only_types_have_closed_shells():
    with pytest.raises(ValueError, match="needs a model that predicts types"):
        closed_shell(NoiseTarget(), ODD)
    assert closed_shell(TypeTarget(TABLE), ODD).to("meta").odd.device.type == "meta"
    assert AtomEncoding(EADConfig()).odd.tolist() == ODD.tolist()
    assert AtomEncoding(EADConfig(variable_size=False)).odd.tolist() == ODD[:5].tolist()


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("likely", [-3.0, 8.0, 80.0])
def test_an_impossible_type_takes_no_probability(closed, likely):
    """Dummy atoms among the first five types: the others keep their ratios, however likely."""
    generator = torch.Generator().manual_seed(5)
    layout = AtomLayout.from_counts([3, 4])
    out = torch.randn(7, N_TYPES, generator=generator, dtype=torch.float64)
    out[:, 5] = likely
    out.requires_grad_()
    w = torch.randn(7, TABLE.shape[1], generator=generator, dtype=torch.float64)
    tau = torch.full((7, 1), 0.7).double()
    target = atoms_only(TypeTarget(TABLE), 5)
    fewer = TypeTarget(TABLE[:5])
    if closed:
        target, fewer = closed_shell(target, ODD), closed_shell(fewer, ODD[:5])
    found = target.probabilities(out, w, tau, layout)
    assert (found[:, 5] == 0).all()
    expected = fewer.probabilities(out, w, tau, layout)
    torch.testing.assert_close(found[:, :5], expected, rtol=1e-9, atol=1e-14)
    found.square().sum().backward()
    assert out.grad.isfinite().all() and (out.grad[:, 5] == 0).all()
    assert target.to("meta").n_possible == 5


def test_noise_has_no_types_to_leave_out():
    assert atoms_only(NoiseTarget(), 5) == NoiseTarget()


def test_targets_by_name():
    assert isinstance(feature_target("noise", TABLE), NoiseTarget)
    assert feature_target("types", TABLE).table is TABLE
    assert feature_target("types", TABLE).to("meta").table.device.type == "meta"
    out, w = torch.randn(2, 4, 8)
    assert torch.equal(NoiseTarget().noise(out, w[:, :7], None, None), out[:, :7])

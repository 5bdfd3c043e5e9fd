"""Noise of bonds: what noisy rows of pairs say, Bayes' rule, and their way from level to level."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import one_hot

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    BondNoise,
    Bonds,
    EarlierState,
    Outputs,
    PreconditionedFrame,
    among,
    eta_step,
    forward_step,
    unordered,
)
from deepchem_ead.diffusion.bond_noise import told_evidence
from deepchem_ead.diffusion.bonds import bond_error, bond_probabilities
from deepchem_ead.diffusion.position_targets import PositionResidual
from deepchem_ead.testing.toys import make_process

SCALE, K = 0.25, len(BOND_KINDS)
NOISE = BondNoise(SCALE)
LAYOUT = AtomLayout.from_counts([4, 2, 1, 3])
N_PAIRS = len(LAYOUT.pairs.first)
TAU_S, TAU_T = 0.21, 0.34


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_bonds(unknown=()):
    generator = torch.Generator().manual_seed(1)
    kinds = torch.randint(K, (N_PAIRS // 2,), generator=generator)
    kinds[list(unknown)] = -1
    eps = randn(N_PAIRS // 2, K)
    numbers = unordered(LAYOUT)
    given = among(torch.arange(LAYOUT.n_nodes) < 2, LAYOUT)
    return Bonds(kinds[numbers], given, eps=eps[numbers])


def precision(tau):
    return torch.full((N_PAIRS,), (SCALE / tau) ** 2, dtype=torch.float64)


def rows(kinds, tau, eps):
    """One-hot rows under noise, as the definition has them."""
    return SCALE * one_hot(kinds, K).double() + tau * eps


def test_both_directions_of_a_pair_have_one_number():
    numbers, (i, j) = unordered(LAYOUT), LAYOUT.pairs
    pairs = torch.stack([torch.minimum(i, j), torch.maximum(i, j)], 1)
    of_number = {}
    for number, pair in zip(numbers.tolist(), pairs.tolist(), strict=True):
        assert of_number.setdefault(number, pair) == pair
    assert sorted(of_number) == list(range(N_PAIRS // 2)) and N_PAIRS == 2 * (6 + 1 + 3)
    # Molecule after molecule: what is drawn for one does not depend on those behind it.
    assert [of_number[n][0] >= 4 for n in range(10)] == [False] * 6 + [True] * 4


@pytest.mark.parametrize("tau", [0.1, 0.25, 1.3])
def test_rows_are_weighed_by_bayes_rule(tau):
    bonds, out = random_bonds(), randn(N_PAIRS, K + 2, seed=2)
    v = rows(bonds.kinds, tau, bonds.eps)
    likelihood = -(v.unsqueeze(1) - SCALE * torch.eye(K)).square().sum(2) / (2 * tau**2)
    noised = NOISE.noised(bonds, precision(tau))
    for prior, found in (
        (out[:, :K], bond_probabilities(out, noised)),
        (torch.zeros(K), told_evidence(noised, LAYOUT, out)),
    ):
        expected = prior.exp() * likelihood.exp()
        expected = expected / expected.sum(1, keepdim=True)
        expected[bonds.given] = one_hot(bonds.kinds[bonds.given], K).double()
        torch.testing.assert_close(found, expected)
    p = bond_probabilities(out, noised._replace(given=~(bonds.kinds >= 0)))
    of_pair = -p.gather(1, bonds.kinds.unsqueeze(1)).log().squeeze(1).masked_fill(bonds.given, 0)
    by_atom = torch.zeros(LAYOUT.n_nodes).double().index_add_(0, LAYOUT.pairs.first, of_pair)
    torch.testing.assert_close(bond_error(out, noised, LAYOUT), LAYOUT.sum(by_atom) / 2)


def test_rows_move_as_features_do():
    """The transitions of evidence are those of the rows that it stands for."""
    bonds, u_s, u_t = random_bonds(), precision(TAU_S), precision(TAU_T)
    tau_s, tau_t = (torch.full((N_PAIRS,), tau, dtype=torch.float64) for tau in (TAU_S, TAU_T))
    p, eps = randn(N_PAIRS, K, seed=3).softmax(1), randn(N_PAIRS, K, seed=4)
    v = rows(bonds.kinds, TAU_T, bonds.eps)
    found = NOISE.less_noisy(NOISE.noised(bonds, u_t), u_t, u_s, p, eps)
    moved = eta_step(v, SCALE * p, tau_t, tau_s, eps)
    torch.testing.assert_close(found.evidence, SCALE * moved / TAU_S**2)
    v = rows(bonds.kinds, TAU_S, bonds.eps)
    found = NOISE.noisier(NOISE.noised(bonds, u_s), u_s, u_t, eps)
    raised = forward_step(v, tau_s, tau_t, eps)
    torch.testing.assert_close(found.evidence, SCALE * raised / TAU_T**2)


def test_what_is_not_known_says_nothing():
    bonds = NOISE.noised(random_bonds(unknown=[0, 7]), precision(TAU_S))
    unknown = bonds.kinds < 0
    higher = NOISE.noisier(bonds, precision(TAU_S), precision(TAU_T), randn(N_PAIRS, K))
    for noised in (bonds, higher):
        assert not noised.evidence[unknown].any() and noised.evidence[~unknown].all()
    torch.testing.assert_close(
        told_evidence(None, LAYOUT, randn(1)), torch.full((N_PAIRS, K), 1 / K, dtype=torch.float64)
    )
    with pytest.raises(ValueError, match="need draws"):
        NOISE.noised(Bonds.nothing(LAYOUT), precision(TAU_S))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_pair_has_the_level_of_the_noisier_atom(channels):
    schedule, known = make_process().schedule, torch.arange(LAYOUT.n_nodes) < 2
    levels = torch.tensor([0, 0, 7, 0, 30, 40, 5, 9, 9, 60]).double()
    if channels == 2:
        levels = torch.stack([levels, 0 * levels], 1).flip(1)
    u = NOISE.precision(levels, known, schedule, LAYOUT)
    table = dict(
        zip(zip(*(t.tolist() for t in LAYOUT.pairs), strict=True), u.tolist(), strict=True)
    )
    assert table[0, 1] == table[1, 0] == 0  # they are known, and their bond is not
    for pair, level in (((0, 2), 7), ((1, 3), 0), ((5, 4), 40), ((8, 7), 9), ((7, 9), 60)):
        assert table[pair] == pytest.approx((SCALE / float(schedule.tau[level])) ** 2)
    assert torch.equal(u, NOISE.precision(levels, known, schedule, LAYOUT)) and len(u) == N_PAIRS


def test_the_denoiser_is_told_rows_and_the_loss_is_of_the_posterior():
    process = make_process(
        100, PreconditionedFrame(), positions=PositionResidual(1.5), bonds=True,
        self_conditioning=True, bond_noise=NOISE,
    )  # fmt: skip
    bonds, told = random_bonds(), []

    def denoiser(seen):
        told.append(seen.pairs[:, -11:])
        nodes = torch.zeros(LAYOUT.n_nodes, 3).double()
        return Outputs(nodes, nodes, torch.zeros(N_PAIRS, K).double())

    levels = torch.full((LAYOUT.n_nodes,), 20)
    everyone = torch.ones(LAYOUT.n_molecules, dtype=torch.bool)
    clean, eps, more = (randn(LAYOUT.n_nodes, 5, seed=s) for s in (5, 6, 7))
    earlier = EarlierState(levels + 2, more, everyone, randn(N_PAIRS, K, seed=8))
    with_bonds, without = (
        process.loss(denoiser, clean, levels, eps, LAYOUT, earlier=earlier, bonds=b)
        for b in (bonds, None)
    )
    noised = NOISE.noised(bonds, precision(float(process.schedule.tau[20])))
    error = bond_error(torch.zeros(N_PAIRS, K).double(), noised, LAYOUT) / (5 * LAYOUT.counts)
    torch.testing.assert_close(with_bonds, without + error)
    before, now = told[:2]
    torch.testing.assert_close(now[:, -K:], told_evidence(noised, LAYOUT, clean))
    # What it is told of its earlier estimate is of noisier rows, the same for both directions.
    torch.testing.assert_close(now[~bonds.given, :K], before[~bonds.given, -K:])
    assert not torch.equal(now[~bonds.given, :K], now[~bonds.given, -K:])
    assert math.isclose(float(told[2][:, -K:].std()), 0)

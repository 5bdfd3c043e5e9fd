"""Bonds as a denoiser is told them and learns them: order of pairs, what is given, the error."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from sampling_toys import make_process

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    Bonds,
    EarlierState,
    Outputs,
    PreconditionedFrame,
    among,
    bonds_of_pairs,
)
from deepchem_ead.diffusion.asked import Asked
from deepchem_ead.diffusion.bonds import bond_error, bond_probabilities, told_bonds
from deepchem_ead.diffusion.position_targets import PositionResidual

LAYOUT = AtomLayout.from_counts([1, 2, 5, 5, 9])


def kinds_and_columns(seed=0):
    """Random symmetric kinds as a table of nodes, and the columns that list them."""
    generator = torch.Generator().manual_seed(seed)
    n = LAYOUT.n_nodes
    table = torch.randint(5, (n, n), generator=generator).triu(1)
    table = table * (torch.rand(n, n, generator=generator) < 0.4)
    same = LAYOUT.index[:, None] == LAYOUT.index[None, :]
    table = (table + table.T) * same
    columns = torch.zeros(n, 10, dtype=torch.int64)
    for i in range(n):
        partners = table[i].nonzero()[:, 0]
        places = partners - LAYOUT.starts[LAYOUT.index[i]]
        columns[i, : len(partners)] = 8 * places + table[i, partners]
    return table, columns


def random_bonds(seed=0):
    table, columns = kinds_and_columns(seed)
    kinds = bonds_of_pairs(columns, LAYOUT)
    atoms = torch.rand(LAYOUT.n_nodes, generator=torch.Generator().manual_seed(seed)) < 0.6
    return Bonds(kinds, among(atoms, LAYOUT))


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_atoms_become_kinds_of_pairs(seed):
    table, columns = kinds_and_columns(seed)
    i, j = LAYOUT.pairs
    assert torch.equal(bonds_of_pairs(columns, LAYOUT), table[i, j])


def test_unknown_bonds_are_unknown_for_all_pairs_of_the_molecule():
    _, columns = kinds_and_columns()
    columns[LAYOUT.index == 3] = 0
    columns[(LAYOUT.index == 3).nonzero()[:4, 0], 0] = -1  # the last node is a dummy atom
    kinds = bonds_of_pairs(columns, LAYOUT)
    assert torch.equal(kinds < 0, (LAYOUT.index == 3)[LAYOUT.pairs.first])


def test_what_is_told_is_given_estimated_or_nothing():
    bonds = random_bonds()
    estimate = torch.rand(len(bonds.kinds), len(BOND_KINDS)).softmax(1)
    unknown = torch.arange(len(bonds.kinds)) % 3 == 0
    estimate[unknown] = torch.nan
    told = told_bonds(bonds, estimate, LAYOUT, estimate)
    given = bonds.given
    assert torch.equal(told[:, -1] == 1, given)
    assert torch.equal(told[given, :-1].argmax(1), bonds.kinds[given])
    assert (told[given, :-1].sum(1) == 1).all()
    assert torch.equal(told[~given & ~unknown, :-1], estimate[~given & ~unknown])
    assert not told[~given & unknown].any()
    assert not told_bonds(None, None, LAYOUT, estimate).any()


def test_given_bonds_are_certain_whatever_the_denoiser_says():
    bonds = random_bonds()
    out = torch.randn(len(bonds.kinds), len(BOND_KINDS))
    p = bond_probabilities(out, bonds)
    assert (p[bonds.given].gather(1, bonds.kinds[bonds.given, None]) == 1).all()
    assert torch.equal(p[~bonds.given], out[~bonds.given].softmax(1))


def test_the_error_counts_each_bond_that_is_asked_for_once():
    bonds = random_bonds()
    unknown = (LAYOUT.index == 2)[LAYOUT.pairs.first]
    bonds = Bonds(bonds.kinds.masked_fill(unknown, -1), bonds.given & ~unknown)
    out = torch.zeros(len(bonds.kinds), len(BOND_KINDS), requires_grad=True)
    error = bond_error(out, bonds, LAYOUT)
    asked = (~bonds.given & (bonds.kinds >= 0)).double()
    n_asked = torch.zeros(5, dtype=torch.float64).index_add_(
        0, LAYOUT.index[LAYOUT.pairs.first], asked
    )
    expected = n_asked / 2 * math.log(len(BOND_KINDS))
    torch.testing.assert_close(error.double(), expected, rtol=1e-6, atol=0)
    error.sum().backward()
    assert torch.equal(out.grad.any(1), asked > 0)


class Recording:
    """Says the same about every pair, and keeps what it saw."""

    def __init__(self, n_features):
        self.seen, self.n_features = [], n_features

    def __call__(self, seen):
        self.seen.append(seen)
        logits = torch.arange(5.0, dtype=seen.x.dtype).expand(len(seen.layout.pairs.first), 5)
        h = seen.h.new_zeros(len(seen.h), self.n_features)
        return Outputs(torch.zeros_like(seen.x), h, logits)


def joint_process(self_conditioning=True):
    return make_process(
        100, PreconditionedFrame(), positions=PositionResidual(1.5), bonds=True,
        bond_weight=1.0, self_conditioning=self_conditioning,
    )  # fmt: skip


@pytest.mark.parametrize("self_conditioning", [True, False])
def test_an_earlier_estimate_of_bonds_is_told_to_those_that_learn_from_it(self_conditioning):
    process, denoiser, bonds = joint_process(self_conditioning), Recording(2), random_bonds()
    w = torch.randn(LAYOUT.n_nodes, 5, generator=torch.Generator().manual_seed(1))
    estimate = torch.rand(len(bonds.kinds), len(BOND_KINDS)).softmax(1)
    asked = Asked(w, torch.full((LAYOUT.n_nodes,), 40), LAYOUT, bonds=bonds)
    for before in (None, estimate):
        process.estimate(denoiser, replace(asked, previous_bonds=before))
    without, told = (seen.pairs for seen in denoiser.seen)
    assert torch.equal(without, told) is not self_conditioning


def test_an_earlier_estimate_of_bonds_is_told_where_that_of_atoms_is():
    process, denoiser, bonds = joint_process(), Recording(2), random_bonds()
    generator = torch.Generator().manual_seed(1)
    clean, eps = torch.randn(2, LAYOUT.n_nodes, 5, generator=generator)
    levels = torch.full((LAYOUT.n_nodes,), 40)
    told = torch.tensor([True, False, True, False, True])
    earlier = EarlierState(levels + 3, eps.flip(0), told)
    process.loss(denoiser, clean, levels, eps, LAYOUT, earlier=earlier, bonds=bonds)
    first, second = (seen.pairs[:, -6:] for seen in denoiser.seen)
    assert torch.equal(first[:, -1] == 1, bonds.given)
    assert not first[~bonds.given].any()
    mine = told[LAYOUT.index[LAYOUT.pairs.first]] & ~bonds.given
    expected = torch.arange(5.0).softmax(0).expand(int(mine.sum()), 5)
    torch.testing.assert_close(second[mine, :5], expected)
    assert not second[~mine & ~bonds.given].any()


def test_bonds_are_learned_where_positions_and_kinds_are_known():
    process, denoiser, bonds = joint_process(), Recording(2), random_bonds()
    clean, eps = torch.randn(2, LAYOUT.n_nodes, 5, generator=torch.Generator().manual_seed(2))
    levels = torch.zeros(LAYOUT.n_nodes, dtype=torch.int64)
    nothing = Bonds(bonds.kinds, torch.zeros_like(bonds.given))
    loss = process.loss(denoiser, clean, levels, eps, LAYOUT, bonds=nothing)
    out = torch.arange(5.0).expand(len(bonds.kinds), 5)
    expected = bond_error(out, nothing, LAYOUT) / (LAYOUT.counts * 5)
    torch.testing.assert_close(loss, expected)


def test_a_process_without_bonds_says_nothing_of_them():
    process, denoiser = make_process(100), Recording(2)
    w = torch.randn(LAYOUT.n_nodes, 5)
    levels = torch.full((LAYOUT.n_nodes,), 40)
    found = process.estimate(denoiser, Asked(w, levels, LAYOUT))
    assert found.bonds is None and denoiser.seen[0].pairs is None

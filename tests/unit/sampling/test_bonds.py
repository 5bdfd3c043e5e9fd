"""Bonds while sampling: what is given stays, what is estimated is told on, in any batch."""

from __future__ import annotations

import pytest
import torch
from sampling_toys import make_process, pair_denoiser

from deepchem_ead.diffusion import (
    BOND_KINDS,
    AtomLayout,
    Bonds,
    Outputs,
    PreconditionedFrame,
    among,
)
from deepchem_ead.diffusion.position_targets import PositionResidual
from deepchem_ead.sampling import MoleculeNoise, Start, run_cohorts, sample
from deepchem_ead.sampling.cohort import Cohort

N_FEATURES = 2
COUNTS = [3, 4, 4, 6]


def process():
    return make_process(
        60, PreconditionedFrame(), positions=PositionResidual(1.5), bonds=True,
        self_conditioning=True,
    )  # fmt: skip


def bonded(seen):
    """Pairs by their distance and by what was told about them; atoms by `pair_denoiser`."""
    dx, h = pair_denoiser(seen.x, seen.h, seen.layout)
    i, j = seen.layout.pairs
    difference = seen.x[i] - seen.x[j]
    distance = (difference * difference).sum(1, keepdim=True)
    told = seen.pairs[:, -6:]
    logits = told[:, :5] + told[:, 5:] - distance / (1 + distance) * torch.arange(5).to(seen.x)
    return Outputs(dx, h[:, :N_FEATURES], logits)


def layout_of(counts):
    return AtomLayout.from_counts(counts)


def given_bonds(layout, first=2):
    kinds = torch.ones(len(layout.pairs.first), dtype=torch.int64)
    atoms = torch.arange(layout.n_nodes) - layout.starts[layout.index] < first
    return Bonds(kinds, among(atoms, layout))


def start_of(layout, first=2):
    levels = torch.full((layout.n_nodes,), torch.inf)
    clean = torch.zeros(layout.n_nodes, 3 + N_FEATURES)
    return Start(clean, levels, given_bonds(layout, first))


@pytest.mark.parametrize("stepper", ["ancestral", "heun", "dpm++2m"])
def test_given_bonds_come_back_and_others_are_estimated(stepper):
    layout = layout_of(COUNTS)
    noise = MoleculeNoise(0, range(4), COUNTS)
    result = sample(
        process(), bonded, layout, N_FEATURES, "adaptive", stepper, noise=noise, steps=10,
        start=start_of(layout),
    )  # fmt: skip
    given = given_bonds(layout).given
    assert (result.bonds[given] == torch.eye(5)[1]).all()
    assert ((result.bonds[~given] > 0) & (result.bonds[~given] < 1)).all()
    torch.testing.assert_close(result.bonds.sum(1), torch.ones(len(given)))


@pytest.mark.parametrize("atoms_given", [2, 99])
def test_where_all_bonds_are_given_none_are_asked_for(atoms_given):
    layout, wanted = layout_of(COUNTS), []

    def denoiser(seen):
        wanted.append(seen.wants_pairs)
        dx, h = out = bonded(seen)
        return out if seen.wants_pairs else Outputs(dx, h)

    start = start_of(layout, atoms_given)
    states = [
        sample(
            process(), each, layout, N_FEATURES, noise=MoleculeNoise(0, range(4), COUNTS), steps=5,
            start=start,
        )
        for each in (denoiser, bonded)
    ]  # fmt: skip
    assert set(wanted) == {atoms_given < max(COUNTS)}
    assert torch.equal(states[0].states, states[1].states)
    assert torch.equal(states[0].bonds, states[1].bonds)
    if not wanted[0]:
        assert (states[0].bonds == torch.eye(5)[1]).all()


def test_the_last_estimate_of_bonds_is_told_in_the_next_evaluation():
    layout, told, said = layout_of(COUNTS), [], []

    def denoiser(seen):
        out = bonded(seen)
        told.append(seen.pairs[:, -6:-1])
        said.append(out.pairs.softmax(1))
        return out

    noise = MoleculeNoise(0, range(4), COUNTS)
    result = sample(process(), denoiser, layout, N_FEATURES, noise=noise, steps=10)
    assert not told[0].any()
    assert all(torch.equal(a, b) for a, b in zip(told[1:], said, strict=False))
    assert torch.equal(result.bonds, said[-1]) and result.bonds.shape[1] == len(BOND_KINDS)


def test_a_molecules_bonds_do_not_depend_on_others():
    """Two cohorts side by side, and each molecule alone."""

    def cohort(rows):
        layout = layout_of([COUNTS[row] for row in rows])
        return Cohort(
            process(), layout, N_FEATURES, MoleculeNoise(5, rows, layout.counts.tolist()),
            "random-coin", steps=12, start=start_of(layout),
        )  # fmt: skip

    def run(*cohorts):
        waiting = iter(cohorts)
        return list(run_cohorts(process(), bonded, lambda counts: next(waiting, None), 0.01))

    together = run(cohort([0, 1]), cohort([2, 3]))
    bonds = [
        part
        for one in together
        for part in one.bonds_hat.split((one.layout.counts * (one.layout.counts - 1)).tolist())
    ]
    for row in range(4):
        (alone,) = run(cohort([row]))
        assert torch.equal(alone.bonds_hat, bonds[row])

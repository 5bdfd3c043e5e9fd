"""Bonds that lose their noise while sampling: what they become, in any batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sampling_toys import make_process, pair_denoiser

from deepchem_ead.diffusion import (
    AtomLayout,
    BondNoise,
    Bonds,
    Outputs,
    PreconditionedFrame,
    among,
    unordered,
)
from deepchem_ead.diffusion.position_targets import PositionResidual
from deepchem_ead.sampling import MoleculeNoise, Start, run_cohorts, sample
from deepchem_ead.sampling.cohort import Cohort

PRIOR = torch.tensor([0.5, 0.3, 0.1, 0.07, 0.03])


def process():
    return make_process(
        60, PreconditionedFrame(), positions=PositionResidual(1.5), bonds=True,
        self_conditioning=True, bond_noise=BondNoise(0.25),
    )  # fmt: skip


def denoiser(seen):
    """Atoms by `pair_denoiser`; of bonds it knows how many of each kind there are."""
    dx, h = pair_denoiser(seen.x, seen.h, seen.layout)
    return Outputs(dx, h[:, :2], PRIOR.log().expand(len(seen.pairs), 5))


def run(counts, schedule="synchronous", stepper="ancestral", seed=0, start=None, **options):
    layout = AtomLayout.from_counts(counts)
    noise = MoleculeNoise(seed, range(len(counts)), counts)
    return sample(
        process(), options.pop("denoiser", denoiser), layout, 2, schedule, stepper, noise=noise,
        start=start, **{"steps": 12, **options},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "stepper", "steps"),
    [("synchronous", "heun", 20), ("random-coin", "ancestral", 60)],
)
def test_bonds_become_certain_as_often_as_they_are_likely(schedule, stepper, steps):
    """With exact estimates the rows come out with the law of the data, whatever atoms do."""
    counts = [13] * 12
    bonds = run(counts, schedule, stepper, steps=steps).bonds
    numbers = unordered(AtomLayout.from_counts(counts))
    once = torch.empty(len(numbers) // 2, 5)
    once[numbers] = bonds
    assert torch.equal(once[numbers], bonds)
    assert (once.amax(1) > 0.99).float().mean() > 0.999
    share = torch.bincount(once.argmax(1), minlength=5) / len(once)
    error = (PRIOR * (1 - PRIOR) / len(once)).sqrt()
    assert ((share - PRIOR).abs() < 4 * error).all()


def test_atoms_go_where_they_go_without_noise_of_bonds():
    """Their random numbers are their own."""
    counts, plain = [5, 3], replace(process(), bond_noise=None)
    noise = MoleculeNoise(0, range(2), counts)
    expected = sample(plain, denoiser, AtomLayout.from_counts(counts), 2, noise=noise, steps=12)
    assert torch.equal(run(counts).states, expected.states)
    three = MoleculeNoise(0, [7], [3])  # as many pairs as atoms
    assert not (three.of_pairs().normal(4) == three.normal(4)).any()


def test_given_bonds_stay_and_others_of_known_atoms_are_found_from_nothing():
    counts = [5, 4]
    layout, told = AtomLayout.from_counts(counts), []
    place = torch.arange(9) - layout.starts[layout.index]
    known, given = among(place < 3, layout), among(place < 2, layout)
    kinds = torch.full((len(given),), 2)
    levels = torch.where(place < 3, 0.0, torch.inf)
    start = Start(torch.randn(9, 5), levels, Bonds(kinds, given))

    def listening(seen):
        told.append(seen.pairs[:, -5:])
        return denoiser(seen)

    result = run(counts, "staircase", start=start, denoiser=listening)
    assert torch.equal(result.states[place < 3], start.clean[place < 3])
    assert (result.bonds[given] == torch.eye(5)[2]).all()
    torch.testing.assert_close(result.bonds[known & ~given], PRIOR.expand(8, 5))
    assert (result.bonds[~known].amax(1) > 0.99).all()
    for rows in told:
        assert (rows[given] == torch.eye(5)[2]).all() and (rows[known & ~given] == 0.2).all()


def test_a_molecules_bonds_do_not_depend_on_others():
    """Two cohorts side by side, and each molecule alone; another seed makes other ones."""
    counts = [3, 4, 1, 6]

    def cohort(rows, seed=5):
        layout = AtomLayout.from_counts([counts[row] for row in rows])
        noise = MoleculeNoise(seed, rows, layout.counts.tolist())
        return Cohort(process(), layout, 2, noise, "random-coin", steps=8)

    def bonds(*cohorts):
        waiting = iter(cohorts)
        done = run_cohorts(process(), denoiser, lambda counts: next(waiting, None), 0.01)
        sizes = [(one.layout.counts * (one.layout.counts - 1)).tolist() for one in cohorts]
        return [
            part
            for one, n in zip(done, sizes, strict=True)
            for part in one.bonds_hat.split(n)
        ]  # fmt: skip

    together = bonds(cohort([0, 1]), cohort([2, 3]))
    for row in range(4):
        assert torch.equal(bonds(cohort([row]))[0], together[row])
    assert not torch.equal(bonds(cohort([3], seed=6))[0], together[3])

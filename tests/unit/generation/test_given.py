"""Generation that starts from given atoms: they come back as they are, in their frame."""

from __future__ import annotations

import numpy as np
import pytest

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.given import Given
from deepchem_ead.molnet.sample import load_sample

TABLE, _ = load_sample()


def molecules(rows, shift=0.0):
    numbers, positions = zip(*(TABLE.numbers_and_positions(row) for row in rows), strict=True)
    return MoleculeBatch.from_arrays(numbers, [x + shift for x in positions])


def part_of(row, n, shift=50.0):
    """The first atoms of a molecule, far from the origin."""
    numbers, positions = TABLE.numbers_and_positions(row)
    return MoleculeBatch.from_arrays([numbers[:n]], [positions[:n] + shift])


def model(**options):
    options = {"variable_size": False, "denoiser": "attention", "n_layers": 1, "n_features": 32,
               "position_target": "residual", "frame": "preconditioned", "channel_levels": True,
               **options}  # fmt: skip
    return EADModel(preset="qm9-small", **options)


MODEL = model()


def generate(n, given, made=MODEL, **options):
    return made.generate(n, steps=5, seed=1, progress=False, start=given, **options)


@pytest.mark.parametrize("schedule", ["synchronous", "adaptive", "staircase"])
def test_given_atoms_come_first_and_to_the_last_bit(schedule):
    part = part_of(1200, 5)
    found = generate(3, Given(part), schedule=schedule, n_atoms=[9, 5, 14], stepper="heun")
    assert found.counts.tolist() == [9, 5, 14]
    for numbers, positions in zip(found.numbers, found.positions, strict=True):
        assert np.array_equal(numbers[:5], part.atomic_numbers)
        assert np.array_equal(positions[:5], part.coordinates)
    assert found.info["given"] == 5 and found.info["task"].startswith("Edit")
    others = np.concatenate([x[5:] for x in found.positions])
    assert np.isfinite(others).all() and not (others == 0).any()


def test_one_part_for_each_molecule_in_any_batch():
    parts = molecules([3, 900, 1500], shift=20.0)
    sizes = parts.counts + [1, 0, 4]
    together = generate(3, Given(parts), n_atoms=sizes)
    for k in range(3):
        n = parts.counts[k]
        assert np.array_equal(together.positions[k][:n], parts.positions[k])
        assert np.array_equal(together.numbers[k][:n], parts.numbers[k])
    one_by_one = generate(3, Given(parts), n_atoms=sizes, batch_size=1)
    assert np.array_equal(one_by_one.coordinates, together.coordinates)


def test_how_many_atoms_join_a_part_can_be_open():
    part = part_of(700, 4)
    found = generate(4, Given(part), model(variable_size=True, frame="quotient"))
    for numbers, positions in zip(found.numbers, found.positions, strict=True):
        assert np.array_equal(numbers[:4], part.atomic_numbers)
        assert np.array_equal(positions[:4], part.coordinates)


def test_conformers_and_variations():
    molecule = molecules([1000], shift=9.0)
    n = int(molecule.counts[0])
    conformers = generate(2, Given(molecule, "conformer"), n_atoms=n)
    for numbers, positions in zip(conformers.numbers, conformers.positions, strict=True):
        assert np.array_equal(numbers, molecule.atomic_numbers)
        assert np.abs(positions.mean(0)).max() < 1e-4  # nothing says where
    near = generate(1, Given(molecule, "variation:level=5"), n_atoms=n)
    assert np.array_equal(near.atomic_numbers, molecule.atomic_numbers)
    moved = near.coordinates - (molecule.coordinates - molecule.coordinates.mean(0))
    assert 0 < np.abs(moved).max() < 0.1


def test_clear_errors():
    part = part_of(1200, 5)
    with pytest.raises(ValueError, match="molecule 1 is to have 4 atoms, but 5 are given"):
        generate(2, Given(part), n_atoms=[6, 4])
    with pytest.raises(ValueError, match="2 molecules are given .* and 3 are to be"):
        generate(3, Given(molecules([1, 2])), n_atoms=29)
    sulfur = MoleculeBatch.from_arrays([[16, 1]], [np.eye(3)[:2]])
    with pytest.raises(
        MoleculeError,
        match="given molecule 0 .* of the kind S; .* only H,C,N,O,F",
    ):
        generate(1, Given(sulfur), n_atoms=4)
    nowhere = MoleculeBatch.from_arrays([[6, 1]], [np.full((2, 3), np.nan)])
    with pytest.raises(MoleculeError, match="coordinates that are not finite"):
        generate(1, Given(nowhere), n_atoms=4)
    with pytest.raises(ValueError, match="task must be one of"):
        Given(part, "grow")
    with pytest.raises(ValueError, match=r"start is a MoleculeBatch, .* edit\(mol, keep=...\)"):
        generate(1, part, n_atoms=9)

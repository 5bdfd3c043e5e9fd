"""Bond orders from distances: EDM's answers, edges, invariances, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_golden import NAMES, golden
from rdkit import Chem

from deepchem_ead.chem.bond_tables import VOCABULARIES
from deepchem_ead.chem.bonds import bond_orders, distances, molecule_from_orders, stable_atoms
from deepchem_ead.errors import MoleculeError


def order_at(first: int, second: int, length: float, **options) -> int:
    positions = np.array([[0, 0, 0], [length, 0, 0]], dtype=np.float32)
    return int(bond_orders([first, second], positions, **options)[0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_orders_equal_the_reference(name):
    data = golden(name)
    single_only = data.vocabulary == "geom"  # what EDM builds for validity there
    for i, expected in enumerate(data.orders):
        numbers, positions = data.batch.atoms(i)
        orders = bond_orders(numbers, positions, data.vocabulary, single_only=single_only)
        assert np.array_equal(orders[np.tril_indices(len(numbers), -1)], expected), i
        assert np.array_equal(orders, orders.T)


@pytest.mark.parametrize(
    ("length", "order"),
    [(1.64, 0), (1.6399, 1), (1.39, 1), (1.3899, 2), (1.23, 2), (1.2299, 3), (0.0, 3)],
)
def test_carbon_thresholds_are_strict(length, order):
    assert order_at(6, 6, length) == order


def test_geom_looks_pairs_up_with_the_lighter_element_first():
    # EDM lists the double C-S bond under carbon only; P-S under both.
    assert order_at(6, 16, 1.6, vocabulary="geom") == 2
    assert order_at(16, 6, 1.6, vocabulary="geom") == 2
    assert order_at(15, 16, 1.9, vocabulary="geom") == 2
    # No typical length, no bond: Al is in the vocabulary, but not in the tables.
    assert order_at(13, 13, 0.5, vocabulary="geom") == 0


def test_single_only_keeps_the_graph():
    assert order_at(7, 7, 1.1) == 3
    assert order_at(7, 7, 1.1, single_only=True) == 1
    assert order_at(7, 7, 2.0, single_only=True) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_atoms_without_finite_coordinates_get_no_bonds(bad):
    positions = np.array([[0, 0, 0], [bad, 0, 0], [0, 0, 1.09]], dtype=np.float32)
    orders = bond_orders([6, 6, 1], positions)
    assert orders[1].sum() == 0
    assert orders[0, 2] == 1


def test_two_atoms_at_infinity_are_not_bonded():
    assert bond_orders([1, 1], np.full((2, 3), np.inf)).sum() == 0


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_orders_are_invariant(data):
    """Rotation, reflection, a shift by 1000 A and a permutation leave the orders as they are."""
    batch = golden("clean").batch
    numbers, positions = batch.atoms(data.draw(st.integers(0, len(batch) - 1)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(numbers))
    moved = positions.astype(np.float64) @ rotation.T + 1000.0
    before = bond_orders(numbers, positions)
    # A distance within rounding of a threshold may legitimately move across it.
    unsure = bond_orders(numbers, positions * (1 + 1e-6)) != bond_orders(
        numbers, positions * (1 - 1e-6)
    )
    after = bond_orders(numbers[order], moved[order])
    differs = after != before[np.ix_(order, order)]
    assert not (differs & ~unsure[np.ix_(order, order)]).any()


def test_distances_far_from_the_origin():
    positions = golden("clean").batch.positions[100].astype(np.float64)
    assert np.allclose(distances(positions + 1e6), distances(positions), atol=1e-6)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_unknown_elements_are_named(vocabulary):
    with pytest.raises(MoleculeError, match="Se"):
        bond_orders([34, 1], np.zeros((2, 3)), vocabulary)
    with pytest.raises(MoleculeError, match="Z=0"):
        bond_orders([0, 1], np.zeros((2, 3)), vocabulary)


def test_the_remedy_for_drug_like_elements_is_the_other_vocabulary():
    with pytest.raises(MoleculeError, match='S is not.*vocabulary="geom"'):
        bond_orders([16, 1], np.zeros((2, 3)))


def test_bad_arguments():
    with pytest.raises(ValueError, match="qm9 or geom"):
        bond_orders([1, 1], np.zeros((2, 3)), "drugs")
    with pytest.raises(MoleculeError, match="do not fit"):
        bond_orders([1, 1, 1], np.zeros((2, 3)))


def test_empty_and_single():
    assert bond_orders([], []).shape == (0, 0)
    assert bond_orders([6], np.zeros((1, 3))).tolist() == [[0]]


def test_stable_atoms_know_several_valences():
    # PH3 and PF5 are both allowed, PH4 is not.
    star = np.zeros((6, 6), dtype=np.int8)
    star[0, 1:] = star[1:, 0] = 1
    assert stable_atoms([15, 1, 1, 1], star[:4, :4]).all()
    assert stable_atoms([15, 9, 9, 9, 9, 9], star).all()
    assert stable_atoms([15, 1, 1, 1, 1], star[:5, :5]).tolist() == [False] + 4 * [True]


def test_molecule_from_orders():
    positions = np.array([[0, 0, -1.066], [0, 0, 0], [0, 0, 1.156]])
    numbers = [1, 6, 7]
    molecule = molecule_from_orders(numbers, bond_orders(numbers, positions), positions)
    Chem.SanitizeMol(molecule)
    assert Chem.MolToSmiles(molecule) == "[H]C#N"
    assert np.allclose(molecule.GetConformer().GetPositions(), positions)

"""Bonds by joint probability: what fits all valences, the likeliest first; given ones stay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.chem.bond_kinds import bond_kinds
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.generator.likeliest_bonds import likeliest_bonds, misfits


def graph_of(smiles):
    """Atomic numbers, charges, all pairs of atoms and the true kind of each."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(mol, clearAromaticFlags=True)
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    charges = np.array([a.GetFormalCharge() for a in mol.GetAtoms()])
    n = len(numbers)
    bonds = np.array(
        [[b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondType())] for b in mol.GetBonds()]
    )
    graph = MolecularGraph(charges.astype(np.int8), bonds.astype(np.int32))
    kinds = bond_kinds(numbers, np.array([0, n]), MolecularGraphs.join([graph], np.array([n])))
    ends = np.array(list(itertools.combinations(range(n), 2)))
    place = {pair: k for k, pair in enumerate(map(tuple, ends.tolist()))}
    true = np.zeros(len(ends), np.int64)
    for (i, j, _), kind in zip(bonds.tolist(), kinds.tolist(), strict=True):
        true[place[min(i, j), max(i, j)]] = kind
    return numbers, charges, ends, true


def log_probabilities(true, sure=0.97):
    p = np.full((len(true), 5), (1 - sure) / 4)
    p[np.arange(len(true)), true] = sure
    return np.log(p)


SMILES = [
    "CC(=O)Nc1ccccc1", "c1cc[nH]c1", "C[N+](=O)[O-]", "N#CC1=CC=CO1", "[NH3+]CC([O-])=O",
    "CS(=O)(=O)c1ccncc1", "FC(F)(F)c1nnn[nH]1",
]  # fmt: skip


@pytest.mark.parametrize("smiles", SMILES)
def test_true_bonds_fit_and_are_left_alone(smiles):
    numbers, charges, ends, true = graph_of(smiles)
    assert not misfits(numbers, charges, ends, true).any()
    assert np.array_equal(likeliest_bonds(numbers, charges, ends, log_probabilities(true)), true)


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("seed", range(3))
def test_a_bond_that_is_doubtful_is_corrected_by_the_valences(smiles, seed):
    """One pair looks a little more like another kind than like its own."""
    numbers, charges, ends, true = graph_of(smiles)
    rng = np.random.default_rng(seed)
    log_p = log_probabilities(true)
    pair = rng.choice(np.flatnonzero(true > 0))
    other = rng.choice([kind for kind in range(5) if kind != true[pair]])
    log_p[pair, other] = np.log(0.55)
    log_p[pair, true[pair]] = np.log(0.42)
    found = likeliest_bonds(numbers, charges, ends, log_p)
    assert not misfits(numbers, charges, ends, found).any()
    taken = log_p[np.arange(len(true)), found].sum()
    assert taken >= log_p[np.arange(len(true)), true].sum() - 1e-9  # or something likelier fits
    assert (log_p.argmax(1) != true).sum() == 1


def test_the_likeliest_of_all_that_fit_is_found():
    """Formamide by exhaustion over the bonds of its heavy atoms."""
    numbers, charges, ends, true = graph_of("NC=O")
    rng = np.random.default_rng(0)
    heavy = np.flatnonzero((numbers[ends] > 1).all(1))
    for _ in range(20):
        log_p = log_probabilities(true, 0.999999)
        log_p[heavy] = np.log(0.99 * rng.dirichlet(np.ones(5), len(heavy)) + 0.002)
        best, best_p = None, -np.inf
        for kinds in itertools.product(range(5), repeat=len(heavy)):
            trial = true.copy()
            trial[heavy] = kinds
            p = log_p[np.arange(len(trial)), trial].sum()
            if p > best_p and not misfits(numbers, charges, ends, trial).any():
                best, best_p = trial, p
        assert np.array_equal(likeliest_bonds(numbers, charges, ends, log_p), best)


def test_given_bonds_stay_even_if_nothing_fits():
    numbers, charges, ends, true = graph_of("CC=O")
    given = true.copy()
    given[np.flatnonzero(true == 2)] = 3  # a carbon of five bonds
    log_p = np.where(np.arange(5) == given[:, None], 0.0, -np.inf)
    assert np.array_equal(likeliest_bonds(numbers, charges, ends, log_p), given)


def test_what_can_not_fit_is_the_likeliest_of_each_pair():
    numbers, charges, ends = np.array([6, 1]), np.zeros(2, int), np.array([[0, 1]])
    log_p = np.log([[0.2, 0.5, 0.1, 0.1, 0.1]])
    assert likeliest_bonds(numbers, charges, ends, log_p).tolist() == [1]


def test_no_kekule_structure_is_searched_for_in_what_has_none(monkeypatch):
    """All pairs of 24 carbon atoms aromatic, as a network may say that has hardly learned."""
    found = "deepchem_ead.generator.likeliest_bonds.kekule_orders"
    monkeypatch.setattr(found, lambda *_: pytest.fail("searched"))
    ends = np.array(list(itertools.combinations(range(24), 2)))
    kinds = np.full(len(ends), 4)
    wrong = misfits(np.full(24, 6), np.zeros(24, int), ends, kinds)
    assert wrong.all()

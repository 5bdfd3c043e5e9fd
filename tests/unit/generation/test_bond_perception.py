"""Bonds and charges of bare geometries, from a model."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from joint_data import joint_model, sample_molecules
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch, perceive_bonds
from deepchem_ead.chem.bond_columns import bond_columns
from deepchem_ead.chem.bond_kinds import bond_kinds
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.lewis import VALENCE_STATES
from deepchem_ead.diffusion import AtomLayout, bonds_of_pairs
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.bond_perception import find_bonds
from deepchem_ead.generator.graphs import decoded_graphs
from deepchem_ead.generator.likeliest_charges import likeliest_structure

MODEL = joint_model()

IONS = ["C[NH3+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "C[N+]#[C-]", "[NH3+]CC(=O)[O-]", "CCO",
        "C[N+](C)(C)C", "c1cc[nH]c1"]  # fmt: skip


class Knowing:
    """A stand-in for a model that has learned: sure of the bonds, it notes what it is told."""

    config, encoding = MODEL.config, MODEL.encoding

    def __init__(self, known: MoleculeBatch, certainty: float = 0.99999) -> None:
        self.known, self.told, self.certainty = known, [], certainty

    def generate(self, n, start, n_atoms, **_):
        given = start.molecules
        self.told.append(given.graphs.formal_charges.tolist())
        assert given.graphs.bonds_given.all() and not len(given.graphs.bonds)
        names = [tuple(x.ravel()) for x in self.known.positions]
        molecules = self.known[[names.index(tuple(x.ravel())) for x in given.positions]]
        layout = AtomLayout.from_counts(molecules.counts)
        kinds = bond_kinds(molecules.atomic_numbers, molecules.offsets, molecules.graphs)
        columns = np.concatenate(
            [c[:k] for c, k in zip(bond_columns(molecules, kinds=kinds), n_atoms, strict=True)]
        )
        kinds = bonds_of_pairs(torch.from_numpy(columns.astype(np.int64)), layout)
        p = torch.full((len(kinds), 5), (1 - self.certainty) / 4)
        p[torch.arange(len(kinds)), kinds] = self.certainty
        graphs = decoded_graphs(
            given.atomic_numbers.astype(np.int64), given.formal_charges().astype(np.int64),
            torch.ones(layout.n_nodes, dtype=torch.bool), layout, p,
            totals=start.totals(np.arange(n)),
        )  # fmt: skip
        return replace(given, graphs=graphs)


def ions(*smiles: str) -> MoleculeBatch:
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in smiles]
    for mol in mols:
        AllChem.EmbedMolecule(mol, randomSeed=1)
    return MoleculeBatch.from_rdkit(mols)


def bare(molecules: MoleculeBatch, charges=None) -> MoleculeBatch:
    return MoleculeBatch.from_arrays(molecules.numbers, molecules.positions, charges)


def test_charges_follow_from_the_bonds_if_nobody_says_them():
    known = ions(*IONS)
    model = Knowing(known)
    found = find_bonds(model, bare(known), None, 3, False)
    assert found.smiles == known.smiles and np.array_equal(found.charges, known.charges)
    assert np.array_equal(found.graphs.formal_charges, known.graphs.formal_charges)
    # Those whose charge was not zero were shown again with it.
    assert len(model.told) == 2 and len(model.told[1]) < len(model.told[0]) and any(model.told[1])


def test_known_charges_are_told_at_once_and_have_to_fit():
    known = ions(*IONS)
    model = Knowing(known)
    found = find_bonds(model, bare(known), known.charges, 3, False)
    assert found.smiles == known.smiles and len(model.told) == 1
    wrong = known.charges - (np.arange(8) == 5)
    message = r"1 of 8 molecules get no bonds, molecule 5.* -1 it has an odd .* the charge is \+0"
    with pytest.warns(UserWarning, match=message):
        found = find_bonds(model, bare(known), wrong, 3, False)
    assert found.graphs.bonds_given.sum() == 7 and found.charges[5] == -1
    with pytest.warns(UserWarning, match=r"no likely bonds .* the charge \+2; .* is \+0"):
        find_bonds(Knowing(known[[5]]), bare(known[[5]]), 2, 3, False)


@pytest.mark.parametrize("smiles", [
    "[NH3+]CC(=O)[O-]", "NCC(=O)O", "C[N+](=O)[O-]", "O=c1cccc[nH]1", "Oc1ccccn1", "C[O-]",
    "CC(=O)CC(C)=O", "CC(O)=CC(C)=O", "NC(=[NH2+])N", "[O-]c1ccccc1", "c1cc[nH+]cc1", "[NH4+]",
    "[C-]#[O+]", "C[OH2+]", "[CH2-]C#N", "O=[N+]([O-])c1ccccc1",
])  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_ions_zwitterions_and_tautomers_as_their_hydrogens_stand(smiles, known):
    source = ions(smiles)
    charges = source.charges if known else None
    found = find_bonds(Knowing(source), bare(source), charges, 3, False)
    assert found.charges == source.charges
    assert _skeleton(found) == _skeleton(source)


def _skeleton(molecules: MoleculeBatch) -> str:
    """Which hydrogens are where, whatever the resonance structure: InChI's main layers."""
    return Chem.MolToInchi(molecules.to_rdkit()[0], options="/SNon /FixedH")


@pytest.mark.parametrize(
    ("total", "charges", "orders"), [(None, [0, 0], [2]), (0, [0, 0], [2]), (-2, [-1, -1], [1])]
)
def test_the_total_charge_chooses_between_structures(total, charges, orders):
    """Peroxide or oxygen: a pair of atoms whose bond the model leaves open."""
    log_p = np.log([[0.01, 0.45, 0.52, 0.01, 0.01]])
    pair = np.array([[0, 1]])
    found = likeliest_structure(np.array([8, 8]), np.zeros(2, int), pair, log_p, total)
    assert found.charges.tolist() == charges and found.orders.tolist() == orders
    assert likeliest_structure(np.array([8, 8]), np.zeros(2, int), pair, log_p, 1) is None


def test_the_joint_structure_is_the_best_of_all():
    """Against all assignments of three pairs."""
    rng = np.random.default_rng(0)
    numbers, pairs = np.array([7, 7, 8]), np.array([[0, 1], [0, 2], [1, 2]])
    for total in (-1, 0, 1, None):
        log_p = np.log(rng.dirichlet(np.full(5, 0.5), 3).clip(1e-3))
        log_p[:, 4] = -np.inf  # no aromatic bonds
        found = likeliest_structure(numbers, np.zeros(3, int), pairs, log_p, total)
        best = min(_all_structures(numbers, pairs, log_p, total), default=None)
        assert (found is None) == (best is None)
        if best is not None:
            assert (found.orders.tolist(), found.charges.tolist()) == best[1:]


def _all_structures(numbers, pairs, log_p, total):
    for orders in itertools.product(range(4), repeat=len(pairs)):
        sums = np.zeros(len(numbers), int)
        np.add.at(sums, pairs.ravel(), np.repeat(orders, 2))
        states = [
            {v: (q, cost) for q, v, cost in VALENCE_STATES[symbol_of(z)]}.get(s)
            for z, s in zip(numbers, sums, strict=True)
        ]
        if None in states or total not in (None, sum(q for q, _ in states)):
            continue
        charges = [q for q, _ in states]
        loss = sum(log_p[k].max() - log_p[k, order] for k, order in enumerate(orders))
        loss += 3 * sum(cost for _, cost in states) + 0.11 * sum(q > 0 for q in charges)
        loss += 0.09 * sum(q < 0 for q in charges)
        yield loss + (abs(sum(charges)) if total is None else 0), list(orders), charges


def test_a_model_gives_bonds_and_leaves_the_rest_as_it_is():
    source = sample_molecules()[10:14]
    found = perceive_bonds(source, model=MODEL)
    assert np.array_equal(found.coordinates, source.coordinates)
    assert np.array_equal(found.atomic_numbers, source.atomic_numbers)
    assert found.ids == source.ids and found.graphs.bonds_given.shape == (4,)
    mols = source.to_rdkit()
    assert np.array_equal(perceive_bonds(mols, model=MODEL).graphs.bonds, found.graphs.bonds)
    assert len(perceive_bonds(source[:0], model=MODEL)) == 0


@pytest.mark.parametrize(
    ("mols", "options", "message"),
    [
        (sample_molecules()[:1], {"model": "qm9-1"}, "not learned .* 'perceive' or bonds"),
        (sample_molecules()[:1], {"model": MODEL, "steps": 0}, "steps must be at least 1"),
        (sample_molecules()[:1], {"model": MODEL, "charges": [0, 1]}, "expected"),
        (ions("CS"), {"model": MODEL}, "given molecule 0 holds an atom of the kind S"),
        ("a.xyz", {"model": MODEL}, r"'a.xyz' is a str; give RDKit .* MoleculeBatch.read"),
        (None, {"model": MODEL}, "None is a NoneType; give RDKit molecules"),
        ([ions("C[NH3+]")], {"model": MODEL}, "molecule 0 is a MoleculeBatch; give an RDKit"),
        (
            MoleculeBatch.from_arrays([[]], [np.zeros((0, 3))]),
            {"model": MODEL},
            "molecule 0 has no atoms",
        ),
    ],
)
def test_what_cannot_be_perceived_is_refused(mols, options, message):
    with pytest.raises((ValueError, MoleculeError), match=message):
        perceive_bonds(mols, **options)

"""Bonds and charges of bare geometries, from a model."""

from __future__ import annotations

import numpy as np
import pytest
from joint_data import joint_model, sample_molecules
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch, perceive_bonds
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.bond_perception import find_bonds

MODEL = joint_model()

IONS = ["C[NH3+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "C[N+]#[C-]", "[NH3+]CC(=O)[O-]", "CCO",
        "C[N+](C)(C)C", "c1cc[nH]c1"]  # fmt: skip


class Knowing:
    """A stand-in for a model that has learned: it knows the bonds, and notes what it is told."""

    config, encoding = MODEL.config, MODEL.encoding

    def __init__(self, known: MoleculeBatch) -> None:
        self.known, self.told = known, []

    def generate(self, n, start, n_atoms, **_):
        given = start.molecules
        self.told.append(given.graphs.formal_charges.tolist())
        assert given.graphs.bonds_given.all() and not len(given.graphs.bonds)
        names = [tuple(x.ravel()) for x in self.known.positions]
        return self.known[[names.index(tuple(x.ravel())) for x in given.positions]]


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
    with pytest.warns(UserWarning, match=r"1 of 8 molecules get no bonds, molecule 5.*charge \+0"):
        found = find_bonds(model, bare(known), known.charges - (np.arange(8) == 5), 3, False)
    assert found.graphs.bonds_given.sum() == 7


def test_a_model_gives_bonds_and_leaves_the_rest_as_it_is():
    source = sample_molecules()[10:30]
    found = perceive_bonds(source, model=MODEL)
    assert np.array_equal(found.coordinates, source.coordinates)
    assert np.array_equal(found.atomic_numbers, source.atomic_numbers)
    assert found.ids == source.ids and found.graphs.bonds_given.shape == (20,)
    mols = source.to_rdkit()
    assert np.array_equal(perceive_bonds(mols, model=MODEL).graphs.bonds, found.graphs.bonds)
    assert len(perceive_bonds(source[:0], model=MODEL)) == 0


@pytest.mark.parametrize(
    ("mols", "options", "message"),
    [
        (sample_molecules()[:1], {}, r"no weights that perceive bonds .* pass model="),
        (sample_molecules()[:1], {"model": "qm9"}, "not learned .* 'perceive' or bonds"),
        (sample_molecules()[:1], {"model": MODEL, "steps": 0}, "steps must be at least 1"),
        (sample_molecules()[:1], {"model": MODEL, "charges": [0, 1]}, "expected"),
        (ions("CS"), {"model": MODEL}, "given molecule 0 holds an atom of the kind S"),
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

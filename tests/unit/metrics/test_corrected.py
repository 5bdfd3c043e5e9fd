"""The corrected protocol of GEOM-Drugs: own bonds, aromatic ones counted, states of the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead import MoleculeBatch
from deepchem_ead.chem.perception import state_of
from deepchem_ead.commands.jobs.evaluation import metrics_table
from deepchem_ead.feat.embedding import embed
from deepchem_ead.metrics import corrected, evaluate_molecules
from deepchem_ead.molnet.drugs3d_table import Drugs3DTable


def embedded(smiles):
    return embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), 0)


def batch_of(*smiles):
    return MoleculeBatch.from_rdkit([embedded(text) for text in smiles])


def with_bonds(batch, change):
    """The same molecule, its bonds (b, 3) changed."""
    graphs = batch.graphs
    bonds = change(graphs.bonds.copy())
    offsets = np.array([0, len(bonds)])
    unspecified = np.zeros(len(bonds), bool)
    changed = replace(graphs, bonds=bonds, bond_offsets=offsets, unspecified=unspecified)
    return replace(batch, graphs=changed, _smiles=None, _reasons=None)


def row_of(batch, **options):
    report = evaluate_molecules(batch, "corrected", **options)
    return report.per_molecule.iloc[0]


@pytest.mark.parametrize(
    "smiles",
    [
        "c1ccsc1", "C[N+](=O)[O-]", "C[NH3+]", "CC(=O)[O-]", "c1cc[nH]c1", "c1ccc2ccccc2c1",
        "CS(=O)(=O)N", "COP(=O)(OC)OC", "Clc1ccc(Br)cc1", "[O-][n+]1ccccc1", "C[Si](C)(C)C",
        "CB(O)O", "CN=[N+]=[N-]", "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    ],
)  # fmt: skip
def test_molecules_that_the_data_have_are_stable_and_valid(smiles):
    row = row_of(batch_of(smiles))
    assert row.stable and row.valid and row.n_stable == row.n_atoms
    wanted = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert Chem.CanonSmiles(row.smiles) == Chem.CanonSmiles(Chem.MolToSmiles(wanted))


def test_own_bonds_are_judged_whatever_the_distances_are():
    methanol = batch_of("CO")

    def double(bonds):
        bonds[0, 2] = 2
        return bonds

    assert row_of(methanol).stable
    row = row_of(with_bonds(methanol, double))
    assert not row.stable and not row.valid and row.n_atoms - row.n_stable == 2
    assert row.smiles is None and row.connected
    far = replace(methanol, coordinates=3 * methanol.coordinates, _smiles=None, _reasons=None)
    assert row_of(far).stable and row_of(far).valid
    assert not evaluate_molecules(far).molecule_stability


def test_a_molecule_in_two_pieces_is_stable_and_not_valid():
    ethane = batch_of("CC")
    bond = ethane.graphs.bonds
    heavy = (ethane.atomic_numbers[bond[:, :2]] == 6).all(1)
    row = row_of(with_bonds(ethane, lambda bonds: bonds[~heavy]))
    assert row.n_fragments == 2 and not row.connected and not row.valid and not row.stable
    waters = batch_of("O.O")
    row = row_of(waters)
    assert row.stable and not row.valid and row.n_fragments == 2


def test_radicals_are_accepted_by_rdkit_and_not_by_the_table():
    row = row_of(with_bonds(batch_of("C"), lambda bonds: bonds[:3]))
    assert not row.stable and not row.valid
    methyl = Chem.AddHs(Chem.MolFromSmiles("[CH3]"))
    row = row_of(MoleculeBatch.from_rdkit([embed(methyl, 0)]))
    assert not row.stable and row.valid


def test_aromatic_bonds_are_counted_where_rdkit_accepts_the_molecule():
    pyrrole = batch_of("c1cc[nH]c1")
    mol = pyrrole.to_rdkit()[0]
    kind, state = state_of(mol.GetAtomWithIdx(3))
    assert (kind, state) == (("N", 0), (2, 1)) and state in corrected.GEOM_STATES[kind]


def test_without_bonds_those_of_the_closed_shell_structure_are_judged():
    benzene = replace(batch_of("c1ccccc1"), graphs=None, _smiles=None, _reasons=None)
    row = row_of(benzene)
    assert row.stable and row.valid
    ring = replace(benzene, coordinates=3 * benzene.coordinates)
    row = row_of(ring)
    assert not row.valid and row.n_stable == 0


def test_coordinates_that_are_not_finite_make_a_molecule_invalid():
    batch = batch_of("CCO")
    x = batch.coordinates.copy()
    x[2] = np.nan
    row = row_of(replace(batch, coordinates=x, _smiles=None, _reasons=None))
    assert not row.valid and not row.stable and row.n_stable == row.n_atoms - 1


def test_a_molecule_that_is_missing_takes_no_bonds_from_the_others():
    mol = Chem.RWMol(embedded("CO"))
    mol.GetBondBetweenAtoms(0, 1).SetBondType(Chem.BondType.DOUBLE)
    good = embedded("CC")
    rows = evaluate_molecules([None, mol, good, None], "corrected").per_molecule
    assert rows.valid.tolist() == [False, False, True, False]
    assert rows.stable.tolist() == [False, False, True, False]


def test_drug_like_molecules_are_nearly_all_stable():
    molecules = Drugs3DTable.sample().select(np.arange(0, 400, 2)).to_batch()
    report = evaluate_molecules(molecules, "corrected", progress=False)
    assert report.validity == 1.0 and report.molecule_stability >= 0.99
    spread = report.deviations(5)
    parts = report.per_molecule["stable"].to_numpy().reshape(5, 40).mean(1)
    assert spread["molecule_stability"] == pytest.approx(parts.std())
    assert spread["validity"] == 0.0
    with pytest.raises(ValueError, match="300 parts of 200 molecules"):
        report.deviations(300)
    own, below = metrics_table(report, "mine").splitlines()[-2:]
    assert "mine" in own and f"{100 * spread['molecule_stability']:.2f}" in below


def test_a_reference_with_other_bonds_at_the_same_places_is_another():
    formic = batch_of("OC=O")

    def swapped(bonds):
        orders = bonds[:, 2].copy()
        carbon = formic.atomic_numbers[bonds[:, :2]]
        heavy = np.flatnonzero((carbon > 1).all(1))
        bonds[heavy, 2] = orders[heavy[::-1]]
        return bonds

    other = with_bonds(formic, swapped)
    assert evaluate_molecules(formic, "corrected", reference=formic).novelty == 0.0
    assert evaluate_molecules(formic, "corrected", reference=other).novelty == 1.0

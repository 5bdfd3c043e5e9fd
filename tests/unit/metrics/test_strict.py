"""The strict protocol: charges, radicals, fragments, and real molecules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_golden import edge_batch, golden
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem.lewis import VALENCE_STATES, lewis_structure
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.perception import build, state_allowed
from deepchem_ead.metrics import evaluate_molecules, strict


def embedded(smiles: str) -> Chem.Mol:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(molecule, randomSeed=7) == 0
    return molecule


def structure(smiles: str, charge: int | None = None):
    """Sanitised Lewis structure found on the bare bond graph of a molecule."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    n = molecule.GetNumAtoms()
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    bonded = Chem.GetAdjacencyMatrix(molecule).astype(bool)
    charge = Chem.GetFormalCharge(molecule) if charge is None else charge
    found = lewis_structure(numbers, bonded, np.zeros((n, n), np.int8), np.ones((n, n)), charge)
    return None if found is None else build(numbers, *found)


@pytest.mark.parametrize(
    ("name", "charge", "smiles"),
    [
        ("water", 0, "[H]O[H]"),
        ("methane_ok", 0, "[H]C([H])([H])[H]"),
        ("ammonium", 1, "[H][N+]([H])([H])[H]"),
        ("ammonium", 0, None),
        ("CO_1.128", 0, "[C-]#[O+]"),
        ("CO_1.128", 1, None),
        ("N2_1.098", 0, "N#N"),
        ("methyl_radical", 0, None),
        ("methyl_radical", 1, "[H][C+]([H])[H]"),
        ("water", 1, None),
        ("water_plus_methane_20A", 0, None),
        ("all_atoms_10A_apart", 0, None),
        ("four_H_same_place", 0, None),
        ("CC_1.6399", 0, None),
        ("H_single", 0, None),
        ("zero_atoms", 0, None),
        ("methane_all_nan", 0, None),
        ("methane_nan_one_atom", 0, None),
        ("methane_inf", 0, None),
    ],
)
def test_small_cases(name, charge, smiles):
    row = evaluate_molecules(edge_batch(name, charge), protocol="strict").per_molecule.iloc[0]
    assert row.smiles == smiles
    assert row.valid == row.stable == (smiles is not None)


def test_fluoride_alone():
    score = strict.score(np.array([9]), np.zeros((1, 3)), charge=-1)
    assert score.valid and score.smiles == "[F-]"


def test_qm9_passes_and_its_zwitterions_do():
    rows = evaluate_molecules(golden("clean").batch, protocol="strict").per_molecule
    assert rows.valid.mean() == pytest.approx(0.995)
    found = [smiles for smiles in rows.smiles if smiles and "[N+]([H])([H])[H]" in smiles]
    assert found and all("[O-]" in smiles for smiles in found)


def test_pairs_are_refused_for_being_two():
    result = evaluate_molecules(golden("pairs").batch, protocol="strict")
    assert result.validity == 0.0 and result.atom_stability > 0.99


def test_drug_like_molecules_pass():
    # What fails are organic cations whose charge the set does not give.
    result = evaluate_molecules(golden("geom_like").batch, "strict", "geom")
    assert result.validity > 0.97


@pytest.mark.parametrize(
    "smiles",
    [
        "c1ccccc1", "c1ccsc1", "CS", "CS(C)(=O)=O", "CS(=O)(=O)O", "OP(=O)(O)O", "CN=[N+]=[N-]",
        "C[N+](=O)[O-]", "[C-]#[N+]C", "O=c1cc[nH]cc1", "C[n+]1ccccc1", "CC(=O)[O-]",
        "[NH3+]CC(=O)[O-]", "C[Si](C)(C)C", "FC(F)(F)Br", "CI", "C[N+](C)(C)C", "OB(O)c1ccccc1",
    ],
)  # fmt: skip
def test_embedded_molecules_pass_with_their_charge(smiles):
    molecule = embedded(smiles)
    row = evaluate_molecules([molecule], "strict", "geom").per_molecule.iloc[0]
    assert row.valid
    assert row.smiles == Chem.MolToSmiles(molecule, isomericSmiles=False)


@pytest.mark.parametrize(
    "smiles",
    [
        "[O-][N+](=O)c1ccc(CCc2ccc([N+](=O)[O-])cc2)cc1", "C[S+](C)[CH2-]", "[CH2-][N+]#N",
        "O=[N+]([O-])[O-]", "[C-]#[N+]c1ccccc1", "C[N+]#[C-]", "OCl(=O)(=O)=O", "F[B-](F)(F)F",
        "C[P+](C)(C)C", "FS(F)(F)(F)(F)F", "O=C[As](C)C", "C[Hg]C",
    ],
)  # fmt: skip
def test_a_structure_is_found_on_the_bare_graph(smiles):
    molecule = structure(smiles)
    assert molecule is not None
    assert all(state_allowed(atom) for atom in molecule.GetAtoms())


@pytest.mark.parametrize("smiles", ["[CH2]CC[CH2]", "[CH2]CCN(C)(C)C"])
def test_missing_hydrogens_do_not_pass_as_remote_carbon_ions(smiles):
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    molecule.UpdatePropertyCache(strict=False)
    graph = Chem.AddHs(molecule)
    numbers = np.array([atom.GetAtomicNum() for atom in graph.GetAtoms()])
    bonded = Chem.GetAdjacencyMatrix(graph).astype(bool)
    unknown = np.zeros(bonded.shape, np.int8)
    assert lewis_structure(numbers, bonded, unknown, np.ones(bonded.shape)) is None


def test_the_charge_must_fit():
    assert structure("CC(=O)[O-]", charge=0) is None
    assert structure("C[N+](C)(C)C", charge=0) is None
    assert structure("CCO", charge=-1) is None


def test_a_single_bond_of_triple_bond_length_is_refused():
    ethane = embedded("CC")
    numbers = np.array([atom.GetAtomicNum() for atom in ethane.GetAtoms()])
    positions = ethane.GetConformer().GetPositions()
    assert strict.score(numbers, positions).valid
    axis = positions[1] - positions[0]
    near = np.linalg.norm(positions - positions[1], axis=1) < 1.3
    squeezed = positions - np.outer(near, axis * (1 - 1.15 / np.linalg.norm(axis)))
    # Still the graph of ethane, but the carbons are 1.15 A apart.
    assert np.linalg.norm(squeezed[1] - squeezed[0]) == pytest.approx(1.15)
    assert not strict.score(numbers, squeezed).valid


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_order_of_atoms_and_the_frame_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    batch = golden("geom_like").batch
    numbers, positions = batch.atoms(int(rng.integers(len(batch))))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(numbers))
    moved = (positions.astype(np.float64) @ rotation.T + 1000.0)[order]
    before = strict.score(numbers, positions, vocabulary="geom")
    after = strict.score(numbers[order], moved, vocabulary="geom")
    assert after[:3] == before[:3] and after.valid == before.valid


def test_every_lewis_state_has_an_allowed_state_and_the_other_way_round():
    lewis = {(symbol, q) for symbol, states in VALENCE_STATES.items() for q, _, _ in states}
    # Perchlorates come out of sanitisation in charge-separated form.
    assert set(strict.ALLOWED_STATES) - lewis <= {("Cl", 2), ("Cl", 3)}
    assert lewis <= set(strict.ALLOWED_STATES)
    for symbol, states in VALENCE_STATES.items():
        for q, valence, _ in states:
            assert (0, valence) in strict.ALLOWED_STATES[symbol, q]


def test_the_total_charge_of_rdkit_molecules_is_used():
    batch = MoleculeBatch.from_rdkit([embedded("[NH4+]"), embedded("C")])
    assert evaluate_molecules(batch, protocol="strict").validity == 1.0
    assert evaluate_molecules(batch).validity == 0.5
